"""A user's own metric: a function of one output and its references, in a Python file that the user names or in another package."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from foreword.metrics.base import Metric, pairs, values_metric
from foreword.util.errors import ForewordError

SOURCE = "the user's own function"
_FILE = re.compile(r"(.+\.py)(?::([A-Za-z_]\w*)?)?")
ROUNDING = 1e-6  # by which a perfect score may miss the best value
_READ: dict[str, Metric] = {}  # the functions that the user has named in this process, as they were read the last time


def in_file(name: str) -> bool:
    """Whether a metric's name is a function of a file, `my_metric.py:score`."""
    return _FILE.fullmatch(name) is not None


def file_of(name: str) -> Path | None:
    """The file of a metric's name; None where it names no file."""
    match = _FILE.fullmatch(name)
    return None if match is None else Path(match[1]).expanduser()


def read(name: str) -> Metric:
    """The metric of a function of a file, which is run. Raises ForewordError: see `foreword.metrics.read_named`."""
    match = _FILE.fullmatch(name)
    assert match is not None
    path, function = Path(match[1]).expanduser(), match[2]
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ForewordError(f"The metric '{name}' cannot be read: {error.strerror}; check the path {path}.") from error
    module = _run(name, path, source)
    functions = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    if function is None or not hasattr(module, function):
        lacks = f"has no '{function}'" if function else "is named without its function"
        here = f"; it has {', '.join(functions)}" if functions else ""
        raise ForewordError(f"The metric '{name}': the file {lacks}; write {path.name}:FUNCTION{here}.")
    entry = as_metric(getattr(module, function), name, f"file|sha256:{hashlib.sha256(source).hexdigest()}")
    if entry is None:
        raise ForewordError(
            f"The metric '{name}' is {type(getattr(module, function)).__name__}; name a function of an output and its references."
        )
    _READ[name] = entry
    return entry


def read_before(name: str) -> Metric:
    """The metric of a function of a file that the user has named. Raises ForewordError where only what was read (a record, a prompt's
    folder) names it: no file is run for that."""
    if name not in _READ:
        raise ForewordError(
            f"The metric '{name}' is code in a file, which runs only where you name it; give --metrics {name}."
        )
    return _READ[name]


def as_metric(brought: Any, name: str, identity: str) -> Metric | None:
    """A Metric under this name of what a file or a package brings: a Metric, or a function (output, references) -> 0..1, of which the
    mean is taken; None where it is neither. identity: what tells its code from other code, which goes into the signature."""
    if isinstance(brought, Metric):
        signature = brought.signature
        return replace(brought, name=name, signature=lambda: f"{signature()}|{identity}")
    if isinstance(brought, type) or not callable(brought):
        return None

    def values(
        outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
    ) -> list[float]:
        return [_value(name, brought, *pair) for pair in pairs(outputs, references)]

    return values_metric(name, needs=(), values=values, source=SOURCE, signature=lambda: f"mean|{identity}")


def rehearse(measure: Metric, references: Iterable[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()) -> None:
    """Score some references against themselves, an empty output and a long one, before anything is trained or answered. facts: of the
    same examples, for a metric that reads some. Raises ForewordError where the metric fails, leaves its range, or gives another score
    the second time."""
    for place, accepted in enumerate(references):
        outputs = [accepted[0], "", f"{accepted[0]} {accepted[0]} and more"]
        scores, again = (
            [_rehearsed(measure, output, accepted, facts[place : place + 1]) for output in outputs] for _ in range(2)
        )
        if scores != again:
            place = next(place for place, score in enumerate(scores) if score != again[place])
            raise ForewordError(
                f"The metric '{measure.name}' gives {scores[place]:g} and then {again[place]:g} for the same output "
                f"{outputs[place][:60]!r}; a score must depend on output and references alone."
            )


def _rehearsed(measure: Metric, output: str, references: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> float:
    """The score of one output, of a set of its own."""
    try:
        score = measure.score([output], [references], facts)
    except ForewordError:
        raise
    except Exception as error:  # the code of others may fail in any way; the sentence keeps the reason
        raise ForewordError(
            f"The metric '{measure.name}' failed on the output {output[:60]!r} ({type(error).__name__}: {error}); mend it."
        ) from error
    if not measure.of_set and not measure.worst - ROUNDING <= score <= measure.best + ROUNDING:
        raise ForewordError(
            f"The metric '{measure.name}' gave {score:g} for the output {output[:60]!r}, and its scores are to lie from "
            f"{measure.worst:g} to {measure.best:g}; mend it."
        )
    return score


def _value(name: str, function: Callable[[str, list[str]], Any], output: str, references: Sequence[str]) -> float:
    try:
        value = function(output, list(references))
    except Exception as error:  # the code of others may fail in any way; the sentence keeps the reason and the line
        raise ForewordError(
            f"The metric '{name}' failed on the output {output[:60]!r} ({type(error).__name__}: {error}{_line(function, error)}); mend the "
            "function."
        ) from error
    number = float(value) if isinstance(value, Real) else math.nan
    if not 0 <= number <= 1:
        raise ForewordError(
            f"The metric '{name}' gave {str(value)[:60]} for the output {output[:60]!r}, and a score must be a number from 0 to 1."
        )
    return number


def _line(function: Callable[..., Any], error: Exception) -> str:
    """The line of the function's own file that failed, or called what failed; empty where none did."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


class _Source(SourceFileLoader):
    """Runs exactly these bytes: no bytecode of an earlier text is read, and none is written beside the user's file."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self.source = source

    def path_stats(self, path: Any) -> Any:
        """Nothing is known of the file, so no bytecode belongs to it."""
        raise OSError(path)

    def get_data(self, path: Any) -> bytes:
        """The bytes that were digested."""
        return self.source


def _run(name: str, path: Path, source: bytes) -> ModuleType:
    key = f"foreword_metric_{hashlib.sha256(source).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(key, _Source(key, str(path), source))
    assert spec is not None and spec.loader is not None
    module = sys.modules[key] = importlib.util.module_from_spec(spec)  # known by its name, as dataclasses want it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the code of others may fail in any way; the sentence keeps the reason
        raise ForewordError(
            f"The metric '{name}' cannot be run ({type(error).__name__}: {error}); mend the file (a metric's file stands alone)."
        ) from error
    return module
