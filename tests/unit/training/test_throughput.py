"""Throughput of training."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from dep.models.backbones.cost import training_flops
from dep.training.throughput import Pace, Throughput
from dep.types import IGNORE


def test_rates_are_counts_per_second_and_shares() -> None:
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


def steps(throughput: Throughput, module, batch, count: int, wait: float, work: float) -> None:
    trainer = SimpleNamespace(global_step=0)
    throughput.on_train_epoch_start(trainer, module)
    for at in range(count):
        time.sleep(wait)
        throughput.on_train_batch_start(trainer, module, batch, at)
        time.sleep(work)
        trainer.global_step += at % 2
        throughput.on_train_batch_end(trainer, module, None, batch, at)


@pytest.mark.parametrize("packs", [True, False])
def test_tokens_padding_and_waiting_are_counted_and_logged_once_per_step(batch, packs: bool) -> None:
    logged: list = []
    module = SimpleNamespace(device=torch.device("cpu"), packs=packs)
    throughput = Throughput(logged.append)
    steps(throughput, module, batch, 4, wait=0.02, work=0.005)
    real = int(batch.attention_mask.sum())
    assert (throughput.pace.examples, throughput.pace.tokens) == (20, 4 * real)
    assert throughput.pace.cells == 4 * (real if packs else batch.ids.numel())
    assert len(logged) == 2
    assert logged[0]["waiting_share"] > 0.5
    assert throughput.pace.seconds >= throughput.pace.waited >= 0.08


def test_operations_are_those_of_the_cost_model(batch, model, monkeypatch) -> None:
    monkeypatch.setattr("dep.training.throughput.peak_flops", lambda: 1e12)
    module = SimpleNamespace(device=torch.device("cuda"), packs=False, backbone=model)
    throughput = Throughput()
    steps(throughput, module, batch, 1, 0, 0)
    lengths, targets = batch.attention_mask.sum(1).tolist(), (batch.labels != IGNORE).sum(1).tolist()
    expected = sum(training_flops(model.config, t, p) for t, p in zip(lengths, targets, strict=True))
    assert throughput.pace.flops == pytest.approx(expected, rel=1e-6)
    assert "utilisation" in throughput.pace.rates(throughput.peak)
