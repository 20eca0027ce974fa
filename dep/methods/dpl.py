"""DPL (Qiu et al., 2025): the LLM names how the user's reviews differ from peers', and writes a profile of that.

For each retrieved review, representative peers on the same item are chosen by clustering; the LLM describes the
differences in writing, emotion and semantics, then summarises them with the reviews themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dep.methods.base import ProfileContext, Step
from dep.methods.pag import PAG
from dep.methods.profiles.questions import difference_question, unique_profile_question
from dep.types import Request, Slot
from dep.utils.registry import ComponentConfig


class DPL(PAG):
    """PAG, whose profile knows the peers."""

    kind = "dpl"
    label = "DPL"
    needs_peers = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which peers a review is compared with."""

        kind: Literal["dpl"] = "dpl"
        peers: int = 4
        """Representative peers of a review at most, one from each cluster but the user's own."""
        seed: int = 0
        """Of k-means' first centres."""

    def calls(self, history: int) -> int:
        """A difference for each past review, and the profile."""
        return history + 1

    def write(self, requests: Sequence[Request], writing: ProfileContext) -> list[list[Step]]:
        """A question for each past review whose item others reviewed, and one for the profile."""
        asks, owners = [], []
        for at, request in enumerate(requests):
            for k, slot in enumerate(request.slots):
                peers = self._peers(writing, request.category, slot)
                if peers:
                    asks.append(difference_question(slot, peers, writing.instructions))
                    owners.append((at, k))
        answers = writing.ask(asks)
        steps: list[list[Step]] = [[] for _ in requests]
        found: list[dict[int, str]] = [{} for _ in requests]
        for (at, k), ask, text in zip(owners, asks, answers, strict=True):
            steps[at].append(Step(ask, text))
            found[at][k] = text
        summaries = [
            unique_profile_question(r.slots, [known.get(k, "") for k in range(len(r.slots))], writing.instructions)
            for r, known in zip(requests, found, strict=True)
        ]
        for mine, ask, text in zip(steps, summaries, writing.ask(summaries), strict=True):
            mine.append(Step(ask, text))
        return steps

    def _peers(self, writing: ProfileContext, category: str, slot: Slot) -> list[str]:
        assert writing.peers is not None, "a method that compares is given peers"
        config = self.config
        assert isinstance(config, DPL.Config)
        return writing.peers(category, slot, config.peers, config.seed)
