"""Compressors: Eq. 5, their losses, their initial weights."""

from __future__ import annotations

import math

import pytest
import torch

from dep.models.compressors import COMPRESSORS
from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.sae import SparseAutoencoder
from dep.models.compressors.settings import AutoencoderConfig, NoCompressorConfig, SparseAutoencoderConfig
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig
from dep.utils.errors import DepError


def test_encoder_and_decoder_agree_with_loops() -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=3), width=4)
    torch.nn.init.normal_(sae.encoder.bias)
    e = torch.randn(4)
    w, b = sae.encoder.weight.tolist(), sae.encoder.bias.tolist()
    z = [1 / (1 + math.exp(-(sum(w[j][i] * float(e[i]) for i in range(4)) + b[j]))) for j in range(3)]
    v = sae.decoder.weight.tolist()
    rebuilt = [sum(v[i][j] * z[j] for j in range(3)) for i in range(4)]
    out = sae(e)
    assert out.latent.tolist() == pytest.approx(z, rel=1e-5)
    assert out.reconstruction.tolist() == pytest.approx(rebuilt, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "keys", "stats"),
    [("sae", {"recon", "sparse"}, True), ("ae", {"recon"}, False), ("none", set(), False)],
)
def test_each_compressor_has_its_own_losses(name: str, keys: set[str], stats: bool) -> None:
    compressor = COMPRESSORS.build(COMPRESSORS.config_class(name)(), width=8)
    vectors = {"his": torch.randn(2, 3, 8), "diff": torch.randn(2, 3, 8)}
    present = {b: torch.ones(2, 3, dtype=torch.bool) for b in vectors}
    out = {b: compressor(v) for b, v in vectors.items()}
    losses = compressor.losses(vectors, out, present)
    assert set(losses.losses) == keys
    assert bool(losses.stats) == stats
    assert out["his"].latent.shape == (2, 3, compressor.width_out)


def test_without_a_compressor_the_embedding_passes_unchanged() -> None:
    e = torch.randn(2, 5)
    none = COMPRESSORS.build(NoCompressorConfig(), width=5)
    assert none(e).latent is e
    assert none(e).reconstruction is None


def test_a_rho_that_is_not_a_probability_is_refused() -> None:
    with pytest.raises(DepError, match=r"compressor\.rho: expected a number between"):
        SparseAutoencoder(SparseAutoencoderConfig(rho=1.5), width=4)


def test_training_moves_the_mean_activation_to_its_target() -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=8, rho=0.1, activation="gelu"), width=4)
    vectors = {"his": torch.randn(1, 64, 4)}
    present = {"his": torch.ones(1, 64, dtype=torch.bool)}
    optimizer = torch.optim.Adam(sae.parameters(), lr=0.02)
    for _ in range(200):
        losses = sae.losses(vectors, {"his": sae(vectors["his"])}, present)
        optimizer.zero_grad()
        losses.losses["sparse"].backward()
        optimizer.step()
    assert losses.stats["mean_activation"].item() == pytest.approx(0.1, abs=0.02)
    assert losses.stats["clamped_units"].item() == 0


def test_xavier_bounds_the_weights_and_zeroes_the_biases_and_default_does_not() -> None:
    bound = math.sqrt(6 / (8 + 16))
    xavier = Autoencoder(AutoencoderConfig(latent=16), width=8)
    assert xavier.encoder.weight.abs().max() <= bound
    assert xavier.encoder.weight.abs().max() > 0.8 * bound
    assert (xavier.encoder.bias == 0).all()
    assert (Autoencoder(AutoencoderConfig(latent=16, init="default"), width=8).encoder.bias != 0).all()


def test_the_paper_s_configuration_has_the_30_4_million_parameters_that_it_reports() -> None:
    with torch.device("meta"):
        parts = [
            SparseAutoencoder(SparseAutoencoderConfig(), width=1024),
            Projector(ProjectorConfig(), 512, 3584, ["his", "diff"], 1.0),
        ]
    assert sum(p.numel() for part in parts for p in part.parameters()) == 30_424_576
