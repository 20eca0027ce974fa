"""DPL (Qiu et al., 2025), in which the LLM writes a profile from how the user's reviews differ from peers'.

For each retrieved review, clustering chooses representative peers of the same item. The LLM describes how the review
differs from these in writing, emotion and semantics. Then it writes a profile from the reviews and these descriptions.
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
    """PAG with another profile, which is written from the differences to peers' reviews."""

    kind = "dpl"
    label = "DPL"
    needs_peers = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """How the peers are chosen that a review is compared with."""

        kind: Literal["dpl"] = "dpl"
        peers: int = 4
        """Largest number of representative peers of a review, one from each cluster except the user's own."""
        seed: int = 0
        """Seed of the initial centres of k-means."""

    def calls(self, history: int) -> int:
        """Return the number of past reviews, each of which gets a text, plus 1 for the profile."""
        return history + 1

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Ask a question about each past review whose item has peers, and then a question for each profile."""
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
