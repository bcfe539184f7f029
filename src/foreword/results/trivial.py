"""Baselines without a model: the most frequent training answer, and chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreword.data.task import Task
from foreword.metrics import Metric
from foreword.metrics.base import Numbers

COMMON = 0.1  # of the training answers, where they are free text: a rarer one nobody would always give


@dataclass(frozen=True)
class Trivial:
    """name: in words. statistics: of each example's id, the numbers that add up to its score by the primary metric."""

    name: str
    statistics: dict[str, Numbers]


def trivial_answers(task: Task, metric: Metric) -> tuple[Trivial, ...]:
    """Always giving the most frequent answer of the training split, and, where there are choices, drawing one of them blindly."""
    rows = [majority(task, metric), chance(task, metric)]
    return tuple(row for row in rows if row is not None)


def trivial_of_folds(folds: Sequence[Task], metric: Metric) -> tuple[Trivial, ...]:
    """What scores without a model over the test examples of all folds, each by its own fold's training split."""
    per_fold = [[row for row in (majority(fold, metric), chance(fold, metric)) if row is not None] for fold in folds]
    joined: list[Trivial] = []
    for rows in zip(*per_fold, strict=False) if len({len(rows) for rows in per_fold}) == 1 else ():
        names = {row.name for row in rows}
        name = names.pop() if len(names) == 1 else "always the commonest answer of the other folds"
        joined.append(Trivial(name, {id_: numbers for row in rows for id_, numbers in row.statistics.items()}))
    return tuple(joined)


def commonest(task: Task) -> str | None:
    """The most frequent training answer; of equally frequent ones the first. None where free text has none that is frequent, or where
    choices differ by example."""
    counts = Counter(example.targets[0] for example in task.train)
    if not (counts and task.test) or len({example.choices for example in task.test}) > 1:
        return None
    answer, times = counts.most_common(1)[0]
    return answer if task.test[0].choices or times >= max(2, COMMON * len(task.train)) else None


def majority(task: Task, metric: Metric) -> Trivial | None:
    """The row that always gives the most frequent training answer; None where there is none."""
    answer = commonest(task)
    if answer is None:
        return None
    return Trivial(f"always {answer!r}", _by_id(task, _numbers(task, metric, [answer] * len(task.test))))


def chance(task: Task, metric: Metric) -> Trivial | None:
    """The row of blind choices, each example's numbers their mean over its choices; None where there are no choices."""
    if not all(example.choices for example in task.test):
        return None
    most = max(len(example.choices) for example in task.test)
    counts = np.array([len(example.choices) for example in task.test], dtype=np.float64)
    total = np.zeros((len(task.test), 1))
    for n in range(most):
        outputs = [example.choices[min(n, len(example.choices) - 1)] for example in task.test]
        total = total + (_numbers(task, metric, outputs) * (n < counts)[:, None])
    return Trivial("chance", _by_id(task, total / counts[:, None]))


def _numbers(task: Task, metric: Metric, outputs: list[str]) -> Numbers:
    return metric.numbers(outputs, [e.targets for e in task.test], [e.facts for e in task.test])


def _by_id(task: Task, numbers: Numbers) -> dict[str, Numbers]:
    return {example.id: row for example, row in zip(task.test, numbers, strict=True)}
