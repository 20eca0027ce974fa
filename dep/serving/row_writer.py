"""Writes the texts of several requests side by side, each with the bits that it would have alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dep.data.collate import Collator
from dep.inference.capabilities import capabilities
from dep.inference.generator import Generate, RequestSampler, decoded
from dep.inference.row_decoding import Row, RowDecoder
from dep.models.adapters.base import OutputChange
from dep.pipeline.personalizer import Personalizer
from dep.serving.tickets import Answer, Cancelled, Ticket
from dep.types import Prompt, Request


@dataclass
class _Text:
    """A text that is being written."""

    ticket: Ticket
    prompt: Prompt
    row: Row
    sampler: RequestSampler
    longest: int
    change: OutputChange | None
    """What an adapter at the LLM's output does to the text's logits."""
    ids: list[int] = field(default_factory=list)
    sent: str = ""


class RowWriter:
    """Adds one token to each of up to R texts at a time (`RowDecoder`).

    Args:
        personalizer: the adapter, of which `can_write` is true.
        decoder: its backbone's decoder, of which `is_exact` is true.
    """

    def __init__(self, personalizer: Personalizer, decoder: RowDecoder) -> None:
        self._writer, self._decoder = personalizer.writer, decoder
        module = personalizer.module
        self._soft_prompt, self._embed = module.soft_prompt, module.backbone.get_input_embeddings()
        self._backbone, self._device = module.backbone, module.backbone.device
        self._generate = Generate(self._writer.settings, module.backbone, personalizer.tokenizer, module.soft_prompt)
        self._collate = Collator(int(personalizer.tokenizer.pad_token_id or 0), side="left", answers=False)
        self._texts: list[_Text | None] = [None] * decoder.rows

    @staticmethod
    def can_write(personalizer: Personalizer) -> bool:
        """Return whether an adapter lets texts be written side by side: it acts on the prompt or the output."""
        module, settings = personalizer.module, personalizer.writer.settings
        return module.soft_prompt.prefix_safe and not settings.contrast and (
            capabilities(module.backbone).decoding == "cache"
        )  # fmt: skip

    @property
    def room(self) -> int:
        """The number of empty rows."""
        return self._texts.count(None)

    @property
    def live(self) -> int:
        """The number of texts that are being written."""
        return len(self._texts) - self.room

    @torch.no_grad()
    def admit(self, ticket: Ticket, request: Request) -> None:
        """Read a prompt and choose the first token of its text."""
        prompt = self._writer.builder.build(request)
        settings = replace(self._writer.settings_of(ticket.ask), seed=ticket.ask.seed)
        sampler = RequestSampler(settings, [prompt.key], self._generate.suppressed)
        with self._writer.lock:
            batch = self._collate([prompt]).to(self._device)
            row = self._decoder.read(self._soft_prompt(batch, self._embed).inputs_embeds[0])
        change = self._soft_prompt.output_change(self._backbone, batch)
        at = self._texts.index(None)
        self._texts[at] = _Text(ticket, prompt, row, sampler, settings.max_new_tokens, change)
        self._choose(at)

    def step(self) -> None:
        """Add a token to each text; texts whose requests were cancelled leave."""
        for at, text in enumerate(self._texts):
            if text is not None and text.ticket.cancelled:
                text.ticket.emit(Cancelled())
                self._texts[at] = None
        if self.live:
            with self._writer.lock:
                rows = [None if text is None else text.row for text in self._texts]
                self._decoder.step(rows, [0 if text is None else text.ids[-1] for text in self._texts])
            for at in range(len(self._texts)):
                self._choose(at)

    def fail(self, error: Exception) -> None:
        """Give up all texts that are being written."""
        for text in self._texts:
            if text is not None:
                text.ticket.emit(error)
        self._texts = [None] * len(self._texts)

    def _choose(self, at: int) -> None:
        """Choose the next token of the text in a row; the row is empty again if this ends the text."""
        text = self._texts[at]
        if text is None:
            return
        token = int(text.sampler.draw(self._logits(text)))
        text.ids.append(token)
        stopped = token in self._generate.stop
        if stopped or len(text.ids) == text.longest:
            whole = decoded(self._generate.tokenizer, text.ids, self._generate.stop)
            self._emit(text, whole)
            counts = len(text.prompt.ids), len(text.ids)
            text.ticket.emit(Answer(whole, "stop" if stopped else "length", *counts))
            self._texts[at] = None
        elif text.ticket.streams:
            self._emit(text, self._writer.so_far(text.ids))

    def _logits(self, text: _Text) -> Tensor:
        """Return the logits [1, V] of a text's next token; those of other texts play no part in them."""
        if text.change is None:
            return text.row.logits_1V
        with torch.no_grad():
            return text.change.log_probs(text.row.hidden_1D, torch.zeros(1, dtype=torch.long, device=self._device))

    def _emit(self, text: _Text, so_far: str) -> None:
        """Emit what a streamed text has more than was sent."""
        if text.ticket.streams and so_far.startswith(text.sent) and len(so_far) > len(text.sent):
            text.ticket.emit(so_far[len(text.sent) :])
            text.sent = so_far
