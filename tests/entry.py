"""Runs the real command line inside this process and writes a user's files: a tiny model, a small table; it refuses to hide a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import tiny
from foreword import __main__ as front

NAMES = ("bana", "lori", "tem", "nasho", "kuder", "finost", "rilo", "shoku")
THINGS = ("ba", "lo", "ri", "na", "ku")


@dataclass(frozen=True)
class Told:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Stdout as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@contextlib.contextmanager
def _streams() -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def foreword(*argv: object) -> Told:
    """`foreword ...`, through the same door as the installed command."""
    handlers = list(logging.getLogger().handlers)
    with (
        _streams() as (out, err),
        mock.patch.object(sys, "argv", ["foreword", *map(str, argv)]),
        mock.patch.dict("os.environ", {"COLUMNS": "80"}),
        warnings.catch_warnings(),
    ):
        try:
            code = front._run()
        finally:
            logging.getLogger().handlers[:] = handlers
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return Told(code, *texts)


def refused(*argv: object, says: tuple[str, ...]) -> str:
    """The one sentence of a command that must be refused; `says` are words that must stand in it."""
    told = foreword(*argv)
    assert told.out == "", told.out
    return one_sentence(told.code, told.err, says)


def one_sentence(code: int, err: str, says: tuple[str, ...]) -> str:
    """Stderr of a refusal: exit code 2, one line, `foreword: ` at its head, no traceback, and the words asked for."""
    assert "Traceback" not in err, err
    assert (code, err.count("\n"), err.startswith("foreword: ")) == (2, 1, True), (code, err)
    missing = [word for word in says if word not in err]
    assert not missing, f"{missing} not in {err!r}"
    assert "fault in foreword" not in err, err
    return err


def save_model(folder: Path, family: str = "llama", seed: int = 0) -> Path:
    """A tiny random model with its tokenizer, as `save_pretrained` leaves it."""
    tiny.model(family, seed).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def rows(count: int, *, choices: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Distinct little questions with their answers."""
    made = []
    for index in range(count):
        rng = random.Random(f"entry/{index}")
        name, thing = rng.choice(NAMES), rng.choice(THINGS)
        target = rng.choice(choices) if choices else f"{thing} {name}"
        made.append({"input": f"{name} {index} {thing}", "target": target})
    return made


def save_rows(path: Path, given: list[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    return path
