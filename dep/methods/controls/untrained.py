"""A control that uses DEP before training, which shows the effect of soft tokens without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.methods.dep import DEP
from dep.utils.registry import ComponentConfig


class Untrained(DEP):
    """DEP with an untrained adapter, whose initial weights follow from the arm's seed."""

    kind = "untrained"
    label = "DEP, untrained"
    role = "control"
    trains = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["untrained"] = "untrained"
