"""Logs as the server writes them, with inputs of stated kinds, for the tests of the monitor; it refuses to stand in for the server, whose
lines a test holds against these."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KIND = "mean-embedding/16/1/test"


def line(number: int, *, seed: str = "usual", shift: float = 0.0, **more: Any) -> dict[str, Any]:
    """A line of the log. shift: by how much vectors and log-probabilities are moved."""
    rng = random.Random(f"{seed}/{number}")
    tokens = rng.randint(3, 12)
    about = {
        "characters": rng.randint(20, 60),
        "tokens": rng.randint(8, 20),
        "similarity": [],
        "dropped_demonstrations": 0,
        "vector": [round(rng.gauss(shift, 1.0), 4) for _ in range(4)],
    }
    answer = {
        "finish_reason": "stop",
        "tokens": tokens,
        "logprob": round(tokens * (-abs(rng.gauss(1.0, 0.3)) - shift), 4),
    }
    values: dict[str, Any] = {
        "v": 1,
        "time": f"2026-11-{1 + number // 1440:02d}T{number // 60 % 24:02d}:{number % 60:02d}:00.000+00:00",
        "id": f"cmpl-{number}",
        "model": "dart",
        "prompt": "dart",
        "version": 1,
        "digest": "d" * 64,
        "status": 200,
        "choices": [answer],
        "inputs": [about],
        "vectors": KIND,
    }
    return values | more


def save_log(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    """A log of these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def usual(count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    """So many lines of one kind."""
    return [line(start + number, **more) for number in range(count)]
