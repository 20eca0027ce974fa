"""What happens to every request before its handler: the key, the size of the body, the metrics."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from dep.serving.metrics import Metrics

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODY_SECONDS = 30.0
"""How long the body of a request may take to arrive."""
OPEN = "/health"
"""The route that needs no key."""


class Guard:
    """Asks for the key, reads bodies up to a limit, and counts responses; an ASGI application around another.

    Args:
        app: the application.
        key: the key; empty if none is asked.
        max_body: the largest body in bytes.
        metrics: counts the responses.
        hosts: the names by which the server may be called; empty for any. A web page elsewhere cannot reach a server on
            loopback by a name that it lets point there.
    """

    def __init__(self, app: App, key: str, max_body: int, metrics: Metrics, hosts: Sequence[str] = ()) -> None:
        self.app, self.max_body, self.metrics, self.hosts = app, max_body, metrics, hosts
        self._header = f"Bearer {key}".encode() if key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._checked(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")  # never the path itself, which may name a user
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - began)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        host = re.sub(r":\d+$", "", headers.get(b"host", b"").decode("latin-1"))
        if self.hosts and host not in self.hosts:
            await refuse(send, 421, f"expected a host among {', '.join(self.hosts)}", "wrong_host")
            return
        asked = self._header and scope["path"] != OPEN
        if asked and not hmac.compare_digest(headers.get(b"authorization", b""), self._header):
            await refuse(send, 401, "expected the key as `Authorization: Bearer …`", "invalid_api_key")
            return
        try:
            body = await asyncio.wait_for(self._body(headers, receive), _BODY_SECONDS)
        except TimeoutError:
            await refuse(send, 408, f"the body took more than {_BODY_SECONDS:g} seconds", "timeout")
            return
        if body is None:
            await refuse(send, 413, f"expected a body of at most {self.max_body} bytes", "body_too_large")
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """Read the body; None if it is too large."""
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.max_body:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.max_body:
                return None
            if not message.get("more_body"):
                return bytes(body)


async def refuse(send: Send, status: int, message: str, code: str) -> None:
    """Send an error in OpenAI's form, and close the connection, on which a body may still arrive."""
    content = json.dumps(error_body(message, code)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": content})


def error_body(message: str, code: str) -> dict[str, dict[str, str | None]]:
    """Return an error in OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
