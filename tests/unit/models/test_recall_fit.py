"""The numbers of recall, fitted to reviews, against a loop over tokens and a search around the fitted numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dep.data.collate import Collator
from dep.inference.changed_output import changed_nll
from dep.inference.target_states import TargetStates
from dep.models.adapters.memory import MemoryAdapter
from dep.models.adapters.others_reviews import OthersReview
from dep.models.adapters.recall_fit import KnownTokens, fit_recall
from dep.types import IGNORE, Batch
from tests.unit.models.test_memory import prompts, trained


def with_others(model) -> MemoryAdapter:
    adapter = trained(model, others=6)
    assert adapter.others is not None
    torch.manual_seed(1)
    states = torch.randn(6, model.config.hidden_size)
    adapter.others.fill([OthersReview("somebody", torch.tensor([30, 31, 1, 33, 40, 41]), states)], {"x": "somebody"})
    return adapter


def looked_up(model, adapter: MemoryAdapter, batch: Batch) -> KnownTokens:
    is_target = batch.labels != IGNORE
    change, hidden = adapter.output_change(model, batch), TargetStates(model).of_batch(batch)
    return KnownTokens.of(change, hidden, is_target.nonzero()[:, 0], batch.labels[is_target])


def loss(known: KnownTokens, numbers: list[Tensor], start: list[float]) -> float:
    moved = sum((number.item() - begun) ** 2 for number, begun in zip(numbers, start, strict=True))
    return float(known.nll.sum()) / 10 + moved / 2


@torch.no_grad()
def test_what_is_looked_up_gives_the_likelihood_of_the_adapter(model) -> None:
    adapter, batch = with_others(model), Collator(0)(prompts(model))
    known = looked_up(model, adapter, batch)
    sums, counts = changed_nll(TargetStates(model), adapter.output_change(model, batch), batch)
    assert torch.allclose(torch.zeros(3).index_add(0, known.rows, known.nll), sums, rtol=1e-4)
    assert torch.allclose(known.row_means, sums / counts, rtol=1e-4)


def test_the_fitted_numbers_are_a_minimum_and_nothing_else_moves(model) -> None:
    adapter, batch = with_others(model), Collator(0)(prompts(model))
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    numbers = adapter.recall_numbers
    start, known = [number.item() for number in numbers], looked_up(model, adapter, batch)
    first = loss(known, numbers, start)
    fit_recall(adapter, [known])
    fitted = loss(known, numbers, start)
    assert fitted < first - 0.001
    with torch.no_grad():
        for number in numbers:
            for step in (-0.05, 0.05):
                number += step
                assert loss(known, numbers, start) > fitted
                number -= step
    moved = {name for name, value in adapter.state_dict().items() if not torch.equal(value, before[name])}
    assert moved <= {
        f"{part}{name}" for part in ("numbers.his_", "others.numbers.") for name in ("scale", "none", "gate")
    }
    assert all(number.isfinite() for number in numbers)


@pytest.mark.parametrize(("parts", "count"), [({"his": False}, 3), ({}, 6)])
def test_only_recall_that_acts_is_fitted(model, parts: dict[str, bool], count: int) -> None:
    assert len(trained(model, others=6, **parts).recall_numbers) == count
    assert len(trained(model, **parts).recall_numbers) == count - 3


def test_without_recall_nothing_happens(model) -> None:
    adapter, batch = trained(model, his=False), Collator(0)(prompts(model))
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    fit_recall(adapter, [looked_up(model, adapter, batch)])
    assert all(torch.equal(value, before[name]) for name, value in adapter.state_dict().items())
