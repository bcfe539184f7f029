"""Runs the real command line inside this process and writes a user's files: a tiny model, a small table; it refuses to hide a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import multiprocessing
import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import tiny
from foreword import __main__ as front

NAMES = ("bana", "lori", "tem", "nasho", "kuder", "finost", "rilo", "shoku")
THINGS = ("ba", "lo", "ri", "na", "ku")
SMALL = ("--max-new-tokens", 4, "--prompt-length", 3, "--max-steps", 2)
"""Flags of a run that ends in seconds."""


@dataclass(frozen=True)
class CommandResult:
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


def foreword(*argv: object) -> CommandResult:
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
    return CommandResult(code, *texts)


def refused(*argv: object, says: tuple[str, ...]) -> str:
    """The one sentence of a command that must be refused; `says` are words that must stand in it."""
    completed = foreword(*argv)
    assert completed.out == "", completed.out
    return one_sentence(completed.code, completed.err, says)


def one_sentence(code: int, err: str, says: tuple[str, ...]) -> str:
    """Stderr of a refusal: exit code 2, one line, `foreword: ` at its head, no traceback, and the words asked for."""
    assert "Traceback" not in err, err
    assert (code, err.count("\n"), err.startswith("foreword: ")) == (2, 1, True), (code, err)
    missing = [word for word in says if word not in err]
    assert not missing, f"{missing} not in {err!r}"
    assert "fault in foreword" not in err, err
    return err


class Process:
    """`foreword ...` as a process of its own that can be killed; forked from a server that has the libraries loaded, so that it
    starts at once. out, err: its streams, as files."""

    def __init__(self, argv: Sequence[object], streams: Path) -> None:
        kind = multiprocessing.get_context("forkserver")
        kind.set_forkserver_preload(PRELOAD)
        self._child = kind.Process(target=_serve, args=([str(word) for word in argv], str(streams)))
        self.out, self.err = streams.with_suffix(".out"), streams.with_suffix(".err")
        for path in (self.out, self.err):
            path.write_text("", encoding="utf-8")
        self._child.start()

    def wait(self, seconds: float = 180) -> int:
        """The exit code, minus the signal's number where one ended it."""
        self._child.join(seconds)
        assert self._child.exitcode is not None, "still running"
        return self._child.exitcode

    def alive(self) -> bool:
        """Whether it runs still."""
        return self._child.is_alive()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._child.pid is not None
        return self._child.pid

    def kill(self) -> None:
        """kill -9."""
        self._child.kill()


PRELOAD = ["entry", "foreword.study.compare", "foreword.study.single", "transformers.models.llama.modeling_llama"]


def _serve(argv: list[str], streams: str) -> None:
    with (
        Path(f"{streams}.out").open("w", encoding="utf-8") as out,
        Path(f"{streams}.err").open("w", encoding="utf-8") as err,
    ):
        sys.stdout, sys.stderr, sys.argv = out, err, ["foreword", *argv]
        torch.set_num_threads(1)
        code = front._run()
    sys.exit(code)


def save_model(folder: Path, family: str = "llama", seed: int = 0) -> Path:
    """A tiny random model with its tokenizer, as `save_pretrained` leaves it."""
    tiny.model(family, seed).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def rows(count: int, *, choices: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Distinct little questions with their answers."""
    examples = []
    for index in range(count):
        rng = random.Random(f"entry/{index}")
        name, syllable = rng.choice(NAMES), rng.choice(THINGS)
        target = rng.choice(choices) if choices else f"{syllable} {name}"
        examples.append({"input": f"{name} {index} {syllable}", "target": target})
    return examples


def save_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def save_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A JSONL file of inputs and their targets."""
    return save_rows(path, [{"input": question, "target": answer} for question, answer in pairs])


def save_text(path: Path, content: str) -> Path:
    """A file of any text."""
    path.write_text(content, encoding="utf-8")
    return path


def fits(text: str, width: int = 80) -> bool:
    """Whether no line of a command's output is wider than the terminal."""
    return all(len(line) <= width for line in text.splitlines())
