"""Scores and verdicts out of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foreword.metrics import metric
from foreword.results import stats
from foreword.results.clusters import clusters_of
from foreword.results.record import Record
from foreword.study.measure import cube
from foreword.util import phrases


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
    measure, numbers = metric(records[0].primary), cube(records)
    mean, std = stats.mean_std(measure.from_sums(numbers.sum(axis=1)))
    clusters = clusters_of(records)
    (sample,) = stats.samples([numbers], measure.from_sums, [records[0].deterministic], clusters)
    ends = stats.interval(sample, lowest=measure.worst, highest=measure.best)
    return Score(mean, std, ends, len(records))


def of(records: Sequence[Record], **conditions: Any) -> list[Record]:
    """The records whose task, label, backbone or `length` of soft prompt are these."""
    return [record for record in records if all(_has(record, name, value) for name, value in conditions.items())]


def _has(record: Record, name: str, value: Any) -> bool:
    actual = (record.spec["tuning"] or {}).get("prompt_length") if name == "length" else getattr(record, name)
    return bool(actual == value)
