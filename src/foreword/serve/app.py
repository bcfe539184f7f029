"""The routes: OpenAI's completions and chat, models, health, metrics, and what an administrator may do; it refuses with OpenAI's error
object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from foreword.serve.cards import card_of
from foreword.serve.errors import HttpError, as_http
from foreword.serve.keys import Key
from foreword.serve.protocol import ChatRequest, CompletionRequest, Strict, read
from foreword.serve.running import is_loopback
from foreword.serve.service import Service

PAGE = Path(__file__).parent / "page.html"
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, "text/event-stream": {}}}}
EXAMPLES: dict[type[BaseModel], dict[str, Any]] = {
    CompletionRequest: {"model": "base", "prompt": "Once upon a time", "max_tokens": 8},
    ChatRequest: {"model": "base", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8},
}
REFERENCE = "#/components/schemas/{model}"
ERROR = {  # OpenAI's
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
TRACE = ("traceparent", "tracestate")  # the headers of a caller's trace
SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Named(Strict):
    """Which prompt is to be loaded or unloaded."""

    model: str


class Guard:
    """Pages of other places may not ask through a user's browser: neither by their own origin, nor, where no key is wanted, by a name of
    theirs that leads to this machine."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request, let through or refused."""
        error = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
            return
        self._service.refused(error)
        await JSONResponse(error.body(), error.status)(scope, receive, send)

    def _refusal(self, headers: Headers) -> HttpError | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name, page = urlsplit(f"//{host}").hostname or "", host if origin is None else urlsplit(origin).netloc
        except ValueError:
            return HttpError(400, "The header Host or Origin names no place; send the server's own.", code="bad_host")
        if page != host:
            return HttpError(403, f"A page of {page[:200] or origin} may not ask this server.", code="other_origin")
        if not self._service.keys.required and not is_loopback(name):  # it listens here alone
            what = f"This server is asked as localhost or 127.0.0.1 or ::1, and not as '{name[:200]}'."
            return HttpError(403, what, code="other_host")
        return None


def app_of(service: Service, version: str) -> FastAPI:
    """The application over a service. version: of foreword."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.ready = True
        yield
        service.ready = False

    app = FastAPI(title="foreword", version=version, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, service=service)
    _errors(app, service)
    _open(app, service, version)
    _answers(app, service)
    _administration(app, service)
    _described(app)
    return app


def _errors(app: FastAPI, service: Service) -> None:
    @app.exception_handler(HttpError)
    async def refuse(_: Request, error: HttpError) -> JSONResponse:
        service.refused(error)
        return JSONResponse(error.body(), error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def unknown_route(request: Request, error: HTTPException) -> JSONResponse:
        what = HttpError(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}.")
        return JSONResponse(what.body(), error.status_code, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=499)  # the caller went before the whole body was here: nobody is answered

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        what = as_http(error)
        service.refused(what)
        return JSONResponse(what.body(), what.status, what.headers())


def _open(app: FastAPI, service: Service, version: str) -> None:
    """What is told without a key: whether the server lives, and the page, which holds nothing of anybody."""

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"}, headers=SAFE)

    @app.get("/ready")
    async def ready() -> JSONResponse:
        if service.ready:
            return JSONResponse({"status": "ready"}, headers=SAFE)
        return JSONResponse({"status": "stopping"}, 503, headers=SAFE)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=SAFE | {"Content-Security-Policy": policy})

    @app.get("/version", name="told")  # as /openapi.json has always called it
    async def version_of_server(request: Request) -> dict[str, Any]:
        _caller(request, service)
        backbone = service.backbone
        return {
            "version": version,
            "model": service.shelf.base,
            "fingerprint": backbone.fingerprint,
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "window": backbone.window,
            "chat": service.views.chats,
        }

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        key = _caller(request, service)
        text = service.metrics.text(lambda prompt: key is None or key.may_ask(prompt))
        return Response(text, media_type=CONTENT_TYPE_LATEST)


def _answers(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        key = _caller(request, service)
        return {"object": "list", "data": await asyncio.to_thread(service.models, key)}

    @app.get("/v1/models/{name:path}")
    async def model(name: str, request: Request) -> dict[str, Any]:
        key = _caller(request, service)
        card = await asyncio.to_thread(lambda: card_of(service.shelf, service.models(key), name))
        if card is None:
            raise HttpError(404, f"There is no model '{name[:200]}' here.", param="model", code="model_not_found")
        return card

    @app.post("/v1/completions", openapi_extra=_schema(CompletionRequest), responses=STREAMED)
    async def completions(request: Request) -> Response:
        return await _answer(request, service, CompletionRequest)

    @app.post("/v1/foreword/show", openapi_extra=_schema(CompletionRequest))
    async def show(request: Request) -> dict[str, Any]:
        key = _caller(request, service)
        body = read(await _body(request, service), CompletionRequest)
        return {"model": body.model, "inputs": await service.shown(body, key)}

    @app.get("/v1/foreword/watch")
    async def watch(request: Request) -> dict[str, Any]:
        key = _caller(request, service)
        return await asyncio.to_thread(service.watch.summary, key)

    @app.post("/v1/chat/completions", openapi_extra=_schema(ChatRequest), responses=STREAMED)
    async def chat(request: Request) -> Response:
        return await _answer(request, service, ChatRequest)


def _administration(app: FastAPI, service: Service) -> None:
    if not service.settings.admin:
        return

    @app.post("/v1/foreword/load", openapi_extra=_schema(Named))
    async def load(request: Request) -> dict[str, Any]:
        _administrator(request, service)
        named = read(await _body(request, service), Named)
        try:
            served = await service.laying(lambda: service.shelf.load(named.model))
        except Exception as error:  # every failure is an error object, with its status
            raise as_http(error, param="model") from error
        return {"loaded": served.id}

    @app.post("/v1/foreword/unload", openapi_extra=_schema(Named))
    async def unload(request: Request) -> dict[str, Any]:
        _administrator(request, service)
        named = read(await _body(request, service), Named)
        try:
            return {"unloaded": await asyncio.to_thread(service.shelf.unload, named.model)}
        except Exception as error:  # every failure is an error object, with its status
            raise as_http(error, param="model") from error


async def _answer(request: Request, service: Service, kind: type[CompletionRequest] | type[ChatRequest]) -> Response:
    key = _caller(request, service)
    body = read(await _body(request, service), kind)
    trace = {name: request.headers[name] for name in TRACE if name in request.headers}
    try:
        shape = await service.open(body, key, trace)
    except HttpError as error:
        service.refused(error, body, key, trace)
        raise
    headers = SAFE | {"X-Request-Id": shape.id}
    if body.stream:
        return StreamingResponse(service.stream(shape, key), media_type="text/event-stream", headers=headers)
    work = asyncio.ensure_future(service.whole(shape, key))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return JSONResponse(work.result(), headers=headers)
        work.cancel()
        await asyncio.wait({work})
        return Response(status_code=499)
    finally:
        gone.cancel()
        work.cancel()


async def _disconnected(request: Request) -> None:
    """Returns when the caller has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, service: Service) -> bytes:
    """The body. Raises HttpError where it is larger than the server takes."""
    most = service.settings.max_body
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise HttpError(413, f"The body is larger than {most:,} bytes; send less at once.", code="body_too_large")
        parts.append(part)
    return b"".join(parts)


def _caller(request: Request, service: Service) -> Key | None:
    return service.keys.caller(request.headers.get("authorization"))


def _administrator(request: Request, service: Service) -> None:
    key = _caller(request, service)
    if key is not None and not key.admin:
        raise HttpError(
            403, "This API key may not load and unload prompts; use an administrator's.", code="not_administrator"
        )


def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The body of a route in the OpenAPI description, which is read by foreword itself."""
    schema = kind.model_json_schema(ref_template=REFERENCE)
    schema.pop("$defs", None)  # they stand among the components
    content = {"schema": schema, "example": EXAMPLES[kind]} if kind in EXAMPLES else {"schema": schema}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _described(app: FastAPI) -> None:
    """Complete the OpenAPI description: the parts of bodies, and the error object that every refusal is."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        described = describe()
        parts = described.setdefault("components", {}).setdefault("schemas", {})
        for kind in (CompletionRequest, ChatRequest):
            parts |= kind.model_json_schema(ref_template=REFERENCE).get("$defs", {})
        parts["Error"] = ERROR
        error = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}}
        for path in described["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # a body is read by foreword itself
                operation["responses"]["4XX"] = {"description": "A refusal.", "content": error}
        return described

    app.openapi = openapi  # type: ignore[method-assign]
