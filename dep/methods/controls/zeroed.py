"""Control: the trained DEP with one branch's vectors set to zero at test time.

The loss in likelihood is the trained adapter's use of that branch.
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
    """DEP's adapter with one branch zeroed."""

    kind = "zeroed"
    label = "DEP, a branch zeroed"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The branch to zero."""

        kind: Literal["zeroed"] = "zeroed"
        branch: Literal["his", "diff"] = "diff"
        """Its vectors become zero; its slot tokens stay."""

    config: Config

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Each request without that branch."""
        return MappedRequests(
            requests, lambda _, request: replace(request, slots=tuple(map(self._silenced, request.slots)))
        )

    def _silenced(self, slot: Slot) -> Slot:
        branch = self.config.branch
        vector: Tensor | None = getattr(slot, branch)
        if vector is None:
            return slot
        return replace(slot, his=vector * 0) if branch == "his" else replace(slot, diff=vector * 0)
