"""Writers answer questions about users with the backbone or a server; every answer is cached under its question.

    cache/written/<12 digits of the writer's digest>.jsonl    one line for each answer: key of the question, text

Each answer is written to disk when it arrives, so that an interruption loses at most one batch or one call. Equal
questions are answered only once for all systems, seeds and runs.
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
    """The interface of writers."""

    name: str
    """Names everything that an answer depends on besides the question."""

    def __call__(self, questions: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Yield a pair (index, answer) for each question, in any order."""


class BackboneWriter:
    """Answers by greedy decoding with the frozen LLM, so that profiles do not depend on an arm's seed."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        prompt: PromptConfig,
        max_new_tokens: int,
        generate: GenerateConfig,
    ) -> None:
        """Build the prompt builder and the generator.

        Args:
            model: the backbone.
            tokenizer: the backbone's tokenizer.
            name: identifies the backbone.
            prompt: its chat template and length limits are used.
            max_new_tokens: largest number of tokens in an answer.
            generate: its batch size and progress bar are used.
        """
        self.builder = PromptBuilder(tokenizer, prompt)
        frame = self.builder.frame("").digest
        self.name = json.dumps([name, frame, prompt.max_input_tokens, prompt.max_review_tokens, max_new_tokens])
        no_soft_tokens = build_soft_prompt(
            SoftPromptConfig(branches=[]), NoCompressorConfig(), ProjectorConfig(),
            width=1, model=model, tokenizer=tokenizer,
        )  # fmt: skip
        settings = GenerateConfig(
            greedy=True, max_new_tokens=max_new_tokens, batch_size=generate.batch_size, progress=generate.progress
        )
        self.generate = Generate(settings, model, tokenizer, no_soft_tokens)
        self.collate = Collator(int(tokenizer.pad_token_id or 0), side="left", answers=False)

    def __call__(self, questions: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Yield pairs (index, answer), in batches of questions of similar length, the longest first."""
        prompts = [Prompt(str(at), self.builder.ask(question), []) for at, question in enumerate(questions)]
        for key, text in self.generate(prompts, self.collate):
            yield int(key), text


class CachedWriter:
    """Caches the answers of a writer on disk.

    Args:
        writer: answers the questions that are not cached.
        folder: the cache folder.
    """

    def __init__(self, writer: Writer, folder: Path) -> None:
        self.writer = writer
        self.path = folder / "written" / f"{text_digest(writer.name)[:12]}.jsonl"

    def __call__(self, questions: Sequence[ChatRequest]) -> list[str]:
        """Return one answer for each question, in order; equal questions are asked only once."""
        keys = [_key(question) for question in questions]
        cached = self._read()
        new = {key: question for key, question in zip(keys, questions, strict=True) if key not in cached}
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            names = list(new)
            for at, text in self.writer(list(new.values())):
                cached[names[at]] = text
                self._add(names[at], text)
        return [cached[key] for key in keys]

    def _read(self) -> dict[str, str]:
        """Read the cached answers by key; a line that an interruption cut short is skipped."""
        answers: dict[str, str] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.is_file() else []
        for line in lines:
            try:
                row: Any = json.loads(line)
                answers[row["key"]] = row["text"]
            except (ValueError, KeyError, TypeError):
                continue
        return answers

    def _add(self, key: str, text: str) -> None:
        with file_lock(self.path.parent.with_suffix(".lock")), self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": key, "text": text}, ensure_ascii=False))


def _key(question: ChatRequest) -> str:
    return text_digest(json.dumps(asdict(question)))
