from __future__ import annotations

import pytest
import torch

from dep.evaluation.as_torchmetrics import TorchMetric
from dep.evaluation.metrics import build_metric

TEXTS = ["a great film and it ends", "the music was loud and bad", "i loved it not at all", ""]
REFERENCES = [
    "a great film and it never ends",
    "the music was loud and long",
    "i loved it all the way",
    "bad",
]


@pytest.mark.parametrize("name", ["rouge1", "rougeL", "bleu"])
def test_the_sum_over_batches_gives_the_corpus_number(name):
    metric = TorchMetric(name)
    for start in (0, 3):
        metric.update(TEXTS[start : start + 3], REFERENCES[start : start + 3])
    metric.update([], [])
    assert float(metric.compute()) == pytest.approx(build_metric(name).corpus(TEXTS, REFERENCES), rel=1e-6)


@pytest.mark.parametrize("name", ["rouge1", "bleu"])
def test_the_states_of_two_devices_are_summed(name):
    other = TorchMetric(name)
    other.update(TEXTS[2:], REFERENCES[2:])
    here = TorchMetric(
        name,
        dist_sync_fn=lambda state, group: [state, other.sums],
        distributed_available_fn=lambda: True,
    )
    here.update(TEXTS[:2], REFERENCES[:2])
    assert float(here.compute()) == pytest.approx(build_metric(name).corpus(TEXTS, REFERENCES), rel=1e-6)


def test_a_reset_clears_the_state():
    metric = TorchMetric("bleu")
    metric.update(TEXTS, REFERENCES)
    metric.reset()
    assert float(metric.compute()) == 0
    assert metric.sums.dtype == torch.float64


def test_a_metric_without_texts_is_zero():
    assert float(TorchMetric("rouge1").compute()) == 0
