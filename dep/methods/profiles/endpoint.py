"""A server that speaks OpenAI's chat completions (a vendor's, vLLM, llama.cpp, Ollama), asked by several workers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from dep.data.prompts.chat_request import ChatRequest
from dep.methods.profiles.settings import ProfileConfig
from dep.utils.errors import DepError
from dep.utils.progress import stage


class EndpointWriter:
    """Asks with temperature 0; lost and refused calls are tried again by the client, after longer and longer waits.

    Args:
        config: url, model and limits.

    Raises:
        ValueError: where `profile.url` or `profile.model` is missing.
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

    def __call__(self, asks: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        """Answers as they come.

        Raises:
            ValueError: where there are more questions than `max_calls`, before any is asked.
            ConnectionError: where a call failed for good, after those under way have been kept.
        """
        limit = self.config.max_calls
        if limit and len(asks) > limit:
            raise DepError(
                f"{self.config.url}: expected at most {limit} calls (profile.max_calls), found {len(asks)} to make; "
                "raise it, or lower protocol.test_examples"
            )
        failed: Exception | None = None
        with (
            self._client() as client,
            ThreadPoolExecutor(self.config.workers) as pool,
            stage(f"ask {self.config.model}", len(asks)) as advance,
        ):
            calls = {pool.submit(self._ask, client, ask): at for at, ask in enumerate(asks)}
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
            raise ConnectionError(
                f"{self.config.url}: a call to {self.config.model} failed after {self.config.retries} retries "
                f"({failed}); what was answered is kept, run the same command again to go on"
            ) from failed

    def _client(self) -> Any:
        from openai import OpenAI

        return OpenAI(
            base_url=self.config.url,
            api_key=os.environ.get(self.config.key_variable) or "none",
            max_retries=self.config.retries,
            timeout=self.config.timeout,
        )

    def _ask(self, client: Any, ask: ChatRequest) -> str:
        answer = client.chat.completions.create(
            model=self.config.model,
            messages=[{"role": "system", "content": ask.system}, {"role": "user", "content": ask.text}],
            temperature=0.0,
            max_tokens=self.config.max_new_tokens,
        )
        return str(answer.choices[0].message.content or "").strip()
