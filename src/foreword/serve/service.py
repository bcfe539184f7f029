"""The service behind the routes: takes a body to a finished call, keeps log and metrics; it refuses a call's end without a line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from foreword.config.run import ANSWER_TOKENS
from foreword.engine import Backbone
from foreword.monitor import Sketch
from foreword.registry import Registry
from foreword.serve.answering import Call
from foreword.serve.cards import cards_of
from foreword.serve.engine import Engine
from foreword.serve.errors import WINDOW, HttpError, as_http
from foreword.serve.keys import Key, Keys, allowed
from foreword.serve.log import LogError, RequestLog
from foreword.serve.metrics import Metrics
from foreword.serve.protocol import ChatRequest, Common, CompletionRequest
from foreword.serve.rows import InputRow, chat_rows, completion_rows
from foreword.serve.shapes import Shape
from foreword.serve.shelf import NotHeldError, Shelf
from foreword.serve.telemetry import Telemetry
from foreword.serve.views import Views
from foreword.serve.watch import Watch
from foreword.util.errors import ForewordError

Result = TypeVar("Result")
NO_TRACE: Mapping[str, str] = {}
LONGEST = 32_768  # tokens of an answer by a model without a window: memory is taken for all of them at once
GONE = 499  # what a request whose caller left is logged as


@dataclass(frozen=True)
class Settings:
    """How a server runs. store: of prompts, None for the model alone. max_rows, max_tokens: answered at once. max_waiting: beside those.
    max_new_tokens: of an answer, where neither request nor prompt says. deadline: seconds for one answer. admin: whether prompts may be
    loaded and unloaded over HTTP. log: the file of requests; log_content: with texts; log_features: with what a monitor compares."""

    store: Path | None = None
    max_rows: int = 32
    max_tokens: int | None = None
    max_waiting: int = 256
    max_new_tokens: int = ANSWER_TOKENS
    deadline: float = 600.0
    max_body: int = 4_000_000
    admin: bool = False
    keys: Path | None = None
    log: Path | None = None
    log_content: bool = False
    log_features: bool = False
    log_bytes: int = 100_000_000


@dataclass
class Service:
    """One backbone, its engine thread and its shelf. telemetry: what a collector is told by; None where there is none."""

    backbone: Backbone
    settings: Settings
    telemetry: Telemetry | None = None
    views: Views = field(init=False)
    engine: Engine = field(init=False)
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        base = _base_name(self.backbone.name)
        self.keys = Keys(settings.keys, base)
        self.log = None if settings.log is None else RequestLog(settings.log, settings.log_bytes)
        self.views = Views(self.backbone)
        registry = None if settings.store is None else Registry(settings.store)
        self.shelf = Shelf(self.views, registry, base=base)
        words = self.views.laying(False).tokenizer
        self.watch = Watch(registry, Sketch(self.backbone, words, whole=True) if settings.log_features else None)
        self.engine = Engine(
            self.backbone,
            max_rows=settings.max_rows,
            max_tokens=settings.max_tokens,
            max_waiting=settings.max_waiting,
        )
        self.metrics = Metrics(self.engine, self.backbone)
        self.ready = False
        self.started = int(time.time())
        self._laying = ThreadPoolExecutor(max_workers=1, thread_name_prefix="foreword-laying")
        self._loading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="foreword-loading")

    def close(self) -> None:
        """Stop answering; what is under way fails."""
        self.ready = False
        self.engine.close()
        for threads in (self._laying, self._loading):
            threads.shutdown(wait=True, cancel_futures=True)
        if self.log is not None:
            self.log.close()
        if self.telemetry is not None:
            self.telemetry.close()

    async def laying(self, work: Callable[[], Result], *, deadline: float | None = None) -> Result:
        """Do some work in the thread whose tokenizers lay texts out; where it misses a prompt, once that is loaded in another, for which it
        waits until the deadline (seconds; loading goes on). Raises HttpError behind that."""
        loop, limit = asyncio.get_running_loop(), asyncio.timeout(deadline)
        try:
            async with limit:
                while True:
                    try:
                        return await loop.run_in_executor(self._laying, work)
                    except NotHeldError as missing:
                        await loop.run_in_executor(self._loading, self.shelf.fetch, missing.name, missing.version)
        except TimeoutError as error:
            if not limit.expired():  # the work's own
                raise
            raise HttpError(
                408,
                f"The answer was not begun within {deadline:g} s; a prompt that is being loaded goes on loading: ask again later.",
                code="deadline",
            ) from error

    # -- requests ---------------------------------------------------------------------------------------------------

    async def open(
        self, body: CompletionRequest | ChatRequest, key: Key | None, trace: Mapping[str, str] = NO_TRACE
    ) -> Shape:
        """A request laid out in rows, to be answered. trace: the headers of a caller's trace. Raises HttpError."""
        began, chat = time.monotonic(), isinstance(body, ChatRequest)
        try:
            allowed(key, self.shelf.base if self.shelf.is_base(body.model) else body.model)
            self._check(body)
            self.engine.check_room()
            longest, inputs = await self.laying(lambda: self._laid(body), deadline=self._deadline(body))
            inputs = await self.laying(lambda: self.watch.with_vectors(inputs))
            watched = self.log is not None
            call = Call(self.engine, self.views, body, inputs, longest, watched=watched, began=began)
        except Exception as error:  # every failure is an error object, with its status
            raise as_http(error, param="messages" if chat else "prompt") from error
        name = f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}"
        return replace(Shape.of(name, chat, body.model, call, self.views.answer_tokens), trace=trace)

    def _check(self, body: CompletionRequest | ChatRequest) -> None:
        if body.stream_options is not None and not body.stream:
            raise HttpError(
                400, "stream_options is for streams; send stream as true, or leave it out.", param="stream_options"
            )
        if isinstance(body, ChatRequest) and body.top_logprobs is not None and not body.logprobs:
            raise HttpError(400, "top_logprobs needs logprobs; send logprobs as true.", param="top_logprobs")
        if body.stops and body.schema_of_json is not None:
            raise HttpError(
                400, "stop would break the JSON that response_format asks for; leave one of them out.", param="stop"
            )
        if body.longest == 0 and not getattr(body, "echo", None):
            raise HttpError(400, "max_tokens is 0 and there is no echo; ask for 1 token at least.", param="max_tokens")

    def _laid(self, body: CompletionRequest | ChatRequest) -> tuple[int, list[InputRow]]:
        """In the thread whose tokenizers these are."""
        longest = body.longest
        if longest is None:
            served = None if self.shelf.is_base(body.model) else self.shelf.held(body.model)
            own = None if served is None or served.stored is None else served.stored.max_new_tokens
            longest = own or self.settings.max_new_tokens
        if self.backbone.window is None and longest > LONGEST:  # else the window bounds it
            raise HttpError(
                400,
                f"An answer of {longest:,} tokens was asked for, and this server gives {LONGEST:,} at most; ask for fewer.",
                param="max_tokens",
                code=WINDOW,
            )
        if isinstance(body, ChatRequest):
            inputs = chat_rows(self.shelf, body, longest)
        else:
            inputs = completion_rows(self.shelf, body, longest)
        return longest, [self._formed(row, body) for row in inputs]

    def _formed(self, input_row: InputRow, body: CompletionRequest | ChatRequest) -> InputRow:
        """An input with the grammar of its answer, where it is to be JSON."""
        schema = body.schema_of_json
        if schema is None or input_row.chooses:
            return input_row
        try:
            return replace(
                input_row, grammar=self.views.json_writer(input_row.served.chat).grammar(schema, input_row.opening)
            )
        except ForewordError as error:
            raise HttpError(400, str(error), param="response_format", code="unsupported_parameter") from error

    async def whole(self, shape: Shape, key: Key | None) -> dict[str, Any]:
        """The whole answer. Raises HttpError."""
        try:
            async with aclosing(shape.call.deltas(self._deadline(shape.call.body))) as deltas:
                async for _ in deltas:
                    pass
        except asyncio.CancelledError:
            self._over(shape, key, GONE)
            raise
        except Exception as error:  # every failure is an error object, with its status
            failure = as_http(error, param="messages" if shape.chat else "prompt")
            self._over(shape, key, failure.status, failure)
            raise failure from error
        self._over(shape, key, 200)
        return shape.whole()

    async def stream(self, shape: Shape, key: Key | None) -> AsyncIterator[str]:
        """The answer as server-sent events; a failure on the way is an event with the error object. The log has its line before the last
        event goes out."""
        status, failure = GONE, None
        try:
            for chunk in shape.opening():
                yield _event(chunk)
            async with aclosing(shape.call.deltas(self._deadline(shape.call.body))) as deltas:
                async for delta in deltas:
                    chunk = shape.chunk(delta)
                    if all(choice.finish_reason for choice in shape.call.choices):
                        status = 200
                        self._over(shape, key, status)
                    yield _event(chunk)
            for chunk in shape.closing():
                yield _event(chunk)
            yield "data: [DONE]\n\n"
        except Exception as error:  # the status has gone out already: the failure is an event
            failure = as_http(error, param="messages" if shape.chat else "prompt")
            if status == GONE:
                status = failure.status
                self._over(shape, key, status, failure)
            yield _event(failure.body())
        finally:
            if status == GONE:
                self._over(shape, key, status)

    def _deadline(self, body: Common) -> float:
        return self.settings.deadline if body.timeout is None else min(body.timeout, self.settings.deadline)

    async def shown(self, body: CompletionRequest, key: Key | None) -> list[dict[str, Any]]:
        """What the model gets for each input, token by token, nothing answered. Raises HttpError."""
        try:
            allowed(key, self.shelf.base if self.shelf.is_base(body.model) else body.model)
            _, inputs = await self.laying(lambda: self._laid(body), deadline=self._deadline(body))
        except Exception as error:  # every failure is an error object, with its status
            raise as_http(error, param="prompt") from error
        words = self.views.input_tokens  # an encoder-decoder may write answers with another tokenizer
        return [
            {
                "virtual_tokens": input_row.served.virtual_tokens,
                "text": input_row.text,
                "tokens": [words.name(i) for i in input_row.ids],
                "demonstrations": [
                    {"id": shown.id, "text": shown.text, "similarity": shown.similarity} for shown in input_row.shown
                ],
                "dropped_demonstrations": input_row.dropped,
                "choices": [text for text, _ in input_row.served.choices],
            }
            for input_row in inputs
        ]

    # -- what is kept of them -----------------------------------------------------------------------------------------

    def _over(self, shape: Shape, key: Key | None, status: int, failure: HttpError | None = None) -> None:
        """A request is over, in whatever way. Raises HttpError where its line cannot be written."""
        call, now = shape.call, time.monotonic()
        served, usage = call.inputs[0].served, shape.usage()
        first = call.first - call.began if call.first else None
        outcome = "ok" if status == 200 else "gone" if status == GONE else str(status)
        if failure is not None:
            failure.counted = True
        line = self._line(shape, usage, status, first, now - call.began)
        line |= {"key": None if key is None else key.name, "error": None if failure is None else str(failure)}
        self.watch.add(line, served)
        try:
            self._tell(line, call.body, shape.trace)
        except LogError as error:
            unlogged = as_http(error)
            unlogged.counted, outcome = True, str(unlogged.status)
            raise unlogged from error
        finally:
            self.metrics.request(
                served.id,
                outcome,
                read=usage["prompt_tokens"],
                virtual=usage["foreword_virtual_tokens"],
                generated=usage["completion_tokens"],
                first=first,
                seconds=now - call.began,
            )

    def _tell(self, line: dict[str, Any], body: Common, trace: Mapping[str, str]) -> None:
        if self.log is not None:
            self.log.write(line)
        if self.telemetry is not None:
            self.telemetry.request(line, body, trace)

    def refused(
        self,
        error: HttpError,
        body: CompletionRequest | ChatRequest | None = None,
        key: Key | None = None,
        trace: Mapping[str, str] = NO_TRACE,
    ) -> None:
        """A request was refused before it was begun: counted, and where it could be read logged."""
        if error.counted:
            return
        error.counted = True
        self.metrics.refused(error.status)
        if body is not None:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "id": f"refused-{secrets.token_hex(12)}",
                "model": body.model,
                "status": error.status,
                "code": error.code,
                "param": error.param,
                "key": None if key is None else key.name,
            }
            self._tell(line, body, trace)

    def _line(
        self, shape: Shape, usage: dict[str, Any], status: int, first: float | None, seconds: float
    ) -> dict[str, Any]:
        call = shape.call
        body, served = call.body, call.inputs[0].served
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": shape.id,
            "endpoint": "chat" if shape.chat else "completions",
            "model": body.model,
            "prompt": served.name if served.version is not None else None,
            "version": None if served.version is None else served.version.number,
            "digest": None if served.version is None else served.version.digest,
            "status": status,
            "stream": bool(body.stream),
            "user": None
            if body.user is None
            else hashlib.sha256(body.user.encode("utf-8", "replace")).hexdigest()[:16],
            "seconds": round(seconds, 6),
            "seconds_to_first_token": None if first is None else round(first, 6),
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
            "virtual_tokens": usage["foreword_virtual_tokens"],
            "temperature": call.temperature,
            "seed": call.seed if call.temperature else None,
            "choices": [
                {"finish_reason": choice.finish_reason, "tokens": choice.completion_tokens, "logprob": choice.logprob}
                for choice in call.choices
            ],
            "inputs": [
                {
                    "tokens": len(input_row.ids),
                    "similarity": [shown.similarity for shown in input_row.shown],
                    "dropped_demonstrations": input_row.dropped,
                }
                for input_row in call.inputs
            ],
        }
        self.watch.describe(line, call, content=self.settings.log_content)
        if self.settings.log_content:
            line["input_texts"] = [input_row.text for input_row in call.inputs]
            line["output_texts"] = [choice.text for choice in call.choices]
        return line

    # -- what there is ------------------------------------------------------------------------------------------------

    def models(self, key: Key | None) -> list[dict[str, Any]]:
        """The base model, and each prompt with its versions and aliases, that a key may ask."""
        cards = cards_of(self.shelf, window=self.backbone.window, started=self.started)
        return [card for card in cards if key is None or key.may_ask(card["id"])]

    def check_store(self) -> list[str]:
        """Load what a bare name means, for every name; what cannot be served, as sentences."""
        registry = self.shelf.registry
        refused = []
        for name in registry.names() if registry is not None else ():
            if self.shelf.is_base(name):
                refused.append(f"{name}: that is the model's own name; ask for {name}@VERSION, or add it by another.")
            try:
                self.shelf.get(name)
            except ForewordError as error:
                refused.append(f"{name}: {error}")
        return refused


def _event(values: dict[str, Any]) -> str:
    return f"data: {json.dumps(values, ensure_ascii=True, allow_nan=False)}\n\n"


def _base_name(name: str) -> str:
    """A model's name as requests say it: of a folder the last part."""
    return Path(name).name if Path(name).exists() else name
