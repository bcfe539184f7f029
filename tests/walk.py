"""The walk of a flag of `compare`, from the command line to the first Trial: the functions that it passes through, counted as they run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import entry
import foreword.study.compare
from foreword.cli import compare as verb
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from test_house import FLOOR, INSIDE, SOURCE, module

FLAG, LENGTH = "prompt_length", 7
MOST_STOPS, MOST_CLIMBS = 30, 5


@dataclass(frozen=True)
class Walk:
    """stops: the functions that get what holds the flag's value (flags, settings, Run, Tuning, Spec), each once, in the order in which
    it comes to them. climbs: steps to a stop on a higher floor than the one before, of
    the house or of the room that both are in. returns: the stops that hand it back."""

    stops: tuple[str, ...]
    climbs: tuple[str, ...]
    returns: tuple[str, ...]

    def __str__(self) -> str:
        numbers = f"{len(self.stops)} stops, {len(self.climbs)} climbs, {len(self.returns)} returns"
        return f"the walk of compare's --prompt-length: {numbers}\n  {' > '.join(self.stops)}"


def walk() -> Walk:
    """Walk a dry run of `compare` on a tiny model. No value of a parameter but the flag's is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model, data = entry.save_model(place / "model"), entry.save_rows(place / "own.jsonl", entry.rows(30))
        argv = ("-m", model, "-d", data, "--methods", "pt", "--prompt-length", LENGTH)
        recorder = _Recorder()
        sys.setprofile(recorder)
        try:
            ran = entry.foreword("compare", *argv, "--max-new-tokens", 8, "-o", place / "out", "--dry-run")
        finally:
            sys.setprofile(None)
        assert ran.code == 0, ran.err
    return recorder.walk()


class _Recorder:
    """What `sys.setprofile` calls at each call and return, until the first Trial is made."""

    def __init__(self) -> None:
        self.stops: dict[CodeType, str] = {}
        self.returns: dict[CodeType, str] = {}
        self.begun = self.done = False

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if self.done or event not in ("call", "return"):
            return
        code = frame.f_code
        if event == "call" and code.co_name == "__init__" and isinstance(frame.f_locals.get("self"), Trial):
            self.done = True
            return
        name = _name(code)
        self.begun = self.begun or code is verb.compare.__code__
        if not name or not self.begun:
            return
        if event == "call" and code not in self.stops and any(map(_holds, _arguments(frame))):
            self.stops[code] = name
        if event == "return" and code in self.stops and _holds(value):
            self.returns[code] = name

    def walk(self) -> Walk:
        """What was seen."""
        names = list(self.stops.values())
        climbs = [there for here, there in pairwise(names) if _above(there, here)]
        return Walk(tuple(names), tuple(climbs), tuple(self.returns.values()))


def _above(there: str, here: str) -> bool:
    """Whether a function stands on a higher floor than another: of the house, or of the room that both are in."""
    if there.split(".")[0] != here.split(".")[0]:
        return FLOOR[there.split(".")[0]] > FLOOR[here.split(".")[0]]
    inner = {part: floor for floor, row in enumerate(INSIDE.get(there.split(".")[0], ())) for part in row.split()}
    return inner.get(there.split(".")[1], 0) > inner.get(here.split(".")[1], 0)


def _name(code: CodeType) -> str:
    """`study.plan.plan`; empty for code of others, and for what has no name of its own."""
    path = Path(code.co_filename)
    if not path.is_relative_to(SOURCE) or code.co_name.startswith("<"):
        return ""
    return f"{module(path)}.{code.co_qualname}"


def _arguments(frame: FrameType) -> list[Any]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    return [frame.f_locals.get(name) for name in code.co_varnames[:count]]


def _holds(value: Any) -> bool:
    """Whether the flag's value is in it: a table of flags or settings with that key, or settings that were made of one."""
    if isinstance(value, Mapping):
        inner = value.get("tuning")
        return value.get(FLAG) == LENGTH or (isinstance(inner, Mapping) and inner.get(FLAG) == LENGTH)
    if isinstance(value, tuple | list):
        return any(isinstance(part, Run | Tuning | Spec) and _holds(part) for part in value)
    tuning: Callable[[Any], Any] = lambda holder: getattr(holder, "tuning", holder)  # noqa: E731
    return isinstance(value, Run | Tuning | Spec) and getattr(tuning(value), FLAG, None) == LENGTH


if __name__ == "__main__":
    assert foreword.study.compare  # loaded before the walk begins
    print(walk())
