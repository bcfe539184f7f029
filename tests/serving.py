"""Runs the real server in this process on a free port, over a small model and a store of prompts; it refuses to stand in for any part."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import torch
import uvicorn

import entry
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, load_backbone
from foreword.infer.predict import predict
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.registry import Registry, Version
from foreword.registry.adding import NewVersion, writer
from foreword.serve.app import app_of
from foreword.serve.rows import worded
from foreword.serve.running import KEEP_ALIVE
from foreword.serve.service import Service, Settings

MODEL = "reference-small"
TEMPLATES = (
    Template(),
    Template(question="Q: {input}\nA:", stop=("\n", "!")),
    Template(question="{input} =>", answer=" {target};", stop="\n\n"),
)


def backbone() -> Backbone:
    """The model that is served."""
    return load_backbone(MODEL)


def soft(backbone: Backbone, length: int, seed: int, label: str = "pt", **provenance: Any) -> SoftPrompt:
    """A random soft prompt with its certificate."""
    values = torch.randn((length, backbone.hidden), generator=torch.Generator().manual_seed(seed)) * backbone.scale
    row = parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS))
    fields: dict[str, Any] = {
        "template": TEMPLATES[seed % len(TEMPLATES)].as_dict(),
        "kind": backbone.kind,
    } | provenance
    known = Provenance(backbone.name, backbone.fingerprint, label=label, method=row.as_dict(), seed=seed, **fields)
    return SoftPrompt(values, known)


def keep(registry: Registry, name: str, folder: Path, **settings: Any) -> Version:
    """Add a prompt's folder to a store."""
    return registry.add(name, writer(NewVersion(folder=folder, **settings)))[0]


def filled(backbone: Backbone, where: Path) -> Registry:
    """A store with prompts of every kind."""
    registry = Registry(where / "store")
    for number, name in enumerate(("a", "b", "c")):
        store.save(soft(backbone, 3 + 4 * number, number), where / name)
        keep(registry, name, where / name)
    pool = entry.save_rows(where / "pool.jsonl", entry.rows(12))
    store.save(soft(backbone, 5, 4, "ipt:bm25:2", template={}), where / "ipt")
    keep(registry, "ipt", where / "ipt", demonstrations=str(pool))
    store.save(soft(backbone, 5, 5, "pt", template={}), where / "labels")
    keep(registry, "labels", where / "labels", choices=("red", "green", "blue"))
    store.save(soft(backbone, 4, 6, "pt", template=Template(question="{one} and {two} =>").as_dict()), where / "two")
    keep(registry, "two", where / "two")
    for name in ("icl:bm25:2", "few:2", "zero"):
        words = NewVersion(method=name, demonstrations="" if name == "zero" else str(pool), max_new_tokens=9)
        registry.add(name.split(":")[0], writer(words))
    return registry


@dataclass
class Running:
    """A server that runs. url: where. service: its inside, to be looked at."""

    url: str
    service: Service

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """A request's answer."""
        return httpx.post(f"{self.url}{path}", json=body, timeout=60, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """A page."""
        return httpx.get(f"{self.url}{path}", timeout=60, **more)

    def complete(self, model: str, prompt: Any = "bana 1 lo", **more: Any) -> dict[str, Any]:
        """A completion, which must be one."""
        answer = self.post("/v1/completions", {"model": model, "prompt": prompt, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def text(self, model: str, prompt: Any = "bana 1 lo", **more: Any) -> str:
        """The text of a completion."""
        return str(self.complete(model, prompt, **more)["choices"][0]["text"])

    def expected(self, model: str, text: str, longest: int = 12) -> str:
        """What `foreword generate` would answer: the same layout and `predict`, alone in a batch."""
        served = self.service.shelf.get(model)
        assert served.template is not None and served.stored is not None
        example = Example("request", {"input": text}, (), served.stored.choices)
        input_row = worded(served, example, longest)
        layout = served.layout
        assert layout is not None
        other = layout.placed(layout.append)
        other.reserve = longest
        other.retrieved = (
            {} if served.retriever is None else {"request": served.retriever.find(example, served.stored.method.k)}
        )
        laid = other.lay(example)
        assert laid.row() == input_row.row
        soft = None if served.stored.prompt is None else served.stored.prompt.values
        model_ = self.service.views.model(served.chat)
        return predict(model_, served.template, soft, [laid], longest=longest, batch_size=1).outputs[0]


@contextlib.contextmanager
def server(backbone: Backbone, **settings: Any) -> Iterator[Running]:
    """The server, until the block ends."""
    service = Service(backbone, Settings(**settings))
    options: dict[str, Any] = {"port": 0, "log_config": None, "lifespan": "on", "timeout_graceful_shutdown": 5}
    config = uvicorn.Config(app_of(service, "test"), timeout_keep_alive=KEEP_ALIVE, **options)
    inside = uvicorn.Server(config)
    thread = threading.Thread(target=inside.run, daemon=True)
    thread.start()
    while not inside.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = inside.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", service)
    finally:
        inside.should_exit = True
        thread.join(20)
        service.close()
        assert not thread.is_alive()


def waited(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.01)


@contextlib.contextmanager
def _before_each_step(running: Running, wait: Callable[[], object]) -> Iterator[None]:
    """Something happens before each step of the engine, until the block ends."""
    engine = running.service.engine
    step = engine._step

    def later(key: int, session: Any) -> None:
        wait()
        step(key, session)

    engine._step = later  # type: ignore[method-assign]
    try:
        yield
    finally:
        engine._step = step  # type: ignore[method-assign]


@contextlib.contextmanager
def slowly(running: Running, seconds: float = 0.02) -> Iterator[None]:
    """Each step of the engine takes at least so long."""
    with _before_each_step(running, lambda: time.sleep(seconds)):
        yield


@contextlib.contextmanager
def held(running: Running) -> Iterator[None]:
    """Until the block ends, the engine takes no step, whatever is asked of it."""
    free = threading.Event()

    def wait() -> None:
        assert free.wait(120)

    with _before_each_step(running, wait):
        try:
            yield
        finally:
            free.set()


def events(url: str, path: str, body: dict[str, Any]) -> list[Any]:
    """The chunks of a stream, which must end with [DONE]."""
    with httpx.stream("POST", f"{url}{path}", json=body | {"stream": True}, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    payloads = [line.removeprefix("data: ") for line in lines]
    assert payloads[-1] == "[DONE]"
    return [json.loads(line) for line in payloads[:-1]]


def refusal(answer: httpx.Response, status: int, param: str | None) -> str:
    """The message of an error object in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["param"] == param, error
    return str(error["message"])
