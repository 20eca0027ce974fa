"""Control: DEP before training, to separate the effect of training from that of soft tokens as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.methods.dep import DEP
from dep.utils.registry import ComponentConfig


class Untrained(DEP):
    """DEP with an untrained adapter, initialised from the arm's seed."""

    kind = "untrained"
    label = "DEP, untrained"
    role = "control"
    trains = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["untrained"] = "untrained"
