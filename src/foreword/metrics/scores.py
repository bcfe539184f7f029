"""Computes every metric of a task on one set of predictions; only the primary metric must be computable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreword.metrics import foreign, metric
from foreword.metrics.base import Numbers
from foreword.metrics.own import rehearse
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Scores:
    """whole: each metric's score of the set. own: each metric's score of every example, [N]. statistics: of the primary
    metric, [N, d]. signatures: of each metric. absent: a sentence for each metric that cannot run here."""

    whole: dict[str, float]
    own: dict[str, Numbers]
    statistics: Numbers
    signatures: dict[str, str]
    absent: tuple[str, ...]


def decides(names: Sequence[str]) -> None:
    """Raises ForewordError where the first of these metrics, which decides, cannot run here."""
    absence = metric(names[0]).absence()
    if absence:
        raise ForewordError(f"The metric '{names[0]}' decides here and cannot run: {absence}")


def scorable(
    names: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Raises ForewordError for the first of these metrics that cannot score such examples: they lack a fact that it reads, or have another
    answer than its labels. One that cannot run here scores nothing anyway."""
    for place, name in enumerate(names):
        measure = metric(name)
        if measure.absence():
            continue
        for number, (accepted, known) in enumerate(zip(references, facts or [{}] * len(references), strict=True), 1):
            lacks = [fact for fact in measure.needs if fact not in known]
            if lacks:
                wrong = f"reads the fact '{lacks[0]}' of every example, and example {number} of those that are scored has none"
            elif measure.labels and accepted[0] not in measure.labels:
                wrong = (
                    f"takes the labels {', '.join(measure.labels)}, and the reference {accepted[0]!r} is none of them"
                )
            else:
                continue
            other = "leave it out of --metrics" if place else "score this task with another metric"
            raise ForewordError(f"The metric '{name}' {wrong}; {other}.")


def rehearsed(
    names: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Tries those of the metrics that are a user's own or another package's on references, and on the facts of their examples, before
    anything is computed. Raises ForewordError where one fails."""
    for name in names:
        if foreign(name):
            rehearse(metric(name), references, facts)


def scores_of(
    names: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    facts: Sequence[Mapping[str, Any]],
) -> Scores:
    """The scores by the metrics of these names, the first of which decides; the others are left out where they cannot run."""
    decides(names)
    missing = {name: metric(name).absence() for name in names}
    here = [name for name in names if not missing[name]]
    numbers = {name: metric(name).numbers(outputs, references, facts) for name in here}
    return Scores(
        whole={name: float(metric(name).from_sums(rows.sum(axis=0))) for name, rows in numbers.items()},
        own={name: metric(name).per_example(rows) for name, rows in numbers.items()},
        statistics=numbers[names[0]],
        signatures={name: metric(name).signature() for name in here},
        absent=tuple(f"Not scored by {name}: {sentence}" for name, sentence in missing.items() if sentence),
    )
