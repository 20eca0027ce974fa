"""What the public code computes otherwise than the paper, against loops written from its description."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dep.config.loader import load
from dep.models.compressors.sae import SparseAutoencoder
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.losses import reconstruction_loss
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import SoftPrompt, build_soft_prompt

CONF = Path(__file__).resolve().parents[3] / "conf"


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def smooth_l1(a: float, b: float) -> float:
    error = abs(a - b)
    return 0.5 * error**2 if error < 1 else error - 0.5


def test_the_public_codes_decoder_ends_in_a_gelu() -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=3, activation="gelu", decoder_activation="gelu"), width=4)
    e = torch.randn(4)
    z = [gelu(sum(w * float(x) for w, x in zip(row, e, strict=True))) for row in sae.encoder.weight.tolist()]
    expected = [gelu(sum(w * x for w, x in zip(row, z, strict=True))) for row in sae.decoder.weight.tolist()]
    assert sae(e).reconstruction.tolist() == pytest.approx(expected, rel=1e-5)
    assert min(expected) >= -0.17


def test_the_papers_decoder_is_linear() -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=3), width=4)
    e = torch.randn(4)
    assert torch.equal(sae(e).reconstruction, sae.decoder(sae(e).latent))


def test_a_mixed_reconstruction_is_the_mean_over_the_vectors_of_both_branches() -> None:
    draw = torch.Generator().manual_seed(0)
    vectors = {"his": torch.randn(1, 8, 5, generator=draw), "diff": torch.randn(1, 8, 5, generator=draw)}
    rebuilt = {branch: 2 * torch.randn(1, 8, 5, generator=draw) for branch in vectors}
    present = {branch: torch.ones(1, 8, dtype=torch.bool) for branch in vectors}
    terms = [
        smooth_l1(float(rebuilt[branch][0, k, j]), float(vectors[branch][0, k, j]))
        for branch in vectors
        for k in range(8)
        for j in range(5)
    ]
    mixed = reconstruction_loss(vectors, rebuilt, present, "mixed").item()
    assert mixed == pytest.approx(sum(terms) / len(terms), rel=1e-6)
    assert reconstruction_loss(vectors, rebuilt, present, "branch").item() == pytest.approx(2 * mixed, rel=1e-6)


def test_a_mixed_reconstruction_of_a_batch_is_the_mean_of_its_examples_read_alone() -> None:
    draw = torch.Generator().manual_seed(1)
    present = {
        "his": torch.tensor([[True, True, False], [True, True, True], [False, False, False]]),
        "diff": torch.tensor([[True, False], [True, True], [False, False]]),
    }
    vectors = {branch: torch.randn(*here.shape, 4, generator=draw) for branch, here in present.items()}
    rebuilt = {branch: torch.randn(*here.shape, 4, generator=draw).requires_grad_() for branch, here in present.items()}
    alone = []
    for b in range(2):
        terms = [
            smooth_l1(rebuilt[branch][b, k, j].item(), float(vectors[branch][b, k, j]))
            for branch in vectors
            for k in range(vectors[branch].shape[1])
            if present[branch][b, k]
            for j in range(4)
        ]
        alone.append(sum(terms) / len(terms))
    loss = reconstruction_loss(vectors, rebuilt, present, "mixed")
    assert loss.item() == pytest.approx(sum(alone) / 2, rel=1e-6)
    loss.backward()
    for branch, here in present.items():
        assert (rebuilt[branch].grad[~here] == 0).all()


def test_a_mixed_reconstruction_without_any_vector_is_zero() -> None:
    empty, nowhere = {"his": torch.zeros(2, 1, 4)}, {"his": torch.zeros(2, 1, dtype=torch.bool)}
    assert reconstruction_loss(empty, empty, nowhere, "mixed").item() == 0
    assert reconstruction_loss({}, {}, {}, "mixed").item() == 0


def test_normal_weights_have_a_deviation_of_two_hundredths_and_biases_of_zero() -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=256, init="normal"), width=256)
    projector = Projector(ProjectorConfig(init="normal"), 256, 256, ["his"], 1.0)
    for layer in (sae.encoder, sae.decoder, projector.networks["his"][0], projector.networks["his"][2]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.03)
        assert layer.weight.abs().max().item() > 0.06, "normal, not uniform"
        assert (layer.bias == 0).all()


@pytest.mark.parametrize(("init", "least", "most"), [("default", 0.9, 1.0), ("normal", -0.02, 0.02)])
def test_unrelated_users_start_with_nearly_equal_soft_tokens_unless_the_weights_are_normal(
    init: str, least: float, most: float
) -> None:
    torch.manual_seed(0)
    sae = SparseAutoencoder(SparseAutoencoderConfig(activation="gelu", init=init), width=1024)
    projector = Projector(ProjectorConfig(init=init), 512, 1024, ["his"], 1.0)
    with torch.no_grad():
        tokens = projector(sae(torch.nn.functional.normalize(torch.randn(32, 1024), dim=1)).latent, "his")
    cosine = torch.nn.functional.cosine_similarity(tokens[:, None], tokens[None], dim=-1)
    assert least < cosine[~torch.eye(32, dtype=torch.bool)].mean().item() < most


@pytest.mark.parametrize("see", ["shown", "all"])
def test_the_sae_s_losses_see_the_vectors_of_reviews_that_were_cut_where_asked(
    see: str, model, tokenizer, prompts, collate
) -> None:
    def soft(losses_see: str) -> SoftPrompt:
        return build_soft_prompt(
            SoftPromptConfig(losses_see=losses_see),
            SparseAutoencoderConfig(latent=5, activation="gelu", recon_over="mixed", mean_over="mixed", outside="hard"),
            ProjectorConfig(hidden=7),
            width=6,
            model=model,
            tokenizer=tokenizer,
        )

    batch = collate(prompts[1:3])
    draw = torch.Generator().manual_seed(5)
    cut = {"his": torch.randn(2, 2, 6, generator=draw), "diff": torch.randn(2, 1, 6, generator=draw)}
    here = {"his": torch.tensor([[True, True], [True, False]]), "diff": torch.tensor([[True], [False]])}
    batch.cut_vectors, batch.cut_present = cut, here
    adapter = soft(see)
    out = adapter(batch, model.get_input_embeddings())

    recon, sparse = [], []
    sae = adapter.adapter.compressor
    for b in range(2):
        rows = [batch.vectors[n][b][batch.present[n][b]] for n in ("his", "diff")]
        if see == "all":
            rows += [cut[n][b][here[n][b]] for n in ("his", "diff")]
        errors, latents = [], []
        for e in torch.cat(rows):
            latents.append(sae(e).latent.tolist())
            errors += [smooth_l1(float(x), y) for x, y in zip(e, sae(e).reconstruction.tolist(), strict=True)]
        recon.append(sum(errors) / len(errors))
        means = [min(max(sum(z[j] for z in latents) / len(latents), 1e-6), 1 - 1e-6) for j in range(5)]
        sparse.append(sum(0.05 * math.log(0.05 / m) + 0.95 * math.log(0.95 / (1 - m)) for m in means) / 5)
    assert out.losses["recon"].item() == pytest.approx(sum(recon) / 2, rel=1e-5)
    assert out.losses["sparse"].item() == pytest.approx(sum(sparse) / 2, rel=1e-4)
    assert torch.equal(out.inputs_embeds, soft("shown")(batch, model.get_input_embeddings()).inputs_embeds)


def test_the_losses_of_a_prompt_whose_reviews_were_all_cut_still_see_them(model, tokenizer, prompts, collate) -> None:
    batch = collate(prompts[3:4])
    batch.vectors, batch.present, batch.slot_index = {}, {}, {}
    batch.cut_vectors, batch.cut_present = {"his": torch.ones(1, 2, 6)}, {"his": torch.ones(1, 2, dtype=torch.bool)}
    config, sae = SoftPromptConfig(losses_see="all"), SparseAutoencoderConfig(latent=5)
    soft = build_soft_prompt(config, sae, ProjectorConfig(hidden=7), width=6, model=model, tokenizer=tokenizer)
    assert soft(batch, model.get_input_embeddings()).losses["recon"].item() > 0


@pytest.mark.parametrize("bias", [True, False])
def test_official_s_sae_computes_in_bfloat16_and_trains_float32_weights(bias: bool) -> None:
    config = load([CONF / "official.yaml"]).compressor
    config = replace(config, latent=24, bias=bias)
    torch.manual_seed(2)
    ours = SparseAutoencoder(config, width=16)
    half = [torch.nn.Linear(a, b, bias=bias, dtype=torch.bfloat16) for a, b in ((16, 24), (24, 16))]
    for theirs, mine in zip(half, (ours.encoder, ours.decoder), strict=True):
        theirs.load_state_dict(mine.state_dict())
    vectors = torch.randn(3, 5, 16)
    z = torch.nn.functional.gelu(half[0](vectors.bfloat16()))
    rebuilt = torch.nn.functional.gelu(half[1](z))
    out = ours(vectors)
    assert out.latent.dtype == out.reconstruction.dtype == torch.float32
    assert torch.equal(out.latent, z.float())
    assert torch.equal(out.reconstruction, rebuilt.float())
    (out.latent.sum() + out.reconstruction.square().sum()).backward()
    (z.float().sum() + rebuilt.float().square().sum()).backward()
    for theirs, mine in zip(half, (ours.encoder, ours.decoder), strict=True):
        assert mine.weight.grad.dtype == torch.float32
        assert torch.equal(mine.weight.grad, theirs.weight.grad.float())
    exact = SparseAutoencoder(replace(config, dtype="float32"), width=16)
    exact.load_state_dict(ours.state_dict())
    assert not torch.equal(exact(vectors).latent, out.latent), "the paper's is not rounded"
