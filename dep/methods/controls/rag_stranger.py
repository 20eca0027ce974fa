"""A control that gives RAG the past reviews of another user, which shows what a user's own reviews add to any reviews.

Past reviews as text show an untuned LLM the form of a review, whoever wrote them. Only the difference between RAG and
this control is knowledge of the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.requests import MappedRequests, Requests
from dep.methods.controls.shuffled import donors
from dep.methods.rag import RAG
from dep.types import Example, Request
from dep.utils.registry import ComponentConfig

_ENOUGH = 16
"""A donor with this many past reviews serves any request, so that a heavy user's request finds one too."""


class RAGStranger(RAG):
    """RAG with as many past reviews of another user, the donor, in the place of the user's own.

    The donor, chosen by `donors`, has enough past reviews where anybody has.
    """

    kind = "rag_stranger"
    draws_donors = True
    label = "RAG, another user's reviews"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["rag_stranger"] = "rag_stranger"

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Give each request the past reviews of its donor, at most as many as it has itself."""

        def fits(example: Example, donor: Example) -> bool:
            return len(donor.profile) >= min(len(example.profile), _ENOUGH)

        donor_of = donors(requests, seed, fits)

        def swapped(at: int, request: Request) -> Request:
            return replace(request, slots=requests[donor_of[at]].slots[: len(request.slots)])

        return MappedRequests(requests, swapped)
