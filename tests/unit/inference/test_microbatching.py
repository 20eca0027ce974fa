"""A micro batch computed in parts gives the same result as in one pass, and no part exceeds the budget."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from dep.inference.microbatching import split_rows


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("tokens", [1, 7, 10, 12, 100])
def test_every_row_is_in_one_group_and_only_a_single_row_exceeds_the_budget(tokens: int, padded: bool) -> None:
    lengths = [3, 9, 4, 4, 1, 7]
    found = split_rows(lengths, tokens, padded)
    assert sorted(row for part in found for row in part) == list(range(6))
    for part in found:
        own = [lengths[row] for row in part]
        assert len(part) == 1 or (max(own) * len(own) if padded else sum(own)) <= tokens
    if tokens == 12:
        assert len(found) == (4 if padded else 3)


@pytest.mark.parametrize(
    "settings",
    [{"max_tokens_per_forward": 20}, {"packing": "always"}, {"max_tokens_per_forward": 20, "packing": "always"}],
)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_losses_and_adapter_gradients_equal_those_of_the_plain_step(
    make_lit, bare_model, prompts, collate, settings: dict, dtype: torch.dtype, within: float
) -> None:
    """With an architecture whose norms are not computed in float32."""
    model = bare_model("gpt2", vocab=340)
    batch = collate(prompts)
    for branch in batch.vectors:
        batch.vectors[branch] = batch.vectors[branch].to(dtype)
    found = []
    for given in (settings, {"packing": "never"}):
        lit = make_lit(backbone=deepcopy(model).to(dtype), **given)
        lit.soft_prompt.to(dtype)
        losses = lit.losses(batch)
        losses["total"].backward()
        found.append((losses, {name: p.grad for name, p in lit.soft_prompt.named_parameters()}))
    (ours, our_grads), (theirs, their_grads) = found
    for name, value in theirs.items():
        assert ours[name].double().item() == pytest.approx(value.double().item(), rel=within, abs=within), name
    for name, grad in their_grads.items():
        assert float((our_grads[name] - grad).abs().max()) <= within * float(grad.abs().max()), name


def test_parts_compute_each_row_once_and_alone(make_lit, prompts, collate) -> None:
    lit, batch = make_lit(max_tokens_per_forward=1), collate(prompts)
    rows = []
    lit.backbone.base_model.register_forward_hook(lambda m, args, out: rows.append(len(out[0])))
    with torch.no_grad():
        alone = lit.example_nll(batch)
    assert set(rows) == {1}
    assert torch.allclose(alone[0], make_lit().example_nll(batch)[0], atol=1e-4)
    assert alone[1].tolist() == [len(p.target) for p in prompts]


def test_a_budget_is_refused_where_the_llm_s_own_layers_are_trained(make_lit, monkeypatch) -> None:
    monkeypatch.setattr("dep.models.adapters.dep.DEPAdapter.prefix_safe", False)
    with pytest.raises(
        ValueError, match=r"train\.max_tokens_per_forward=50: expected 0 for an adapter inside the LLM's layers"
    ):
        make_lit(max_tokens_per_forward=50)
