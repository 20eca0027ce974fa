"""What training says of its own speed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from dep.models.backbones.cost import training_flops
from dep.training.throughput import Pace, Throughput
from dep.types import IGNORE


def test_rates_are_shares_and_numbers_a_second() -> None:
    pace = Pace(examples=20, tokens=3000, cells=4000, flops=5e9, seconds=10.0, waited=1.0)
    assert pace.rates(1e9) == {
        "examples_per_second": 2, "tokens_per_second": 300, "padding_share": 0.25, "waiting_share": 0.1,
        "utilisation": 0.5,
    }  # fmt: skip
    assert pace.line() == "2 examples/s, 300 tokens/s, 25% padding, 10% waiting for data"
    assert pace.line(1e9).endswith(", 50% of the device's peak")


@pytest.fixture
def batch(prompts, collate):
    return collate(prompts)


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Replace the clock of the module under test; returns a function that advances it by seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("dep.training.throughput.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def advance(seconds: float) -> None:
        clock.now += seconds

    return advance


def steps(throughput: Throughput, module, batch, count: int, advance: Callable[[float], None]) -> None:
    """Train `count` micro-batches, two to a step; each waits 3 s for data and computes for 1 s."""
    trainer = SimpleNamespace(global_step=0)
    throughput.on_train_epoch_start(trainer, module)
    for number in range(count):
        advance(3)
        throughput.on_train_batch_start(trainer, module, batch, number)
        advance(1)
        trainer.global_step += number % 2
        throughput.on_train_batch_end(trainer, module, None, batch, number)


@pytest.mark.parametrize("packs", [True, False])
def test_tokens_padding_and_waiting_are_counted_and_logged_once_a_step(
    batch, packs: bool, advance: Callable[[float], None]
) -> None:
    logged: list = []
    module = SimpleNamespace(device=torch.device("cpu"), packs=packs)
    throughput = Throughput(logged.append)
    advance(50)  # time before the first epoch does not count
    steps(throughput, module, batch, 4, advance)
    real = int(batch.attention_mask.sum())
    assert (throughput.pace.examples, throughput.pace.tokens) == (20, 4 * real)
    assert throughput.pace.cells == 4 * (real if packs else batch.ids.numel())
    assert (throughput.pace.seconds, throughput.pace.waited) == (16, 12)
    assert [rates["waiting_share"] for rates in logged] == [0.75, 0.75]
    assert [rates["examples_per_second"] for rates in logged] == [10 / 8, 10 / 8]


def test_operations_are_those_of_the_cost_model(batch, model, monkeypatch, advance: Callable[[float], None]) -> None:
    monkeypatch.setattr("dep.training.throughput.peak_flops", lambda: 1e12)
    module = SimpleNamespace(device=torch.device("cuda"), packs=False, backbone=model)
    throughput = Throughput()
    steps(throughput, module, batch, 1, advance)
    lengths, targets = batch.attention_mask.sum(1).tolist(), (batch.labels != IGNORE).sum(1).tolist()
    wanted = sum(training_flops(model.config, t, p) for t, p in zip(lengths, targets, strict=True))
    assert throughput.pace.flops == pytest.approx(wanted, rel=1e-6)
    assert throughput.pace.rates(throughput.peak)["utilisation"] == pytest.approx(wanted / 4 / 1e12)
