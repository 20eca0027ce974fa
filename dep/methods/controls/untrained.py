"""Control: DEP as it is before any training, so that what training brings can be told from what soft tokens do."""

from __future__ import annotations

from dep.methods.dep import DEP


class Untrained(DEP):
    """Random projectors, drawn by the arm's seed."""

    kind = "untrained"
    label = "DEP, untrained"
    trains = False
