"""Control: DEP as it is before any training, so that what training brings can be told from what soft tokens do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.methods.dep import DEP
from dep.utils.registry import ComponentConfig


class Untrained(DEP):
    """Random projectors, drawn by the arm's seed."""

    kind = "untrained"
    label = "DEP, untrained"
    role = "control"
    trains = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["untrained"] = "untrained"
