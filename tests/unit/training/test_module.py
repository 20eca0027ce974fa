"""The training module: trained parameters, losses, saved adapters and refused ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dep.models.adapters.files import is_trainable
from dep.training.schedule import schedule_factor, warmup_steps
from dep.types import IGNORE


def test_exactly_the_soft_prompt_is_trained(make_lit) -> None:
    lit = make_lit()
    trained = {name for name, p in lit.named_parameters() if p.requires_grad}
    assert trained == {name for name in lit.state_dict() if is_trainable(name)}
    assert all(name.startswith("soft_prompt.") for name in trained)
    sae, network = 6 * 5 + 5 + 5 * 6 + 6, 5 * 7 + 7 + 7 * 32 + 32
    assert lit.sizes() == (667, 0, sum(p.numel() for p in lit.backbone.parameters()))
    assert sae + 2 * network == 667


def test_the_backbone_stays_in_eval_mode(make_lit) -> None:
    lit = make_lit().train()
    assert lit.soft_prompt.training
    assert not any(m.training for m in lit.backbone.modules())


def test_the_total_is_equation_eleven_over_the_mean_of_examples(make_lit, prompts, collate) -> None:
    lit, batch = make_lit(lambda_=10.0, gamma=0.5), collate(prompts)
    losses = lit.losses(batch)
    lm = 0.0
    for b in range(len(prompts)):
        embeds = lit.embed(batch).inputs_embeds[b : b + 1]
        logits = lit.backbone(inputs_embeds=embeds, attention_mask=batch.attention_mask[b : b + 1]).logits[0]
        terms = [
            -logits[t - 1].detach().log_softmax(-1)[batch.labels[b, t]]
            for t in range(1, logits.shape[0])
            if batch.labels[b, t] != IGNORE
        ]
        lm += float(sum(terms)) / len(terms) / len(prompts)
    assert losses["lm"].item() == pytest.approx(lm, rel=1e-5)
    extra = 10.0 * (losses["recon"] + 0.5 * losses["sparse"]).item()
    assert losses["total"].item() == pytest.approx(lm + extra, rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_losses_do_not_depend_on_padding_side_or_order(make_lit, prompts, collate, side: str) -> None:
    lit = make_lit()
    expected, losses = lit.losses(collate(prompts)), lit.losses(collate(prompts[::-1], side))
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), abs=1e-5)


def test_the_language_loss_alone_gives_compressor_and_projector_a_gradient(make_lit, prompts, collate) -> None:
    lit = make_lit()
    lit.losses(collate(prompts))["lm"].backward()
    for name, p in lit.named_parameters():
        has_gradient = p.grad is not None and bool((p.grad != 0).any())
        assert has_gradient == (is_trainable(name) and ".decoder." not in name)


def test_a_batch_without_vectors_has_a_gradient_of_zero(make_lit, prompts, collate) -> None:
    lit, batch = make_lit(), collate(prompts[3:4])
    batch.vectors, batch.present, batch.slot_index = {}, {}, {}
    total = lit.training_step(batch, 0)
    total.backward()
    assert total.item() == lit.losses(batch)["lm"].item()
    assert all((p.grad == 0).all() for p in lit.soft_prompt.parameters())


def test_a_loaded_adapter_equals_the_saved_one(make_lit, prompts, collate, tmp_path: Path) -> None:
    trained, fresh = make_lit(), make_lit()
    with torch.no_grad():
        for p in trained.soft_prompt.parameters():
            p.normal_()
    path = tmp_path / "new" / "adapter.safetensors"
    trained.save_adapter(path, {"latent": 5})
    assert [p.name for p in path.parent.iterdir()] == ["adapter.safetensors"]
    assert fresh.load_adapter(path) == {"latent": 5}
    batch = collate(prompts)
    assert torch.equal(trained.example_nll(batch)[0], fresh.example_nll(batch)[0])


def test_an_adapter_of_another_shape_is_refused(make_lit, tmp_path: Path) -> None:
    make_lit(latent=4).save_adapter(tmp_path / "a.safetensors", {})
    with pytest.raises(ValueError, match=r"of another shape.*encoder.weight \(expected \(5, 6\), found \(4, 6\)\)"):
        make_lit().load_adapter(tmp_path / "a.safetensors")


def test_an_adapter_of_another_backbone_is_refused(make_lit, model, tmp_path: Path) -> None:
    make_lit().save_adapter(tmp_path / "a.safetensors", {})
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.view(-1)[0] += 1.0
    with pytest.raises(ValueError, match="trained on another backbone: expected fingerprint"):
        make_lit(model).load_adapter(tmp_path / "a.safetensors")


def test_a_missing_adapter_is_named(make_lit, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a safetensors file, found none"):
        make_lit().load_adapter(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_the_end(schedule: str, expected: list) -> None:
    assert [schedule_factor(step, 6, 2, schedule) for step in range(6)] == pytest.approx(expected, abs=1e-6)


def test_the_public_codes_schedule_warms_up_from_zero_over_the_warm_up_rounded_up() -> None:
    warmup = warmup_steps(1245, 0.01, "from_zero")
    assert warmup == 13
    factors = [schedule_factor(step, 1245, warmup, "linear", "from_zero") for step in (0, 1, 13, 600)]
    assert factors == pytest.approx([0, 0.076923, 1, 0.523539], abs=1e-6)
    assert warmup_steps(1245, 0.01, "from_share") == 12
