"""Scores, differences and verdicts out of records; it refuses to compare answers to different examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foreword.metrics import metric
from foreword.results import stats
from foreword.results.record import Record
from foreword.util import phrases
from foreword.util.errors import ForewordError

ALPHA = 0.05
Key = TypeVar("Key")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation over seeds, and the 95% interval over examples and seeds (of one seed: over examples)."""

    mean: float
    std: float
    ci95: tuple[float, float]
    seeds: int

    def __str__(self) -> str:
        spread = f" ± {self.std:.1f}" if self.seeds > 1 else ""
        return f"{phrases.score(self.mean)}{spread} ({phrases.between(*self.ci95)})"


@dataclass(frozen=True)
class Difference:
    """Points by which one score is above another on the same examples, its 95% interval, and p of the same crossed model of
    seeds and examples (in a table, adjusted by Holm)."""

    points: float
    ci95: tuple[float, float]
    p: float

    @property
    def above(self) -> bool:
        """Whether it is surely above zero: the whole interval is."""
        return self.ci95[0] > 0

    def __str__(self) -> str:
        return f"{phrases.points(self.points)}{'*' * (self.p < ALPHA)} ({phrases.between(*self.ci95)})"


@dataclass(frozen=True)
class Verdict:
    """holds: in how many of `of` cases a claim holds. needed: the target; None where there is none."""

    claim: str
    holds: int
    of: int
    needed: int | None = None

    def __str__(self) -> str:
        if not self.of:
            return f"{self.claim}: **not judged**, nothing ran."
        target = "" if self.needed is None else f" (target {self.needed}: {self._judged()})"
        return f"{self.claim}: **holds on {self.holds} of {self.of}**{target}."

    def _judged(self) -> str:
        assert self.needed is not None
        return "shown" if self.holds >= self.needed else "not shown"


def score(records: Sequence[Record]) -> Score:
    """The score of one method over the seeds of its records."""
    measure, cube = metric(records[0].primary), _cube(records, [one.id for one in records[0].answers])
    mean, std = stats.mean_std(measure.from_sums(cube.sum(axis=1)))
    (sample,) = stats.samples([cube], measure.from_sums, [records[0].deterministic])
    ends = stats.interval(sample, lowest=measure.worst, highest=measure.best)
    return Score(mean, std, ends, len(records))


def difference(ours: Sequence[Record], theirs: Sequence[Record]) -> Difference:
    """The mean over seeds of ours above the mean over seeds of theirs."""
    measure, ids = metric(ours[0].primary), [one.id for one in ours[0].answers]
    a, b = _cube(ours, ids), _cube(theirs, ids)
    sides = stats.samples([a, b], measure.from_sums, [ours[0].deterministic, theirs[0].deterministic])
    gap = stats.difference(*sides)
    return Difference(gap.observed, gap.interval(), gap.p)


def adjusted(gaps: dict[Key, Difference]) -> dict[Key, Difference]:
    """The same with p adjusted by Holm for their number."""
    ps = stats.holm([gap.p for gap in gaps.values()])
    return {name: replace(gap, p=p) for (name, gap), p in zip(gaps.items(), ps, strict=True)}


def _cube(records: Sequence[Record], ids: Sequence[str]) -> Array:
    """The numbers that add up to the scores: [J, N, d]."""
    layers = []
    for record in records:
        by_id = {answer.id: answer.statistics[record.primary] for answer in record.answers}
        if by_id.keys() != set(ids):
            raise ForewordError(
                f"The records of {record.label} on {record.task} answer other examples than those they are compared with; "
                "run both with the same settings."
            )
        layers.append([by_id[one] for one in ids])
    return np.asarray(layers, dtype=np.float64)


def of(records: Sequence[Record], **wanted: Any) -> list[Record]:
    """The records whose task, label, backbone or `length` of soft prompt are these."""
    return [record for record in records if all(_has(record, name, value) for name, value in wanted.items())]


def _has(record: Record, name: str, value: Any) -> bool:
    found = (record.spec["tuning"] or {}).get("prompt_length") if name == "length" else getattr(record, name)
    return bool(found == value)
