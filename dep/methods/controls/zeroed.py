"""Control: trained DEP, with one branch's vectors set to zero at test time.

The loss in likelihood measures how much the trained adapter uses that branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dep.data.prompts.requests import Requests
from dep.methods.base import MappedRequests
from dep.methods.dep import DEP
from dep.types import Request, Slot
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor


class Zeroed(DEP):
    """DEP's adapter, with one branch set to zero at test time."""

    kind = "zeroed"
    label = "DEP, a branch zeroed"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The branch to set to zero."""

        kind: Literal["zeroed"] = "zeroed"
        branch: Literal["his", "diff"] = "diff"
        """Branch whose vectors are set to zero; its slot tokens stay in the prompt."""

    config: Config

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Return the requests with that branch's vectors set to zero."""
        return MappedRequests(
            requests, lambda _, request: replace(request, slots=tuple(map(self._zeroed, request.slots)))
        )

    def _zeroed(self, slot: Slot) -> Slot:
        branch = self.config.branch
        vector: Tensor | None = getattr(slot, branch)
        if vector is None:
            return slot
        return replace(slot, his=vector * 0) if branch == "his" else replace(slot, diff=vector * 0)
