"""A writer that sends questions to a server with OpenAI's chat completions API, such as vLLM, llama.cpp or Ollama."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from dep.data.prompts.chat_frame import without_thinking
from dep.data.prompts.chat_request import ChatRequest
from dep.methods.profiles.settings import ProfileConfig
from dep.utils.errors import DepError
from dep.utils.progress import stage


class EndpointWriter:
    """Sends questions in parallel, with temperature 0; lost and refused calls are repeated after growing pauses.

    Args:
        config: the endpoint's url, model and limits.

    Raises:
        DepError: `profile.url` or `profile.model` is missing.
    """

    def __init__(self, config: ProfileConfig) -> None:
        missing = [name for name in ("url", "model") if not getattr(config, name)]
        if missing:
            raise DepError(
                f"profile.writer=endpoint: expected profile.{missing[0]}, found none; give url and model, as in "
                "profile.url=http://localhost:8000/v1 profile.model=Qwen/Qwen2.5-7B-Instruct"
            )
        self.config = config
        self.name = json.dumps([config.url, config.model, config.max_new_tokens])

    def __call__(self, questions: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Yield (index, answer) in the order in which the answers arrive.

        Raises:
            DepError: there are more questions than `max_calls`; no call has been made.
            ConnectionError: a call failed after all retries; the answers to running calls were yielded before.
        """
        limit = self.config.max_calls
        if limit and len(questions) > limit:
            raise DepError(
                f"{self.config.url}: expected at most {limit} calls (profile.max_calls), found {len(questions)} to "
                "make; raise it, or lower protocol.test_examples"
            )
        failed: Exception | None = None
        with (
            self._client() as client,
            ThreadPoolExecutor(self.config.workers) as pool,
            stage(f"ask {self.config.model}", len(questions)) as advance,
        ):
            calls = {pool.submit(self._ask, client, question): at for at, question in enumerate(questions)}
            for call in as_completed(calls):
                if call.cancelled():
                    continue
                if error := call.exception():
                    failed = failed or error if isinstance(error, Exception) else None
                    for other in calls:
                        other.cancel()
                    continue
                yield calls[call], call.result()
                advance(1)
        if failed is not None:
            raise DepError(
                f"{self.config.url}: a call to {self.config.model} failed after {self.config.retries} retries "
                f"({failed}); the answers so far are kept, run the same command again to continue"
            ) from failed

    def _client(self) -> Any:
        from openai import OpenAI

        return OpenAI(
            base_url=self.config.url,
            api_key=os.environ.get(self.config.key_variable) or "none",
            max_retries=self.config.retries,
            timeout=self.config.timeout,
        )

    def _ask(self, client: Any, question: ChatRequest) -> str:
        answer = client.chat.completions.create(
            model=self.config.model,
            messages=[{"role": "system", "content": question.system}, {"role": "user", "content": question.text}],
            temperature=0.0,
            max_tokens=self.config.max_new_tokens,
        )
        return without_thinking(str(answer.choices[0].message.content or ""))
