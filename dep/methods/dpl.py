"""DPL (Qiu et al., 2025): the LLM describes how the user's reviews differ from peers', then writes a profile.

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
    """PAG with a profile that is written from differences to peers."""

    kind = "dpl"
    label = "DPL"
    needs_peers = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The peers that a review is compared with."""

        kind: Literal["dpl"] = "dpl"
        peers: int = 4
        """Most representative peers of a review, one from each cluster but the user's own."""
        seed: int = 0
        """Seed of k-means' initial centres."""

    def calls(self, history: int) -> int:
        """One for the difference of each past review, and one for the profile."""
        return history + 1

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """One question for each past review whose item others reviewed, then one for the profile."""
        questions, owners = [], []
        for at, request in enumerate(requests):
            for k, slot in enumerate(request.slots):
                peers = self._peers(context, request.category, slot)
                if peers:
                    questions.append(difference_question(slot, peers, context.instructions))
                    owners.append((at, k))
        answers = context.ask(questions)
        steps: list[list[Step]] = [[] for _ in requests]
        differences: list[dict[int, str]] = [{} for _ in requests]
        for (at, k), ask, text in zip(owners, questions, answers, strict=True):
            steps[at].append(Step(ask, text))
            differences[at][k] = text
        summaries = [
            unique_profile_question(r.slots, [texts.get(k, "") for k in range(len(r.slots))], context.instructions)
            for r, texts in zip(requests, differences, strict=True)
        ]
        for own_steps, ask, text in zip(steps, summaries, context.ask(summaries), strict=True):
            own_steps.append(Step(ask, text))
        return steps

    def _peers(self, context: ProfileContext, category: str, slot: Slot) -> list[str]:
        assert context.peers is not None, "needs_peers brings them"
        config = self.config
        assert isinstance(config, DPL.Config)
        return context.peers(category, slot, config.peers, config.seed)
