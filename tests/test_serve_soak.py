"""Many prompts, many requests, arrivals at random, a third of the callers gone, prompts loaded and unloaded meanwhile: every finished
answer is the one that the request gets alone. `python -m test_serve_soak --minutes 60` goes on with it (`make soak`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx2 as httpx
import psutil
import pytest

import serving
import tiny
from foreword.engine import Request, Row, Sampling
from foreword.prompts import store
from foreword.registry import Registry

SETTINGS: dict[str, Any] = {"max_rows": 48, "max_waiting": 10_000, "admin": True}
WARM = 3  # rounds after which the memory is to stay as it is
MORE = 60_000_000  # bytes


def bodies(count: int, prompts: int, seed: object = "soak") -> list[dict[str, Any]]:
    """Requests of mixed prompts, lengths and samplings, token ids all."""
    rng = Random(seed)
    request_bodies = []
    for number in range(count):
        body: dict[str, Any] = {
            "model": f"p{rng.randrange(prompts)}",
            "prompt": list(tiny.ids(rng.randint(1, 20), f"{seed}/{number}")),
            "max_tokens": rng.randint(1, 24),
            "return_token_ids": True,
        }
        request_bodies.append(
            body | rng.choice([{}, {"temperature": rng.choice([0.7, 1.3]), "seed": number, "top_p": 0.9}])
        )
    return request_bodies


async def soaked(
    running: serving.Running, request_bodies: list[dict[str, Any]], rate: float, seed: object = "arrivals"
) -> dict[int, Any]:
    """The answers of those that were not cancelled, by place: Poisson arrivals, every third caller leaves."""
    rng = Random(seed)
    answers: dict[int, Any] = {}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:

        async def caller(place: int, delay: float, leaves: float | None) -> None:
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(leaves):
                    answer = await client.post(
                        f"{running.url}/v1/completions", content=json.dumps(request_bodies[place])
                    )
            except TimeoutError:
                return
            answers[place] = answer

        at, jobs = 0.0, []
        for place in range(len(request_bodies)):
            at += rng.expovariate(rate)
            jobs.append(caller(place, at, rng.uniform(0.0, 0.5) if place % 3 == 0 else None))

        async def change() -> None:
            for number in range(2):
                await asyncio.sleep(at / 4)
                response = await client.post(f"{running.url}/v1/foreword/load", json={"model": f"late{number}"})
                assert response.status_code == 200, response.text
            await client.post(f"{running.url}/v1/foreword/unload", json={"model": "late0"})

        await asyncio.gather(change(), *jobs)
    return answers


def filled(where: Path, prompts: int) -> Registry:
    """A store of so many prompts, and two that are loaded later."""
    backbone, registry = tiny.backbone("llama"), Registry(where / "store")
    for number in range(prompts + 2):
        name = f"p{number}" if number < prompts else f"late{number - prompts}"
        store.save(serving.soft(backbone, 1 + number % 9, number), where / name)
        serving.keep(registry, name, where / name)
    return registry


def compared(running: serving.Running, request_bodies: list[dict[str, Any]], answers: dict[int, Any]) -> None:
    """Every answer is the one that its request gets alone, none is lost, and nothing is left behind."""
    backbone = tiny.backbone("llama")
    assert len(answers) >= len(request_bodies) * 2 // 3 and all(
        answer.status_code == 200 for answer in answers.values()
    )
    assert running.service.engine.load == 0
    for place, answer in answers.items():
        body = request_bodies[place]
        served = running.service.shelf.get(body["model"])
        sampling = Sampling(body.get("temperature", 0.0), top_p=body.get("top_p", 1.0), seed=body.get("seed", 0))
        alone = Request(Row((), tuple(body["prompt"])), served.prefix, body["max_tokens"], sampling=sampling)
        (ids,) = backbone.answer([alone])
        while ids and ids[-1] in backbone.eos:
            ids.pop()
        assert answer.json()["choices"][0]["token_ids"] == ids, body
    assert running.post("/v1/completions", {"model": "late0", "prompt": [5]}).status_code == 404


def soak(tmp_path: Path, *, prompts: int, requests: int, rate: float) -> None:
    registry, request_bodies = filled(tmp_path, prompts), bodies(requests, prompts)
    with serving.server(tiny.backbone("llama"), store=registry.folder, **SETTINGS) as running:
        answers = asyncio.run(soaked(running, request_bodies, rate))
        before = psutil.Process().memory_info().rss
        compared(running, request_bodies, answers)
        asyncio.run(soaked(running, request_bodies, rate))
        assert psutil.Process().memory_info().rss < before + 200_000_000, "the memory stays as it is"


def test_a_little_of_it(tmp_path: Path) -> None:
    soak(tmp_path, prompts=8, requests=45, rate=60.0)


@pytest.mark.slow
def test_sixty_four_prompts_and_a_thousand_requests(tmp_path: Path) -> None:
    soak(tmp_path, prompts=64, requests=1000, rate=60.0)


def main() -> int:
    """Rounds of it until the minutes are over; 1 where the memory grew."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--requests", type=int, default=300, help="of a round")
    parser.add_argument("--rate", type=float, default=60.0, help="arrivals a second")
    args = parser.parse_args()
    end, held, finished, number = time.monotonic() + 60 * args.minutes, [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        registry = filled(Path(folder), args.prompts)
        with serving.server(tiny.backbone("llama"), store=registry.folder, **SETTINGS) as running:
            while time.monotonic() < end or number <= WARM:
                request_bodies = bodies(args.requests, args.prompts, f"soak/{number}")
                begun = time.monotonic()
                answers = asyncio.run(soaked(running, request_bodies, args.rate, f"arrivals/{number}"))
                seconds = time.monotonic() - begun
                compared(running, request_bodies, answers)
                number, finished = number + 1, finished + len(answers)
                held.append(psutil.Process().memory_info().rss)
                print(
                    f"round {number}: {len(answers)} of {len(request_bodies)} finished in {seconds:.1f} s, each the same as alone; "
                    f"{held[-1] / 1e6:,.0f} MB",
                    flush=True,
                )
    grown = max(held[WARM:]) - held[WARM - 1]
    print(
        f"{finished:,} answers in {number} rounds, each the same as alone; the memory grew by {grown / 1e6:,.1f} MB after round {WARM}"
    )
    return int(grown > MORE)


if __name__ == "__main__":
    sys.exit(main())
