"""NLL, the negative log likelihood of the user's real review under the model.

NLL = −(1/T) Σ_{t=1..T} log p(y_t | y_<t, prompt), in nats a token; T includes the end token
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.evaluation.metrics.base import ModelMetric
from dep.utils.registry import ComponentConfig


class NLL(ModelMetric):
    """The real review's NLL per token, averaged over examples; the generation stage has computed it."""

    name = "nll"
    label = "NLL"
    unit = "nats a token, lower is better"
    decimals = 4
    higher_is_better = False
    order = 60

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The metric nll has no settings."""

        kind: Literal["nll"] = "nll"

    @property
    def signature(self) -> str:
        """The signature, which says what is averaged and in which unit."""
        return "nll|value:mean over examples of the real review's NLL per token, in nats|end token:counted"
