"""Token weights against a case by hand, and the weighted loss against one token at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dep.data.collate import Collator
from dep.models.token_weights import history_weights
from dep.types import Prompt


def test_the_weights_of_five_tokens_by_hand() -> None:
    known = torch.tensor([-1.0, -2.0, -0.5, -3.0, -1.0])
    plain = torch.tensor([-1.5, -1.0, -4.0, -3.0, -1.3])
    # effects 0.5, -1.0, 3.5, 0.0, 0.3 are limited to 0.5, 0.1, 0.9, 0.1, 0.3, with mean 0.38
    expected = [value / 0.38 for value in (0.5, 0.1, 0.9, 0.1, 0.3)]
    assert history_weights(known, plain).tolist() == pytest.approx(expected)
    assert history_weights(known, plain).mean().item() == pytest.approx(1.0)


def test_past_reviews_that_say_nothing_leave_all_tokens_equal() -> None:
    known = torch.tensor([-1.0, -2.0, -0.5])
    assert history_weights(known, known).tolist() == pytest.approx([1.0, 1.0, 1.0])


def weighted(prompts: list[Prompt]) -> list[Prompt]:
    return [replace(p, weights=[0.5 + (at % 3) for at in range(len(p.target))]) for p in prompts]


@pytest.mark.parametrize("settings", [{}, {"max_tokens_per_forward": 20}, {"packing": "always"}])
def test_the_loss_is_the_sum_of_each_token_s_own_times_its_weight(make_lit, prompts, monkeypatch, settings) -> None:
    monkeypatch.setattr("dep.inference.likelihood.LOGITS", 600)  # two tokens at a time
    lit, collate = make_lit(**settings), Collator(0)
    total_B, tokens_B = lit.example_nll(collate(weighted(prompts)))
    assert tokens_B.tolist() == [len(p.target) for p in prompts]
    plain = make_lit()
    with torch.no_grad():
        for b, prompt in enumerate(weighted(prompts)):
            prompt = replace(prompt, vectors={branch: own for branch, own in prompt.vectors.items() if own})
            ends = range(1, len(prompt.target) + 1)
            sums = [float(plain.example_nll(collate([replace(prompt, target=prompt.target[:end], weights=())]))[0])
                    for end in ends]  # fmt: skip
            own = [after - before for before, after in zip([0.0, *sums], sums, strict=False)]
            expected = sum(w * value for w, value in zip(prompt.weights, own, strict=True))
            assert float(total_B[b]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_weights_of_one_change_neither_loss_nor_gradient_and_others_change_both(make_lit, prompts) -> None:
    gradients, losses = [], []
    ones = [replace(p, weights=[1.0] * len(p.target)) for p in prompts]
    for some in (prompts, ones, weighted(prompts)):
        lit = make_lit(max_tokens_per_forward=20)
        losses.append(lit.losses(Collator(0)(some))["lm"])
        losses[-1].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in lit.soft_prompt.parameters() if p.grad is not None]))
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.allclose(losses[0], losses[2])
    assert not torch.allclose(gradients[0], gradients[2])


def test_a_batch_has_weights_at_the_target_s_positions_and_none_without_targets(prompts) -> None:
    batch = Collator(0)(weighted(prompts))
    assert batch.weights is not None
    assert torch.equal(batch.weights > 0, batch.labels >= 0)
    first = prompts[0]
    assert batch.weights[0, len(first.ids) : len(first.ids) + 3].tolist() == [0.5, 1.5, 2.5]
    assert batch.to("cpu").weights is not None
    assert Collator(0)(prompts).weights is None
    assert Collator(0, side="left", answers=False)(weighted(prompts)).weights is None
