"""Writes texts where rows side by side are not exact, or where vLLM runs the LLM."""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from dataclasses import replace
from typing import Literal

from dep.data.collate import Collator
from dep.inference.generator import Generate
from dep.inference.settings import GenerateConfig
from dep.pipeline.personalizer import Personalizer
from dep.serving.tickets import Answer, Cancelled, Ticket
from dep.types import Prompt, Request


class _Waiting:
    """The requests that a writer has admitted and not yet written."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._tickets: list[tuple[Ticket, Request]] = []

    @property
    def room(self) -> int:
        """How many further requests can be admitted now."""
        return self._rows - self.live

    @property
    def live(self) -> int:
        """How many requests are being written."""
        return len(self._tickets)

    def admit(self, ticket: Ticket, request: Request) -> None:
        """Take a request, which the next step writes."""
        self._tickets.append((ticket, request))

    def fail(self, error: Exception) -> None:
        """Give up all texts that are being written."""
        for ticket, _ in self._tickets:
            ticket.emit(error)
        self._tickets = []


class LoneWriter(_Waiting):
    """Writes one text after another: for adapters that act inside the LLM's layers, and LLMs without an exact batch."""

    def __init__(self, personalizer: Personalizer) -> None:
        super().__init__(1)
        self._writer, self._tokenizer = personalizer.writer, personalizer.tokenizer

    def step(self) -> None:
        """Write the text of the request to its end."""
        ticket, request = self._tickets[0]
        pieces = []
        for piece in self._writer.stream(request, ticket.ask):
            if ticket.cancelled:
                break
            pieces.append(piece)
            if ticket.streams:
                ticket.emit(piece)
        text = "".join(pieces)
        longest = self._writer.settings_of(ticket.ask).max_new_tokens
        tokens = len(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        self._tickets = []
        ticket.emit(
            Cancelled() if ticket.cancelled else answer(text, self._writer.builder.build(request), tokens, longest)
        )


class VllmWriter(_Waiting):
    """Writes admitted texts by vLLM from prompt embeddings, those of equal settings in one call; each is one piece.

    Args:
        personalizer: the adapter.
        engine: `dep.inference.vllm.VLLM` of its backbone.
    """

    def __init__(self, personalizer: Personalizer, engine: Generate) -> None:
        super().__init__(engine.config.batch_size)
        self._writer, self._tokenizer, self.engine = personalizer.writer, personalizer.tokenizer, engine
        self._collate = Collator(int(personalizer.tokenizer.pad_token_id or 0), side="left", answers=False)

    def step(self) -> None:
        """Write the texts of all admitted requests."""
        groups = defaultdict[tuple[object, ...], list[tuple[Ticket, Prompt, GenerateConfig]]](list)
        admitted, self._tickets = self._tickets, []
        for ticket, request in admitted:
            if ticket.cancelled:
                ticket.emit(Cancelled())
            else:
                prompt = self._writer.builder.build(request)
                settings = self._writer.settings_of(ticket.ask)
                group = groups[settings.max_new_tokens, settings.temperature, settings.top_p]
                group.append((ticket, replace(prompt, key=f"{ticket.ask.seed}/{prompt.key}"), settings))
        for group in groups.values():
            engine = copy(self.engine)
            engine.config = group[0][2]
            texts = [text for _, text in engine([prompt for _, prompt, _ in group], self._collate)]
            for (ticket, prompt, settings), text in zip(group, texts, strict=True):
                if ticket.streams:
                    ticket.emit(text)
                tokens = len(self._tokenizer(text, add_special_tokens=False)["input_ids"])
                ticket.emit(answer(text, prompt, tokens, settings.max_new_tokens))


def answer(text: str, prompt: Prompt, tokens: int, longest: int) -> Answer:
    """Return the answer for a text of so many tokens, counted anew, without the one that ends it."""
    finish: Literal["stop", "length"] = "length" if tokens >= longest else "stop"
    return Answer(text, finish, len(prompt.ids), tokens)
