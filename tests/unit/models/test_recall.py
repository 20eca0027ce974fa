"""Recall from other people's reviews, against loops over tokens."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dep.data.collate import Collator
from dep.inference.changed_output import changed_nll
from dep.inference.target_states import TargetStates, Written
from dep.inference.tensor_files import TensorFiles
from dep.methods.memory_reader import as_history
from dep.models.adapters.memory import MemoryAdapter
from dep.models.adapters.others_reviews import OthersReview, OthersReviews
from dep.models.adapters.recall import Recalled, recalled
from dep.models.settings import MemoryConfig
from dep.types import Prompt

AUTHORS = {"a": "ann", "b": "bob", "c": "cat"}
WRITTEN = {"ann": [30, 31, 1], "bob": [33, 30, 41, 1], "dan": [40, 1]}


def recall(others: OthersReviews, hidden: Tensor, keys: list[str]) -> Recalled:
    return recalled(others.similar(hidden, keys), dict(others.numbers.items()))


def prompts() -> list[Prompt]:
    return [
        Prompt("a", [20, 21, 22, 23, 24], [30, 31, 1], user_history=as_history([])),
        Prompt("b", [25, 26], [33, 40, 41, 1], user_history=as_history([])),
        Prompt("new", [27], [30, 1], user_history=as_history([])),
    ]


def others(width: int) -> list[OthersReview]:
    generator = torch.Generator().manual_seed(1)
    return [
        OthersReview(author, torch.tensor(tokens), torch.randn(len(tokens), width, generator=generator).half())
        for author, tokens in WRITTEN.items()
    ]


def filled(model, size: int) -> MemoryAdapter:
    torch.manual_seed(0)
    adapter = MemoryAdapter(MemoryConfig(his=False, diff=False, others=size), *reversed(model.lm_head.weight.shape))
    assert adapter.others is not None
    adapter.others.fill(others(model.config.hidden_size), AUTHORS | {"d": "dan"})
    with torch.no_grad():
        adapter.others.numbers["gate"].fill_(0.4)
        adapter.others.numbers["scale"].fill_(math.log(5.0))
    return adapter


@pytest.mark.parametrize(("size", "nearest"), [(9, 256), (7, 256), (20, 256), (9, 2)])
@torch.no_grad()
def test_everybody_recalls_from_others_and_nobody_from_their_own_review(
    model, monkeypatch: pytest.MonkeyPatch, size: int, nearest: int
) -> None:
    monkeypatch.setattr("dep.models.adapters.others_reviews.NEAREST", nearest)
    adapter, store = filled(model, size), TargetStates(model)
    batch = Collator(0)(prompts())
    sums_B, _ = changed_nll(store, adapter.output_change(model, batch), batch)
    reviews = others(model.config.hidden_size)
    places = [(r.author, int(t), s.float()) for r in reviews for t, s in zip(r.tokens, r.states, strict=True)][:size]
    mean = torch.stack([state for _, _, state in places]).mean(0)
    gate = 1 / (1 + math.exp(-0.4))
    for prompt, total in zip(prompts(), sums_B, strict=True):
        (states,) = store.read([Written(prompt.ids, prompt.target)])
        seen = [place for place in places if place[0] != AUTHORS.get(prompt.key)]
        assert len(seen) < len(places) or prompt.key == "new"
        expected = 0.0
        for state, target in zip(states, prompt.target, strict=True):
            scores = [5.0 * float(F.cosine_similarity(state - mean, key - mean, dim=0)) for _, _, key in seen]
            least = sorted(scores)[-min(nearest, len(scores))]
            scores = [score if score >= least else -math.inf for score in scores]
            w = torch.tensor([*scores, 5.0 * 0.6 + math.log(len(seen))]).softmax(0).tolist()
            p = float((model.lm_head.weight @ state).softmax(0)[target]) * (1 - gate * (1 - w[-1]))
            p += sum(gate * weight for weight, (_, token, _) in zip(w, seen, strict=False) if token == target)
            expected -= math.log(p)
        assert float(total) == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_all_probabilities_agree_with_those_of_the_targets_and_sum_to_one(model) -> None:
    adapter, batch = filled(model, 9), Collator(0)(prompts())
    change, hidden = adapter.output_change(model, batch), torch.randn(5, model.config.hidden_size)
    rows, targets = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([30, 2, 33, 5, 30])
    log_p = change.log_probs(hidden, rows)
    assert torch.allclose(log_p.exp().sum(1), torch.ones(5), atol=1e-5)
    expected = torch.zeros(3).index_add(0, rows, -log_p[torch.arange(5), targets])
    assert torch.allclose(expected, change.nll(hidden, rows, targets, torch.ones(5)), atol=1e-5)


def test_the_sample_is_saved_with_the_adapter_and_its_three_numbers_are_trained(model) -> None:
    adapter = filled(model, 9)
    assert {"others.tokens", "others.states", "others.authors"} <= set(adapter.state_dict())
    batch = Collator(0)(prompts())
    sums_B, _ = changed_nll(TargetStates(model), adapter.output_change(model, batch), batch)
    sums_B.sum().backward()
    assert adapter.others is not None
    assert all(number.grad is not None and number.grad != 0 for number in adapter.others.numbers.values())
    (group,) = adapter.param_groups()
    assert len(group["params"]) == 4  # the bias and the three numbers


@torch.no_grad()
def test_a_sample_that_is_filled_or_loaded_again_is_recalled_and_not_the_earlier_one(model) -> None:
    first, second = (filled(model, 9).others for _ in range(2))
    assert first is not None
    assert second is not None
    hidden = torch.randn(2, model.config.hidden_size)
    before = recall(first, hidden, ["new", "new"])
    some = [review._replace(states=-review.states) for review in others(model.config.hidden_size)]
    first.fill(some, AUTHORS | {"d": "dan"})
    after = recall(first, hidden, ["new", "new"])
    assert not torch.allclose(before.weights, after.weights)
    assert torch.allclose(recall(second, hidden, ["new", "new"]).weights, before.weights)
    second.load_state_dict(first.state_dict())
    assert torch.equal(recall(second, hidden, ["new", "new"]).weights, after.weights)


def test_what_examples_are_similar_to_is_kept_for_equal_states_and_samples_and_changes_nothing(model) -> None:
    plain, keeping, other = (filled(model, 9).others for _ in range(3))
    assert plain is not None
    assert keeping is not None
    assert other is not None
    keeping.kept = other.kept = kept = TensorFiles(Path(), 0, 1 << 20, "")
    hidden, keys = torch.randn(6, model.config.hidden_size), ["a", "b", "a", "new", "b", "a"]
    for _ in range(2):
        for one, same in zip(recall(plain, hidden, keys), recall(keeping, hidden, keys), strict=True):
            assert torch.allclose(one, same, atol=1e-6)
    assert len(kept.held()) == 3
    assert torch.equal(recall(other, hidden, keys).weights, recall(keeping, hidden, keys).weights)
    assert len(kept.held()) == 3  # an equal sample of another arm finds the same
    some = [review._replace(states=-review.states) for review in others(model.config.hidden_size)]
    other.fill(some, AUTHORS | {"d": "dan"})
    assert not torch.allclose(recall(other, hidden, keys).weights, recall(keeping, hidden, keys).weights)
    assert not torch.allclose(recall(keeping, -hidden, keys).weights, recall(keeping, hidden, keys).weights)
