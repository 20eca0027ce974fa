"""Generates and scores the texts of requests with the frozen LLM and the adapter."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_frame import without_thinking
from dep.inference.capabilities import capabilities
from dep.inference.generator import Generate, RequestSampler
from dep.inference.prefix_store import PrefixStore
from dep.inference.settings import GenerateConfig
from dep.pipeline.arm import Arm
from dep.pipeline.personal.inputs import Ask
from dep.pipeline.personal.latents import units_set
from dep.types import Prompt, Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from dep.training.module import PersonalizationModule


Tap = Callable[[int], None]
"""Receives the id of each token of a text when it is chosen."""


class _Ended(Exception):
    """Raised in the thread that writes a text when nobody reads the text any more."""


class Writer:
    """Generates and scores texts, one call at a time.

    Args:
        module: the backbone with the adapter.
        tokenizer: the backbone's tokenizer.
        arm: the arm.
    """

    def __init__(self, module: PersonalizationModule, tokenizer: PreTrainedTokenizerBase, arm: Arm) -> None:
        self.module, self.tokenizer, self.settings = module, tokenizer, replace(arm.config.generate, progress=False)
        prompt, soft = arm.configured
        tokens = arm.config.projector.tokens
        self.builder = PromptBuilder(tokenizer, prompt, soft.branches, keeps_prefixes=True, tokens=tokens)
        self.plain = PromptBuilder(tokenizer, replace(prompt, reads_user_history=False, user_tokens=0))
        self._kept = PrefixStore(Path(), limit=0)
        self._generate = Generate(self.settings, module.backbone, tokenizer, module.soft_prompt, self._kept)
        self._thinks = bool(prompt.template_arguments.get("enable_thinking"))
        self._pad = int(tokenizer.pad_token_id or 0)
        self.lock = threading.RLock()

    def forget(self) -> None:
        """Drop what is kept of the texts in earlier prompts: token ids, and what the LLM made of their beginnings."""
        self.builder.forget()
        self.plain.forget()
        self._kept.forget()

    def texts(self, requests: Sequence[Request], asks: Sequence[Ask]) -> list[str]:
        """Generate one text for each request, several requests at a time, with the settings of its ask."""
        prompts = [self.builder.build(request) for request in requests]
        texts = [""] * len(prompts)
        for group in self._groups(prompts, asks):
            plain = [self.plain.build(requests[at]) for at in group] if self.settings.contrast else None
            written = self._texts([prompts[at] for at in group], [asks[at] for at in group], plain)
            for at, text in zip(group, written, strict=True):
                texts[at] = text
        return texts

    def _groups(self, prompts: Sequence[Prompt], asks: Sequence[Ask]) -> Iterator[list[int]]:
        """Yield the indices of prompts that are written together: equal settings, the longest prompts first."""
        padded, together = capabilities(self.module.backbone).padding, defaultdict[tuple[object, ...], list[int]](list)
        for at, (prompt, ask) in enumerate(zip(prompts, asks, strict=True)):
            alone = (at,) if not padded and self.settings.contrast else ()
            length = 0 if padded else len(prompt.ids)
            units = tuple(sorted(ask.units.items()))
            together[ask.max_new_tokens, ask.temperature, ask.top_p, units, length, alone].append(at)
        for group in together.values():
            group.sort(key=lambda at: -len(prompts[at].ids))
            yield from (
                group[start : start + self.settings.batch_size]
                for start in range(0, len(group), self.settings.batch_size)
            )

    def stream(self, request: Request, ask: Ask) -> Iterator[str]:
        """Generate the text of a request and yield it piece by piece; leaving the iterator ends the generation."""
        prompt = self.builder.build(request)
        plain = [self.plain.build(request)] if self.settings.contrast else None
        tokens: Queue[int | None] = Queue()
        ended, result = threading.Event(), Future[str]()

        def tap(token: int) -> None:
            if ended.is_set():
                raise _Ended
            tokens.put(token)

        def write() -> None:
            try:
                result.set_result(self._texts([prompt], [ask], plain, tap)[0])
            except BaseException as error:
                result.set_exception(error)
            tokens.put(None)

        thread = threading.Thread(target=write, name="dep-stream", daemon=True)
        thread.start()
        ids, sent = list[int](), ""
        try:
            while (token := tokens.get()) is not None:
                if token in self._generate.stop:
                    continue
                ids.append(token)
                text = self.so_far(ids)
                if text.startswith(sent) and len(text) > len(sent):
                    yield text[len(sent) :]
                    sent = text
            if (text := result.result()).startswith(sent) and len(text) > len(sent):
                yield text[len(sent) :]
        finally:
            ended.set()
            thread.join()

    def so_far(self, ids: list[int]) -> str:
        """Return the part of an unfinished text that further tokens cannot change."""
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        if (self._thinks or text.lstrip()[:1] in ("<", "[")) and "</" not in text and "[/" not in text:
            return ""  # what may be a thought, which the finished text leaves out
        return without_thinking(text).rstrip("\ufffd")  # the token of a half character

    def nll(self, requests: Sequence[Request], texts: Sequence[str], asks: Sequence[Ask]) -> list[float]:
        """Compute the negative log likelihood of each text in nats per token, several at a time."""
        together = defaultdict[tuple[tuple[int, float], ...], list[int]](list)
        for at, ask in enumerate(asks):
            together[tuple(sorted(ask.units.items()))].append(at)
        found = [0.0] * len(asks)
        for units, group in together.items():
            for some in (
                group[at : at + self.settings.batch_size] for at in range(0, len(group), self.settings.batch_size)
            ):
                with self.lock, torch.no_grad(), units_set(self.module.soft_prompt.adapter, dict(units)):
                    values = self.loss([requests[at] for at in some], [texts[at] for at in some]).tolist()
                for at, value in zip(some, values, strict=True):
                    found[at] = value
        return found

    def loss(self, requests: Sequence[Request], texts: Sequence[str]) -> Tensor:
        """Compute the negative log likelihood [B] of each text in nats per token, in one batch."""
        prompts = [self.builder.build(replace(r, text=text)) for r, text in zip(requests, texts, strict=True)]
        with self.lock:
            nll_B, tokens_B = self.module.example_nll(Collator(self._pad)(prompts).to(self.module.backbone.device))
        return nll_B / tokens_B

    def settings_of(self, ask: Ask) -> GenerateConfig:
        """Return the adapter's settings of generation with those of an ask."""
        given = {name: getattr(ask, name) for name in ("max_new_tokens", "temperature", "top_p")}
        return replace(self.settings, **{name: value for name, value in given.items() if value is not None})

    def _texts(
        self, prompts: Sequence[Prompt], asks: Sequence[Ask], plain: Sequence[Prompt] | None, tap: Tap | None = None
    ) -> list[str]:
        """Generate the texts of one batch; `tap` receives each token of the first text when it is chosen."""
        generate = copy(self._generate)
        generate.config = self.settings_of(asks[0])
        collate = Collator(self._pad, side="left", answers=False)
        streams = [random.Random(f"{ask.seed}/{prompt.key}") for ask, prompt in zip(asks, prompts, strict=True)]
        sampler = _AskSampler(generate.config, streams, generate.suppressed, tap)
        with self.lock, units_set(self.module.soft_prompt.adapter, asks[0].units):
            return generate.texts(collate(prompts), None if plain is None else collate(plain), sampler)


class _AskSampler(RequestSampler):
    """Draws the tokens of each text by a given random stream, and passes those of the first text to `tap`."""

    def __init__(
        self, config: GenerateConfig, streams: list[random.Random], suppressed: Sequence[int], tap: Tap | None
    ) -> None:
        super().__init__(config, [], suppressed)
        self.streams, self.tap = streams, tap

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Choose the next token of each text; return ids [B, 1]."""
        token_B1 = super().draw(logits_BV)
        if self.tap is not None:
            self.tap(int(token_B1[0, 0]))
        return token_B1
