"""Asks a language model behind an OpenAI-compatible server, and keeps every raw reply in a file.

    replies.jsonl   one line for each question: id, kind, key, arms, model, system, prompt, reply, error

A reply is asked for once: a later call takes it from the file. A failed call has an `error` and no reply; it counts as
missing, and a later call asks again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from dep.data.prompts.chat_frame import without_thinking
from dep.evaluation.judge_settings import JudgeConfig
from dep.judging.llm_questions import Question
from dep.utils.atomic_io import as_line, read_rows, write_rows
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.progress import stage


def ask(questions: Sequence[Question], config: JudgeConfig, path: Path) -> list[str | None]:
    """Return the reply to each question, in order; None where a call failed after all retries.

    Args:
        questions: the questions.
        config: the server, its model and limits.
        path: the file of replies, which is read first and to which each new reply is written at once.

    Raises:
        DepError: `url` is missing, there are more questions to ask than `max_calls`, or no call succeeds.
    """
    if not config.url:
        raise DepError(
            "evaluate.judge.url", "the address of a server", "none", "as evaluate.judge.url=http://localhost:8000/v1"
        )
    kept = {row["id"]: row for row in read_rows(path)}
    ids = [json_digest([config.url, config.model, config.max_new_tokens, q.system, q.text])[:20] for q in questions]
    pending = {one: q for one, q in zip(ids, questions, strict=True) if kept.get(one, {}).get("reply") is None}
    if config.max_calls and len(pending) > config.max_calls:
        raise DepError(
            "evaluate.judge.max_calls", f"at least {len(pending)}, the number of calls to make", str(config.max_calls),
            "raise it, or lower evaluate.judge.requests",
        )  # fmt: skip
    if pending:
        write_rows(path, kept.values())  # drops a line that an interruption cut short
        with path.open("a", encoding="utf-8") as file:
            for one, outcome in _answers(pending, config):
                question = pending[one]
                names = {"kind": question.kind, "key": question.key, "arms": list(question.arms)}
                asked = {"model": config.model, "system": question.system, "prompt": question.text}
                kept[one] = {"id": one, **names, **asked, **outcome}
                file.write(as_line(kept[one]))
                file.flush()
        write_rows(path, kept.values())
    replies = (kept[one]["reply"] for one in ids)
    return [None if reply is None else without_thinking(reply) for reply in replies]


def _answers(pending: Mapping[str, Question], config: JudgeConfig) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield the id of each question, and its reply or error, in the order in which the calls end."""
    from openai import OpenAI, OpenAIError

    key = os.environ.get(config.key_variable) or "none"
    client = OpenAI(base_url=config.url, api_key=key, max_retries=config.retries, timeout=config.timeout)

    def call(question: Question) -> str:
        answer = client.chat.completions.create(
            model=config.model, temperature=0.0, max_tokens=config.max_new_tokens,
            messages=[{"role": "system", "content": question.system}, {"role": "user", "content": question.text}],
        )  # fmt: skip
        return str(answer.choices[0].message.content or "")

    failed = succeeded = 0
    with (
        client,
        ThreadPoolExecutor(config.workers) as pool,
        stage(f"ask {config.model}", len(pending)) as advance,
    ):
        calls = {pool.submit(call, question): one for one, question in pending.items()}
        for done in as_completed(calls):
            try:
                outcome: dict[str, str | None] = {"reply": done.result(), "error": None}
                succeeded += 1
            except (OpenAIError, json.JSONDecodeError, IndexError) as error:
                outcome = {"reply": None, "error": f"{type(error).__name__}: {error}"[:500]}
                failed += 1
            yield calls[done], outcome
            advance(1)
            if not succeeded and failed >= min(config.workers, len(calls)):
                for other in calls:
                    other.cancel()
                raise DepError(
                    f"{config.url}: model {config.model}", "a reply",
                    f"none to the first {failed} calls, the last with "
                    f"{outcome['error']}", "start the server, or correct evaluate.judge.url and evaluate.judge.model",
                )  # fmt: skip
