"""The endpoint writer, against a local OpenAI-compatible server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dep.data.prompts.chat_request import ChatRequest
from dep.methods.profiles.endpoint import EndpointWriter
from dep.methods.profiles.settings import ProfileConfig
from dep.methods.profiles.writer import CachedWriter
from dep.utils.errors import DepError

Reply = Callable[[dict[str, Any], int], tuple[int, str]]


class Server:
    """Answers with `reply(request body, number of earlier equal requests)`."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.reply: Reply = lambda body, before: (200, f"answer to {body['messages'][0]['content']}")
        self.lock = threading.Lock()


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with state.lock:
                before = sum(b == body for b in state.bodies)
                state.bodies.append(body)
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            status, text = state.reply(body, before)
            message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [message]}
            data = json.dumps(answer if status == 200 else {"error": {"message": text}}).encode()
            with state.lock:
                state.at_once -= 1
            self.send_response(status)
            self.send_header("retry-after-ms", "1")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield state, f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()


def writer(url: str, **settings: Any) -> EndpointWriter:
    return EndpointWriter(ProfileConfig(writer="endpoint", url=url, model="m", **settings))


QUESTIONS = [ChatRequest(f"system {n}", ("[User's Past Reviews]:\n", ("Review Text", "Fine."))) for n in range(6)]


def test_every_question_is_sent_as_system_and_user_message_and_answered_in_order(server, tmp_path: Path) -> None:
    state, url = server
    assert CachedWriter(writer(url, max_new_tokens=7, workers=2), tmp_path)(QUESTIONS) == [
        f"answer to system {n}" for n in range(6)
    ]
    body = next(b for b in state.bodies if b["messages"][0]["content"] == "system 3")
    assert body["messages"][1] == {"role": "user", "content": "[User's Past Reviews]:\n[Review Text]: Fine.\n"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 7)
    assert state.most_at_once <= 2


def test_a_refused_call_is_retried(server) -> None:
    state, url = server
    state.reply = lambda body, before: (429, "slow down") if before < 2 else (200, "at last")
    assert dict(writer(url, retries=3)(QUESTIONS[:2])) == {0: "at last", 1: "at last"}
    assert len(state.bodies) == 6


def test_a_call_that_fails_after_all_retries_is_reported_and_the_other_answers_are_kept(server, tmp_path: Path) -> None:
    state, url = server
    state.reply = lambda body, before: (400, "too long") if "system 5" in str(body) else (200, "fine")
    with pytest.raises(DepError, match=r"too long.*run the same command again"):
        CachedWriter(writer(url, workers=1), tmp_path)(QUESTIONS)
    asked = len(state.bodies)
    state.reply = lambda body, before: (200, "fine now")
    assert CachedWriter(writer(url), tmp_path)(QUESTIONS) == ["fine"] * 5 + ["fine now"]
    assert len(state.bodies) == asked + 1


def test_a_limit_on_calls_is_checked_before_the_first_call(server, tmp_path: Path) -> None:
    state, url = server
    with pytest.raises(ValueError, match=r"at most 5 calls \(profile.max_calls\), found 6"):
        CachedWriter(writer(url, max_calls=5), tmp_path)(QUESTIONS)
    assert not state.bodies


def test_the_error_for_a_missing_url_names_the_settings() -> None:
    with pytest.raises(ValueError, match=r"profile\.url.*profile\.model="):
        EndpointWriter(ProfileConfig(writer="endpoint", model="m"))
