"""Who answers questions about users: the backbone itself, or a server; every answer is kept by content.

    cache/written/<12 of the writer's name>.jsonl    a line an answer: key (of the question), text

Each answer is on disk as soon as it is there, so that an interruption costs one batch or one call, and an equal
question is asked once, whichever arm, seed or run asks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.settings import PromptConfig
from dep.inference.generator import Generate
from dep.inference.settings import GenerateConfig
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.types import Prompt
from dep.utils.hashing import text_digest
from dep.utils.locks import file_lock


class Writer(Protocol):
    """Answers questions."""

    name: str
    """What an answer depends on beside the question."""

    def __call__(self, asks: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Answer `asks`, in any order, as (index, text)."""


class BackboneWriter:
    """The frozen LLM, greedily: profiles do not change with the seed of an arm."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        prompt: PromptConfig,
        max_new_tokens: int,
        generate: GenerateConfig,
    ) -> None:
        """Bind the parts.

        Args:
            model: the backbone.
            tokenizer: its tokenizer.
            name: what tells this backbone from others.
            prompt: chat form and length limit of the run.
            max_new_tokens: longest answer.
            generate: batch size and progress bar of the run.
        """
        self.name = json.dumps([name, prompt.chat, prompt.max_input_tokens, max_new_tokens])
        self.builder = PromptBuilder(tokenizer, prompt)
        silent = build_soft_prompt(
            SoftPromptConfig(branches=[]), NoCompressorConfig(), ProjectorConfig(),
            width=1, model=model, tokenizer=tokenizer,
        )  # fmt: skip
        settings = GenerateConfig(
            greedy=True, max_new_tokens=max_new_tokens, batch_size=generate.batch_size, progress=generate.progress
        )
        self.generate = Generate(settings, model, tokenizer, silent)
        self.collate = Collator(int(tokenizer.pad_token_id or 0), side="left", answers=False)

    def __call__(self, asks: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Batches of like length, the longest first."""
        prompts = [Prompt(str(at), self.builder.ask(ask), []) for at, ask in enumerate(asks)]
        for key, text in self.generate(prompts, self.collate):
            yield int(key), text


class CachedWriter:
    """A writer whose answers are kept on disk.

    Args:
        writer: answers what is not there yet.
        folder: of the cache.
    """

    def __init__(self, writer: Writer, folder: Path) -> None:
        self.writer = writer
        self.path = folder / "written" / f"{text_digest(writer.name)[:12]}.jsonl"

    def __call__(self, asks: Sequence[ChatRequest]) -> list[str]:
        """One answer for each of `asks`, in order; equal ones are asked once."""
        keys = [_key(ask) for ask in asks]
        known = self._read()
        new = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in known}
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            names = list(new)
            for at, text in self.writer(list(new.values())):
                known[names[at]] = text
                self._add(names[at], text)
        return [known[key] for key in keys]

    def _read(self) -> dict[str, str]:
        """What is there; a line that an interruption cut short is passed over."""
        known: dict[str, str] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.is_file() else []
        for line in lines:
            try:
                row: Any = json.loads(line)
                known[row["key"]] = row["text"]
            except (ValueError, KeyError, TypeError):
                continue
        return known

    def _add(self, key: str, text: str) -> None:
        with file_lock(self.path.parent.with_suffix(".lock")), self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": key, "text": text}, ensure_ascii=False))


def _key(ask: ChatRequest) -> str:
    return text_digest(json.dumps(asdict(ask)))
