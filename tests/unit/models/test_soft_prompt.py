"""The soft prompt: from a batch to input embeddings."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dep.data.collate import Collator
from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.none import NoCompressor
from dep.models.compressors.sae import SparseAutoencoder
from dep.models.compressors.settings import AutoencoderConfig, NoCompressorConfig, SparseAutoencoderConfig
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import SoftPrompt, build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import BOUNDARY_TOKENS, SLOT_TOKENS

E, Z, H, D = 6, 5, 7, 32
SAE = E * Z + Z + Z * E + E
NETWORK = Z * H + H + H * D + D


@pytest.fixture
def build(model, tokenizer):
    def make(compressor=None, projector=None, seed=0, **config) -> SoftPrompt:
        return build_soft_prompt(
            SoftPromptConfig(**config),
            compressor or SparseAutoencoderConfig(latent=Z),
            projector or ProjectorConfig(hidden=H),
            width=E,
            model=model,
            tokenizer=tokenizer,
            seed=seed,
        )

    return make


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, SAE + 2 * NETWORK),
        ({"branches": ["his"]}, SAE + NETWORK),
        ({"projector": ProjectorConfig(hidden=H, shared=True)}, SAE + NETWORK),
        ({"compressor": AutoencoderConfig(latent=Z, bias=False)}, 2 * E * Z + 2 * NETWORK),
        ({"compressor": NoCompressorConfig()}, 2 * (E * H + H + H * D + D)),
        ({"boundary_trainable": True}, SAE + 2 * NETWORK + 4 * D),
        ({"boundary_trainable": True, "branches": ["diff"]}, SAE + NETWORK + 2 * D),
        ({"adapter": "constant", "slots": 3}, 2 * 3 * D),
        ({"adapter": "constant", "slots": 3, "projector": ProjectorConfig(tokens=4)}, 2 * 3 * 4 * D),
        ({"projector": ProjectorConfig(hidden=H, tokens=4)}, SAE + 2 * (Z * H + H + 4 * (H * D + D))),
        ({"branches": []}, 0),
    ],
)
def test_the_number_of_parameters_is_exact(build, config: dict, expected: int) -> None:
    assert sum(p.numel() for p in build(**config).parameters()) == expected


def with_repeated_slots(prompts, tokenizer, times: int):
    """Repeat each slot token, as in prompts with several soft tokens for each vector."""
    slots = set(tokenizer.convert_tokens_to_ids(list(SLOT_TOKENS.values())))
    return [replace(p, ids=[i for i in p.ids for _ in range(times if i in slots else 1)]) for p in prompts]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("adapter", ["dep", "constant"])
def test_several_soft_tokens_of_a_vector_stand_in_its_own_slots_with_uneven_counts(
    build, model, tokenizer, prompts, side: str, adapter: str
) -> None:
    soft, embed = build(adapter=adapter, projector=ProjectorConfig(hidden=H, tokens=3)), model.get_input_embeddings()
    batch = Collator(0, side)(with_repeated_slots(prompts, tokenizer, 3))
    out = soft(batch, embed).inputs_embeds
    for branch in ("his", "diff"):
        slot_id = tokenizer.convert_tokens_to_ids(SLOT_TOKENS[branch])
        for b, prompt in enumerate(prompts):
            at = (batch.ids[b] == slot_id).nonzero()[:, 0].tolist()
            assert len(at) == 3 * len(prompt.vectors[branch])
            for k, (vector, place) in enumerate(zip(prompt.vectors[branch], prompt.positions[branch], strict=True)):
                if adapter == "dep":
                    flat = soft.adapter.projector.networks[branch](soft.adapter.compressor(vector).latent)
                else:
                    flat = soft.adapter.tables[branch][3 * place : 3 * place + 3].flatten()
                assert torch.allclose(out[b, at[3 * k : 3 * k + 3]].flatten(), flat, atol=1e-6)
    slots = torch.isin(batch.ids, torch.tensor(list(soft.slot_ids.values())))
    assert torch.equal(out[~slots], embed(batch.ids)[~slots])


def test_a_prompt_with_too_few_slots_for_the_soft_tokens_of_a_vector_is_refused(
    build, model, tokenizer, prompts
) -> None:
    soft = build(projector=ProjectorConfig(hidden=H, tokens=3))
    with pytest.raises(ValueError, match=r"row 0 of the batch: expected 6 vectors.*found 9"):
        soft(Collator(0)(with_repeated_slots(prompts, tokenizer, 2)), model.get_input_embeddings())


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_slot_holds_its_own_projected_vector_and_the_rest_is_text(
    build, model, tokenizer, prompts, collate, side: str
) -> None:
    soft, embed = build(), model.get_input_embeddings()
    batch = collate(prompts, side)
    out = soft(batch, embed)
    slots = {
        tokenizer.convert_tokens_to_ids(token): branch for branch, token in SLOT_TOKENS.items() if branch != "user"
    }
    for b, prompt in enumerate(prompts):
        unused = {branch: list(prompt.vectors[branch]) for branch in slots.values()}
        for t, token in enumerate(batch.ids[b].tolist()):
            expected = embed(batch.ids[b, t])
            if token in slots:
                branch = slots[token]
                expected = soft.adapter.projector(soft.adapter.compressor(unused[branch].pop(0)).latent, branch)
            assert torch.allclose(out.inputs_embeds[b, t], expected, atol=1e-6)
        assert unused == {"his": [], "diff": []}
    assert set(out.losses) == {"recon", "sparse"}
    assert set(out.stats) == {"mean_activation", "dead_units", "clamped_units"}


def test_the_content_of_an_absent_vector_changes_nothing(build, model, prompts, collate) -> None:
    soft, embed, batch = build(), model.get_input_embeddings(), collate(prompts)
    first = soft(batch, embed)
    for branch in batch.vectors:
        batch.vectors[branch][~batch.present[branch]] = torch.nan
    second = soft(batch, embed)
    (second.inputs_embeds.sum() + second.losses["recon"] + second.losses["sparse"]).backward()
    assert torch.equal(first.inputs_embeds, second.inputs_embeds)
    assert first.losses == second.losses
    assert all(p.grad.isfinite().all() for p in soft.parameters())


def test_without_branches_the_prompt_is_plain_text(build, model, prompts, collate) -> None:
    batch, embed = collate(prompts[3:4]), model.get_input_embeddings()
    batch.vectors, batch.present, batch.slot_index = {}, {}, {}
    out = build(branches=[])(batch, embed)
    assert torch.equal(out.inputs_embeds, embed(batch.ids))
    assert out.losses == out.stats == {}


def test_a_constant_prompt_reads_the_slot_index_and_no_vector(build, model, tokenizer, prompts, collate) -> None:
    soft, embed, batch = build(adapter="constant", slots=4), model.get_input_embeddings(), collate(prompts)
    out = soft(batch, embed).inputs_embeds
    for branch in batch.vectors:
        batch.vectors[branch].normal_()
    assert torch.equal(out, soft(batch, embed).inputs_embeds)
    at = batch.ids[0] == tokenizer.convert_tokens_to_ids(SLOT_TOKENS["diff"])
    assert torch.equal(out[0, at], soft.adapter.tables["diff"][torch.tensor([1, 2])])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(("own", "expected"), [(0.25, 0.25), (None, 0.5)])
def test_a_constant_prompt_has_its_own_learning_rate_if_one_is_set(
    build, model, monkeypatch, optimizer: str, own: float | None, expected: float
) -> None:
    soft = build(adapter="constant", constant_lr=own)
    lit = PersonalizationModule(model, soft, TrainConfig(optimizer=optimizer, lr=0.5, muon_lr=0.7, warmup_ratio=0.0))
    monkeypatch.setattr(PersonalizationModule, "trainer", SimpleNamespace(estimated_stepping_batches=10))
    groups = lit.configure_optimizers()["optimizer"].param_groups
    rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    assert rates == {id(p): expected for p in soft.parameters()}


def test_a_constant_prompt_that_is_too_short_is_refused(build, model, prompts, collate) -> None:
    with pytest.raises(ValueError, match=r"soft_prompt.slots: expected at least 3 .*found 2"):
        build(adapter="constant", slots=2)(collate(prompts), model.get_input_embeddings())


def test_trained_boundary_rows_start_as_the_backbone_s_and_get_the_gradient(
    build, model, tokenizer, prompts, collate
) -> None:
    ids = tokenizer.convert_tokens_to_ids(list(BOUNDARY_TOKENS))
    prompts = [replace(p, ids=[*ids, *p.ids]) for p in prompts]
    batch, embed = collate(prompts), model.get_input_embeddings()
    soft, frozen = build(boundary_trainable=True), build()
    out = soft(batch, embed).inputs_embeds
    assert torch.equal(out, frozen(batch, embed).inputs_embeds)
    out.sum().backward()
    assert torch.equal(soft.boundary_rows.grad, torch.full((4, D), float(len(prompts))))


def test_vectors_of_a_branch_that_was_not_configured_are_refused(build, model, prompts, collate) -> None:
    with pytest.raises(ValueError, match=r"vectors of \['diff'\].*branches \['his'\]"):
        build(branches=["his"])(collate(prompts), model.get_input_embeddings())


def test_a_placeholder_without_vectors_is_refused(build, model, prompts, collate) -> None:
    batch = collate(prompts)
    del batch.vectors["diff"], batch.present["diff"], batch.slot_index["diff"]
    with pytest.raises(ValueError, match="<diff_slot> but the batch has no vectors of branch 'diff'"):
        build()(batch, model.get_input_embeddings())


def test_initial_weights_depend_on_the_seed_alone(build) -> None:
    torch.manual_seed(1)
    first = build(seed=5).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second, third = build(seed=5).state_dict(), build(seed=6).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_the_trainable_part_computes_in_single_precision_under_autocast(build, model, prompts, collate) -> None:
    soft, embed, batch = build(), model.get_input_embeddings(), collate(prompts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = soft(batch, embed)
    single = soft(batch, embed)
    assert torch.equal(mixed.inputs_embeds, single.inputs_embeds)
    assert mixed.losses == single.losses


def test_the_compressor_gets_standardised_vectors_and_rebuilds_them_in_their_own_units() -> None:
    from dep.models.adapters.dep import DEPAdapter
    from dep.models.projector import Projector
    from dep.types import Batch

    mean, std = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.5, 1.0])
    vectors = torch.randn(2, 2, 3) * std + mean
    present = torch.tensor([[True, True], [True, False]])
    ids = torch.zeros(2, 4, dtype=torch.long)
    batch = Batch(["a", "b"], ids, torch.ones_like(ids), ids, {"his": vectors}, {"his": present})
    inputs: list[torch.Tensor] = []
    plain = NoCompressor(NoCompressorConfig(), 3)
    adapter = DEPAdapter(plain, Projector(ProjectorConfig(), 3, 5, ["his"], 1.0), {"his": (mean, std)})
    adapter.projector.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    adapter(batch)
    assert torch.allclose(inputs[0][present], (vectors[present] - mean) / std, atol=1e-6)

    sae = SparseAutoencoder(SparseAutoencoderConfig(latent=4), 3)
    losses = DEPAdapter(sae, Projector(ProjectorConfig(), 4, 5, ["his"], 1.0), {"his": (mean, std)})(batch).losses
    rebuilt = sae((vectors[present] - mean) / std).reconstruction
    assert rebuilt is not None
    expected = torch.nn.functional.smooth_l1_loss(rebuilt * std + mean, vectors[present])
    assert torch.allclose(losses["recon"], expected, atol=1e-6)


def test_noise_changes_the_compressor_s_input_and_not_its_target() -> None:
    from dep.models.adapters.dep import DEPAdapter
    from dep.types import Batch

    mean, std = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.5, 1.0])
    vectors, noise = torch.randn(2, 2, 3) * std + mean, torch.randn(2, 2, 3)
    present = torch.tensor([[True, True], [True, False]])
    ids = torch.zeros(2, 4, dtype=torch.long)
    batch = Batch(["a", "b"], ids, torch.ones_like(ids), ids, {"his": vectors}, {"his": present})
    batch.noise["his"] = noise
    sae = Autoencoder(AutoencoderConfig(latent=4), 3)
    for statistics, expected in (({"his": (mean, std)}, (vectors - mean) / std + noise), (None, vectors + noise)):
        inputs: list[torch.Tensor] = []
        sae.encoder.register_forward_pre_hook(lambda _, args, inputs=inputs: inputs.append(args[0]))
        losses = DEPAdapter(sae, Projector(ProjectorConfig(), 4, 5, ["his"], 1.0), statistics)(batch).losses
        assert torch.allclose(inputs[0][present], expected[present], atol=1e-6)
        rebuilt = sae(expected[present]).reconstruction
        assert rebuilt is not None
        rebuilt = rebuilt * std + mean if statistics else rebuilt
        assert torch.allclose(losses["recon"], torch.nn.functional.smooth_l1_loss(rebuilt, vectors[present]), atol=1e-6)
