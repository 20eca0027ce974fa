"""DPL (Qiu et al., 2025): the LLM describes how the user's reviews differ from peers', then writes a profile from that.

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
    """PAG, with a profile that is written from differences to peers' reviews."""

    kind = "dpl"
    label = "DPL"
    needs_peers = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The choice of the peers that a review is compared with."""

        kind: Literal["dpl"] = "dpl"
        peers: int = 4
        """Maximum number of representative peers of a review, one from each cluster except the user's own."""
        seed: int = 0
        """Seed of the first centres of k-means."""

    def calls(self, history: int) -> int:
        """One description of the difference for each past review, and the profile."""
        return history + 1

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Ask one question for each past review whose item has peers, then one question for each profile."""
        questions, positions = [], []
        for at, request in enumerate(requests):
            for k, slot in enumerate(request.slots):
                peers = self._peers(context, request.category, slot)
                if peers:
                    questions.append(difference_question(slot, peers, context.instructions))
                    positions.append((at, k))
        answers = context.ask(questions)
        steps: list[list[Step]] = [[] for _ in requests]
        differences: list[dict[int, str]] = [{} for _ in requests]
        for (at, k), question, answer in zip(positions, questions, answers, strict=True):
            steps[at].append(Step(question, answer))
            differences[at][k] = answer
        summaries = [
            unique_profile_question(r.slots, [by_slot.get(k, "") for k in range(len(r.slots))], context.instructions)
            for r, by_slot in zip(requests, differences, strict=True)
        ]
        for request_steps, question, answer in zip(steps, summaries, context.ask(summaries), strict=True):
            request_steps.append(Step(question, answer))
        return steps

    def _peers(self, context: ProfileContext, category: str, slot: Slot) -> list[str]:
        assert context.peers is not None, "a method with needs_peers gets peers"
        config = self.config
        assert isinstance(config, DPL.Config)
        return context.peers(category, slot, config.peers, config.seed)
