"""The systems that the page compares: the frozen LLM alone, the LLM with past reviews as text, and the adapter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import NamedTuple

import dep

_EVERY = 0.05
"""Seconds between two states of a text that is being written."""


class System(NamedTuple):
    """A system with its name and label on the page, and the name of its arm."""

    name: str
    arm: str
    label: str
    personalizer: dep.Personalizer


class Systems:
    """Writes and scores reviews with three systems, which share one loaded LLM.

    Args:
        ours: the adapter.
    """

    def __init__(self, ours: dep.Personalizer) -> None:
        plain, rag = ours.baseline("non_perso"), ours.baseline("rag")
        arm = ours.arm.name if ours.folder is None else ours.folder.resolve().parent.name
        self.all = (
            System("non_perso", "non_perso", "Non-Perso", plain),
            System("rag", "rag", "RAG", rag),
            System("ours", arm, ours.arm.label, ours),
        )

    def write(
        self, ask: dep.Ask, strength: dep.Strength, changed: AbstractContextManager[None] | None = None
    ) -> Iterator[list[str]]:
        """Write a review with each system in turn, and yield the texts so far.

        Args:
            ask: the review.
            strength: how strongly the user's vectors count; only the adapter reads them.
            changed: is entered while the adapter writes.
        """
        texts, last = [""] * len(self.all), 0.0
        for at, system in enumerate(self.all):
            ours = system.name == "ours"
            asked = replace(ask, strength=strength) if ours else ask
            with changed if ours and changed is not None else nullcontext():
                for piece in system.personalizer.stream(asked):
                    texts[at] += piece
                    if time.monotonic() - last > _EVERY:
                        yield list(texts)
                        last = time.monotonic()
        yield list(texts)

    def likelihoods(
        self, ask: dep.Ask, strength: dep.Strength, text: str, changed: AbstractContextManager[None] | None = None
    ) -> list[float]:
        """Compute the NLL of a text under each system, in nats per token; `write` documents the arguments."""
        *plain, ours = (system.personalizer for system in self.all)
        found = [one.likelihood(ask, text) for one in plain]
        with nullcontext() if changed is None else changed:
            return [*found, ours.likelihood(replace(ask, strength=strength), text)]
