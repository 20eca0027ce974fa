"""TopK, JumpReLU and L1 against loops written from their equations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.code_stats import code_stats
from dep.models.compressors.jumprelu import JumpReLUAutoencoder
from dep.models.compressors.l1 import L1Autoencoder
from dep.models.compressors.settings import JumpReLUConfig, L1Config, TopKConfig
from dep.models.compressors.topk import TopKAutoencoder
from dep.utils.errors import DepError

PRESENT = {"his": torch.tensor([[True, True], [True, False]]), "diff": torch.tensor([[False, True], [False, False]])}


def built(kind: type[Autoencoder], config: TopKConfig | JumpReLUConfig | L1Config) -> Autoencoder:
    torch.manual_seed(0)
    compressor = kind(config, 4)
    torch.nn.init.normal_(compressor.encoder.bias, std=0.3)
    return compressor


@pytest.fixture
def vectors() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {branch: torch.randn(2, 2, 4, generator=draw) for branch in PRESENT}


def pre_activations(compressor: Autoencoder, e: Tensor) -> list[float]:
    w, b = compressor.encoder.weight.tolist(), compressor.encoder.bias.tolist()
    return [max(0.0, sum(w[j][i] * float(e[i]) for i in range(4)) + b[j]) for j in range(len(b))]


def here(vectors: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(b, vectors[b][r, k]) for b in PRESENT for r in range(2) for k in range(2) if PRESENT[b][r, k]]


def test_topk_keeps_the_k_largest_activations(vectors: dict[str, Tensor]) -> None:
    compressor = built(TopKAutoencoder, TopKConfig(latent=6, k=2))
    for _, e in here(vectors):
        a = pre_activations(compressor, e)
        kept = sorted(range(6), key=lambda j: -a[j])[:2]
        z = [a[j] if j in kept else 0.0 for j in range(6)]
        assert compressor(e).latent.tolist() == pytest.approx(z, rel=1e-5)
        assert sum(value > 0 for value in z) <= 2
    out = compressor(vectors["his"][0, 0])
    out.latent.sum().backward()
    idle = [j for j in range(6) if out.latent[j] == 0]
    assert compressor.encoder.weight.grad is not None
    assert (compressor.encoder.weight.grad[idle] == 0).all()


def test_l1_sums_the_activations_times_the_lengths_of_their_columns(vectors: dict[str, Tensor]) -> None:
    compressor = built(L1Autoencoder, L1Config(latent=6))
    columns = [math.sqrt(sum(row[j] ** 2 for row in compressor.decoder.weight.tolist())) for j in range(6)]
    expected = 0.0
    for branch in PRESENT:
        per_vector = [
            sum(a * length for a, length in zip(pre_activations(compressor, e), columns, strict=True)) / 6
            for name, e in here(vectors)
            if name == branch
        ]
        expected += sum(per_vector) / len(per_vector)
    out = {b: compressor(v) for b, v in vectors.items()}
    assert compressor.losses(vectors, out, PRESENT).losses["sparse"].item() == pytest.approx(expected, rel=1e-5)


def test_jumprelu_agrees_with_loops_in_values_loss_and_gradients(vectors: dict[str, Tensor]) -> None:
    theta, epsilon = 0.3, 0.5
    compressor = built(JumpReLUAutoencoder, JumpReLUConfig(latent=6, threshold=theta, bandwidth=epsilon))
    assert isinstance(compressor, JumpReLUAutoencoder)
    value = active = 0.0
    by_value, by_active = [0.0] * 6, [0.0] * 6
    for branch, e in here(vectors):
        count = sum(name == branch for name, _ in here(vectors))
        for j, a in enumerate(pre_activations(compressor, e)):
            inside = theta < a < theta + epsilon
            value += a if a > theta else 0.0
            active += (a > theta) / (6 * count)
            by_value[j] -= theta / epsilon * inside
            by_active[j] -= inside / (epsilon * 6 * count)
    out = {b: compressor(v) for b, v in vectors.items()}
    total = sum(out[b].latent[mask].sum() for b, mask in PRESENT.items())
    sparse = compressor.losses(vectors, out, PRESENT).losses["sparse"]
    assert total.item() == pytest.approx(value, rel=1e-5)
    assert sparse.item() == pytest.approx(active, rel=1e-5)
    for scalar, expected in ((total, by_value), (sparse, by_active)):
        (gradient,) = torch.autograd.grad(scalar, compressor.log_threshold, retain_graph=True)
        assert gradient.tolist() == pytest.approx([theta * g for g in expected], rel=1e-4)  # d/d log θ = θ d/dθ
    assert any(by_active)


def test_the_statistics_agree_with_loops(vectors: dict[str, Tensor]) -> None:
    compressor = built(TopKAutoencoder, TopKConfig(latent=6, k=2))
    out = {b: compressor(v) for b, v in vectors.items()}
    left = whole = 0.0
    codes = []
    for branch in PRESENT:
        own = [e for name, e in here(vectors) if name == branch]
        mean = [sum(float(e[i]) for e in own) / len(own) for i in range(4)]
        for e in own:
            code, rebuilt = (tensor.detach() for tensor in compressor(e))
            codes.append([z > 0 for z in code.tolist()])
            left += sum((float(e[i]) - float(rebuilt[i])) ** 2 for i in range(4))
            whole += sum((float(e[i]) - mean[i]) ** 2 for i in range(4))
    stats = code_stats(vectors, out, PRESENT)
    assert stats["explained_variance"].item() == pytest.approx(1 - left / whole, rel=1e-4)
    assert stats["active_units"].item() == pytest.approx(sum(map(sum, codes)) / len(codes))
    assert stats["dead_units"].item() == pytest.approx(sum(not any(unit) for unit in zip(*codes, strict=True)) / 6)
    assert code_stats(vectors, out, {b: torch.zeros(2, 2, dtype=torch.bool) for b in PRESENT}) == {}


@pytest.mark.parametrize("config", [JumpReLUConfig(latent=16, threshold=0.01), L1Config(latent=16)])
def test_the_sparsity_loss_makes_fewer_units_active(config: JumpReLUConfig | L1Config) -> None:
    kind = JumpReLUAutoencoder if isinstance(config, JumpReLUConfig) else L1Autoencoder
    compressor = built(kind, config)
    vectors = {"his": torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(2))}
    present = {"his": torch.ones(1, 64, dtype=torch.bool)}
    optimizer = torch.optim.Adam(compressor.parameters(), lr=0.02)
    counts = []
    for _ in range(100):
        found = compressor.losses(vectors, {"his": compressor(vectors["his"])}, present)
        counts.append(found.stats["active_units"].item())
        optimizer.zero_grad()
        found.losses["sparse"].backward()
        optimizer.step()
    assert counts[-1] < 0.8 * counts[0]


def test_settings_that_make_no_code_are_refused() -> None:
    with pytest.raises(DepError, match=r"compressor\.k: expected a number from 1 to compressor\.latent \(4\), found 5"):
        TopKAutoencoder(TopKConfig(latent=4, k=5), 4)
    with pytest.raises(DepError, match=r"compressor\.threshold: expected a number above 0"):
        JumpReLUAutoencoder(JumpReLUConfig(threshold=0), 4)
