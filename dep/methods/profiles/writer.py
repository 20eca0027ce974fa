"""Writers of profiles, and a cache of their answers by content.

    cache/written/<12 digits of the writer's name>.jsonl    one line per answer: key (hash of the question), text

Each answer is written to disk at once, so that an interruption loses one batch or one call. Equal questions of any arm,
seed or run are asked once.
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
    """Everything that an answer depends on beside the question."""

    def __call__(self, asks: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Yield (index, answer) for the questions `asks`, in any order."""


class BackboneWriter:
    """The frozen LLM with greedy decoding, so that profiles do not depend on an arm's seed."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        prompt: PromptConfig,
        max_new_tokens: int,
        generate: GenerateConfig,
    ) -> None:
        """Store model and settings.

        Args:
            model: the backbone.
            tokenizer: its tokenizer.
            name: identifies the backbone.
            prompt: chat form and length limit of the run.
            max_new_tokens: most tokens of an answer.
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
        """Yield (index, answer), in batches of similar length, longest first."""
        prompts = [Prompt(str(at), self.builder.ask(ask), []) for at, ask in enumerate(asks)]
        for key, text in self.generate(prompts, self.collate):
            yield int(key), text


class CachedWriter:
    """Caches the answers of a writer on disk.

    Args:
        writer: answers new questions.
        folder: the cache.
    """

    def __init__(self, writer: Writer, folder: Path) -> None:
        self.writer = writer
        self.path = folder / "written" / f"{text_digest(writer.name)[:12]}.jsonl"

    def __call__(self, asks: Sequence[ChatRequest]) -> list[str]:
        """Return one answer for each question, in order; equal questions are asked once."""
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
        """Answers on disk by key, without a line that an interruption cut short."""
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
