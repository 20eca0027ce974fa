"""The routes of the server, as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.to_thread
from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from dep.serving.body_errors import describe
from dep.serving.engine import Busy
from dep.serving.guard import App, Guard, error_body
from dep.serving.schema import ChatBody, CompletionBody, ReviewsBody
from dep.serving.service import NotFound, Service
from dep.serving.settings import LOOPBACK
from dep.serving.tickets import Cancelled
from dep.utils.errors import DepError


def build_app(service: Service, key: str = "") -> App:
    """Build the application; its shutdown stops the service's engine after what it accepted.

    Args:
        service: what the routes do.
        key: the key that requests must give; empty if none is asked.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(service.engine.stop)

    app = FastAPI(title="dep", docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_errors(app)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatBody, request: Request) -> Response:
        return await service.complete(body, request)

    @app.post("/v1/completions")
    async def completions(body: CompletionBody, request: Request) -> Response:
        return await service.complete(body, request)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        one = {"id": service.model, "object": "model", "created": service.started, "owned_by": "dep"}
        return {"object": "list", "data": [one]}

    @app.post("/reviews")
    async def reviews(body: ReviewsBody) -> dict[str, int]:
        return await service.add(body)

    @app.delete("/users/{user:path}")
    async def delete(user: Annotated[str, Path(min_length=1, max_length=512)]) -> dict[str, int]:
        return await service.delete(user)

    @app.get("/health")
    async def health() -> JSONResponse:
        alive = service.engine.alive
        return JSONResponse({"status": "ok" if alive else "stopping"}, 200 if alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    limits = service.limits
    hosts = (*LOOPBACK, "[::1]") if limits.host in LOOPBACK else ()
    return Guard(app, key, limits.max_body_kb * 1024, service.metrics, hosts)


def _add_errors(app: FastAPI) -> None:
    """Send errors in OpenAI's form; those that the client cannot mend say nothing of the request."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(error_body(describe(error.errors()[0]), "invalid_request"), 400)

    @app.exception_handler(DepError)
    async def refused(_: Request, error: DepError) -> JSONResponse:
        unknown = error.name.startswith("user ")
        code = "user_not_found" if unknown else "invalid_request"
        return JSONResponse(error_body(str(error), code), 404 if unknown else 400)

    @app.exception_handler(NotFound)
    async def absent(_: Request, error: NotFound) -> JSONResponse:
        return JSONResponse(error_body(str(error), "not_found"), 404)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return JSONResponse(error_body(str(error), "busy"), 503, {"Retry-After": "1"})

    @app.exception_handler(Cancelled)
    async def cancelled(_: Request, __: Cancelled) -> Response:
        return Response(status_code=499)  # nobody reads it; it tells the metrics

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(error_body("an error in the server; its log says more", "server_error"), 500)
