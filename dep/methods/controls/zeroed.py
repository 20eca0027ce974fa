"""A control that sets the vectors of one branch to zero at test time, after DEP was trained with both.

The branches are `his` (a review's own vector) and `diff` (its difference from peers). How much the likelihood falls
measures how much the trained adapter uses the branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dep.data.prompts.requests import MappedRequests, Requests
from dep.methods.dep import DEP
from dep.types import Request, Slot
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor


class Zeroed(DEP):
    """DEP's trained adapter with the vectors of one branch set to zero at test time."""

    kind = "zeroed"
    label = "DEP, a branch zeroed"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which branch is set to zero."""

        kind: Literal["zeroed"] = "zeroed"
        branch: Literal["his", "diff"] = "diff"
        """The branch whose vectors are set to zero; its slot tokens stay in the prompt."""

    config: Config

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Set the vectors of the branch to zero in each request."""
        return MappedRequests(
            requests, lambda _, request: replace(request, slots=tuple(map(self._zeroed, request.slots)))
        )

    def _zeroed(self, slot: Slot) -> Slot:
        branch = self.config.branch
        vector: Tensor | None = getattr(slot, branch)
        if vector is None:
            return slot
        return replace(slot, his=vector * 0) if branch == "his" else replace(slot, diff=vector * 0)
