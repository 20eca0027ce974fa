"""The bodies of responses in OpenAI's forms: chat completions and completions, whole and in pieces."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from dep.serving.tickets import Answer

Json = dict[str, Any]
DONE = "data: [DONE]\n\n"
"""The end of a stream."""


class Form:
    """The form of one response.

    Args:
        chat: whether it is a chat completion.
        model: the name of the model.
    """

    def __init__(self, chat: bool, model: str) -> None:
        self.chat, self.model = chat, model
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def complete(self, answer: Answer) -> Json:
        """Return the body of a response that is not streamed."""
        text: Json = {"text": answer.text}
        if self.chat:
            text = {"message": {"role": "assistant", "content": answer.text, "refusal": None}}
        choice = {"index": 0, **text, "finish_reason": answer.finish, "logprobs": None}
        return {**self._head(chunk=False), "choices": [choice], "usage": usage(answer)}

    def piece(self, text: str, first: bool) -> str:
        """Return the event of a piece of a stream."""
        return self._event({"content": text} | ({"role": "assistant"} if first else {}), text, None)

    def end(self, answer: Answer, with_usage: bool) -> str:
        """Return the last events of a stream."""
        events = self._event({}, "", answer.finish)
        if with_usage:
            events += _line({**self._head(chunk=True), "choices": [], "usage": usage(answer)})
        return events + DONE

    def _event(self, delta: Json, text: str, finish: str | None) -> str:
        said = {"delta": delta} if self.chat else {"text": text}
        choice = {"index": 0, **said, "finish_reason": finish, "logprobs": None}
        return _line({**self._head(chunk=True), "choices": [choice]})

    def _head(self, chunk: bool) -> Json:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if chunk else "chat.completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage(answer: Answer) -> dict[str, int]:
    """Return how many tokens were read and written."""
    read, written = answer.prompt_tokens, answer.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _line(body: Json) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
