"""A server that mixes many soft prompts in one batch beside the same server asked prompt after prompt and one request at a time, and, on
the base model, beside `transformers serve`: seconds for all requests and until a first token; it refuses to print a time where an answer of
foreword's is not the one that its request gets alone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _run
import httpx2 as httpx
import torch

from foreword.engine import Backbone, gguf, load_backbone
from foreword.models import cache
from foreword.models.shipped import BY_NAME, take
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer

COLUMNS = {
    "model": "model",
    "prompts": "prompts",
    "requests": "requests",
    "seconds": "mixed (s)",
    "ratio_turns": "prompt by prompt",
    "ratio_alone": "one by one",
    "base_seconds": "base (s)",
    "ratio": "transformers serve",
    "first": "first token (s)",
    "first_alone": "one by one (s)",
    "base_first": "base (s)",
    "peer_first": "transformers (s)",
    "peer_differs": "differ",
}


@dataclass(frozen=True)
class Streamed:
    """One streamed answer. first: seconds until its first text, as seen by who asked when all began."""

    text: str
    first: float


@dataclass(frozen=True)
class Asker:
    """Asks a server for the same requests in several orders."""

    client: httpx.AsyncClient
    url: str
    texts: Sequence[str]
    models: Sequence[str]
    longest: int
    more: dict[str, Any]

    async def stream(self, place: int, model: str, begun: float) -> Streamed:
        """One request's answer as it streams."""
        body = {
            "model": model,
            "prompt": self.texts[place],
            "max_tokens": self.longest,
            "temperature": 0,
            "stream": True,
        }
        text, first = "", 0.0
        async with self.client.stream("POST", f"{self.url}/v1/completions", json=body | self.more) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                for choice in json.loads(line[6:]).get("choices", ()):
                    piece = choice.get("text") or ""
                    first = first or (time.perf_counter() - begun if piece else 0.0)
                    text += piece
        return Streamed(text, first or time.perf_counter() - begun)

    async def at_once(self, places: Sequence[int], *, base: str = "") -> list[Streamed]:
        """All of these together."""
        begun = time.perf_counter()
        return list(await asyncio.gather(*(self.stream(at, base or self.models[at], begun) for at in places)))

    async def in_turns(self) -> list[Streamed]:
        """Prompt after prompt, the requests of each together."""
        answers: dict[int, Streamed] = {}
        for model in dict.fromkeys(self.models):
            places = [at for at, other in enumerate(self.models) if other == model]
            answers |= zip(places, await self.at_once(places), strict=True)
        return [answers[at] for at in range(len(self.texts))]

    async def one_by_one(self) -> list[Streamed]:
        """Each request when the one before has been answered."""
        return [(await self.at_once([at]))[0] for at in range(len(self.texts))]


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextlib.contextmanager
def serving(command: Sequence[object], port: int, path: str) -> Iterator[str]:
    """A server of its own process, once it answers; its url."""
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        try:
            end = time.monotonic() + 600
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200:
                        break
                if child.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"{command[:4]} does not serve: {log.read()[-2000:].decode(errors='replace')}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            try:
                child.wait(60)
            except subprocess.TimeoutExpired:
                child.kill()


def folder_of(model: str) -> Path:
    """Where a model's files lie, for another library to load."""
    path = take(model) if model in BY_NAME else cache.located(model)
    return (
        gguf.converted(path) if path.suffix == ".gguf" else path
    )  # `transformers serve` reads no GGUF file by its path


def filled(backbone: Backbone, where: Path, settings: argparse.Namespace) -> Registry:
    """A store of random soft prompts."""
    registry = Registry(where / "store")
    row = parse("pt", shots=1, retriever="bm25", retrievers=["bm25"]).as_dict()
    for number in range(settings.prompts):
        generator = torch.Generator().manual_seed(settings.seed + number)
        values = torch.randn((settings.prompt_length, backbone.hidden), generator=generator) * backbone.scale
        provenance = Provenance(
            backbone.name, backbone.fingerprint, label="pt", method=row, seed=number, kind=backbone.kind
        )
        store.save(SoftPrompt(values, provenance), where / f"p{number}")
        registry.add(f"p{number}", writer(NewVersion(folder=where / f"p{number}")))
    return registry


def inputs(backbone: Backbone, settings: argparse.Namespace) -> list[str]:
    """Texts of mixed lengths, of the model's own words."""
    rng = random.Random(f"{settings.seed}/inputs")
    plain = [token for token in range(backbone.vocab) if not backbone.tokenizer.controls([token])]
    lengths = [rng.randint(8, 48) for _ in range(settings.requests)]
    return [backbone.tokenizer.text([rng.choice(plain) for _ in range(length)]).strip() or "a" for length in lengths]


async def measured(ours: Asker, theirs: Asker | None, settings: argparse.Namespace) -> dict[str, Any]:
    """Seconds and first tokens of each contender, round by round."""
    everything = range(len(ours.texts))
    work: dict[str, Callable[[], Awaitable[list[Streamed]]]] = {
        "mixed": lambda: ours.at_once(everything),
        "turns": ours.in_turns,
        "alone": ours.one_by_one,
        "base": lambda: ours.at_once(everything, base="base"),
    }
    if theirs is not None:
        work["peer"] = lambda: theirs.at_once(everything)
    texts: dict[str, list[str]] = {}
    spent: dict[str, list[float]] = {name: [] for name in work}
    first: dict[str, list[float]] = {name: [] for name in work}
    for number in range(1 + settings.repeats):
        for name in list(work) if number % 2 == 0 else list(work)[::-1]:
            begun = time.perf_counter()
            answers = await work[name]()
            seconds = time.perf_counter() - begun
            spoken = [answer.text for answer in answers]
            if texts.setdefault(name, spoken) != spoken and name != "peer":
                sys.exit(f"{name}: an answer is not the one of the round before; no time is printed.")
            if number:  # the first round warms
                spent[name].append(seconds)
                first[name].append(statistics.median(answer.first for answer in answers))
            _run.speaker(settings)(f"round {number} {name}: {seconds:.2f} s")
    if texts["turns"] != texts["alone"] or texts["mixed"] != texts["alone"]:
        sys.exit("mixed: an answer is not the one that its request gets alone; no time is printed.")
    return {"spent": spent, "first": first, "texts": texts}


def row(model: str, measurements: dict[str, Any], settings: argparse.Namespace) -> dict[str, Any]:
    """A line of the table: medians, and ratios round by round."""
    spent, first, texts = measurements["spent"], measurements["first"], measurements["texts"]
    median = {name: statistics.median(values) for name, values in spent.items()}
    figures = {
        "model": model,
        "prompts": settings.prompts,
        "requests": settings.requests,
        "seconds": median["mixed"],
        "ratio_turns": statistics.median(_run.ratios(spent, "mixed", "turns")),
        "ratio_alone": statistics.median(_run.ratios(spent, "mixed", "alone")),
        "base_seconds": median["base"],
        "first": statistics.median(first["mixed"]),
        "first_alone": statistics.median(first["alone"]),
        "base_first": statistics.median(first["base"]),
        "all_seconds": spent,
    }
    if "peer" in spent:
        differ = sum(mine.strip() != other.strip() for mine, other in zip(texts["base"], texts["peer"], strict=True))
        figures |= {
            "ratio": statistics.median(_run.ratios(spent, "base", "peer")),
            "peer_first": statistics.median(first["peer"]),
            "peer_differs": differ,
        }
    return figures


async def measure(model: str, settings: argparse.Namespace) -> dict[str, Any]:
    """One model: both servers run side by side, and one at a time is asked."""
    with tempfile.TemporaryDirectory() as where, contextlib.ExitStack() as stack:
        with load_backbone(model) as backbone:
            registry, texts = filled(backbone, Path(where), settings), inputs(backbone, settings)
        port = free_port()
        command = [sys.executable, "-m", "foreword", "serve", "-m", model, "--prompts", registry.folder, "--port", port]
        url = stack.enter_context(serving([*command, "--max-rows", settings.rows_at_once], port, "/ready"))
        client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))
        names = [f"p{at % settings.prompts}" for at in range(settings.requests)]
        ours, theirs = Asker(client, url, texts, names, settings.longest, {"raw": True}), None
        if settings.peer:
            port, folder = free_port(), folder_of(model)
            words = [
                Path(sys.executable).with_name("transformers"),
                "serve",
                folder,
                "--port",
                port,
                "--host",
                "127.0.0.1",
            ]
            batched = ["--continuous-batching"] if settings.peer == "batching" else []
            peer = stack.enter_context(
                serving([*words, "--device", "cpu", "--dtype", "float32", *batched], port, "/health")
            )
            theirs = Asker(client, peer, texts, [str(folder)] * settings.requests, settings.longest, {})
        try:
            return row(model, await measured(ours, theirs, settings), settings)
        finally:
            await client.aclose()


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, or the JSON document."""
    parser = _run.parser(__doc__ or "", repeats=3)
    parser.add_argument("--model", nargs="+", default=["reference", "smollm2"])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--prompt-length", type=int, default=20, help="P")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--longest", type=int, default=32, help="tokens of an answer at most")
    parser.add_argument("--rows-at-once", type=int, default=32)
    parser.add_argument(
        "--peer",
        choices=["locked", "batching", ""],
        default="locked",
        help="how transformers serve runs; '': it does not",
    )
    settings = _run.parsed(parser, argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server of another library does not outlive this
    rows = [asyncio.run(measure(model, settings)) for model in settings.model]
    _run.finish(settings, "serve", rows, COLUMNS)


if __name__ == "__main__":
    main()
