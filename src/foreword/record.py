"""A Record is what one finished Trial leaves: spec, fingerprints, scores, answers, costs; it refuses to be written in part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from foreword.errors import ForewordError
from foreword.files import read_json, write_json


@dataclass(frozen=True)
class Demonstration:
    """A demonstration as one example was shown it. similarity: the retriever's own scale; None where nothing was compared."""

    id: str
    text: str
    similarity: float | None = None


@dataclass(frozen=True)
class Answer:
    """One scored example. scores: metric name to this example's own score. statistics: metric name to the numbers whose sums
    over examples give the metric's score of the whole split. shown: farthest first, as in the input. subset: the part of the split
    that has scores of its own; empty where there is none."""

    id: str
    input: str
    output: str
    targets: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, list[float]] = field(default_factory=dict)
    shown: tuple[Demonstration, ...] = ()
    dropped: int = 0
    prefix_tokens: int = 0
    input_tokens: int = 0
    subset: str = ""


@dataclass(frozen=True)
class Costs:
    """What a method costs. prefix_tokens: mean number of positions before the input (soft and text). seconds on this machine."""

    trainable_parameters: int
    train_seconds: float
    prefix_tokens: float
    seconds_per_answer: float


@dataclass(frozen=True)
class Record:
    """One finished trial. spec holds everything that the key is made of; label is the method as the user wrote it."""

    key: str
    label: str
    method: str
    task: str
    backbone: str
    seed: int
    deterministic: bool
    primary: str
    scores: dict[str, float]
    costs: Costs
    answers: tuple[Answer, ...]
    spec: dict[str, Any]
    fingerprints: dict[str, str]
    versions: dict[str, str]
    hardware: str
    metric_signatures: dict[str, str]
    dropped_demonstrations: int = 0
    curve: tuple[dict[str, float], ...] = ()
    prompt: str = ""
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the record whole or not at all; the same record gives the same bytes."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record back. Raises ForewordError naming the file when it is damaged or of another shape."""
        raw = read_json(path, "record")
        try:
            costs = Costs(**raw.pop("costs"))
            answers = tuple(_answer(one) for one in raw.pop("answers"))
            raw["curve"] = tuple(raw["curve"])
            raw["notes"] = tuple(raw["notes"])
            return cls(costs=costs, answers=answers, **raw)
        except (KeyError, TypeError, AttributeError) as error:
            raise ForewordError(
                f"The record at {path} does not have the shape this version writes ({error}); delete it to run that trial again."
            ) from error


def _answer(raw: dict[str, Any]) -> Answer:
    shown = tuple(Demonstration(**one) for one in raw.pop("shown"))
    return Answer(shown=shown, targets=tuple(raw.pop("targets")), **raw)
