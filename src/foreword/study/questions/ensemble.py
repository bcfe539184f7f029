"""Several soft prompts of one task: their mean, the best, and the majority's answer (Lester et al. 2021, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foreword.infer.ensemble import vote
from foreword.metrics import metric
from foreword.results import stats
from foreword.results.cells import Answered, Cell, Entry, Row, Table, Test
from foreword.results.clusters import clusters_of
from foreword.results.judged import metric_key
from foreword.results.record import Record
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import choose, combined, cube, entry, named, over_grid, records_of, values
from foreword.study.preset import Preset
from foreword.study.recorded import metrics_of, numbers_of
from foreword.util import phrases

COLUMNS = ("average", "best", "ensemble")
HINDSIGHT = "the best is chosen by the very examples that it is scored on, so it is too high a bar"


def ensemble(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row for each metric of a task, and the mean over tasks; whether the vote is above the prompts' average, and whether it is at least
    as good as the best of them."""
    rows: list[Row] = []
    at_least, counted, planned = 0, 0, 0
    gaps: dict[tuple[str, str], AdjustedDifference] = {}
    for model in values(cells, "model"):
        by_task: list[tuple[Entry, ...]] = []
        for task in values(cells, "task"):
            own = choose(cells, paper_model=model, paper_task=task, paper_method="pt")
            if not own:
                continue
            planned += 1
            done = records_of(own)
            names = metrics_of(done) or [""]
            by_metric = [_three(own, name) for name in names]
            head = (named(own, "model", preset), named(own, "task", preset))
            rows += [Row((*head, phrases.title(each[0].metric) if done else ""), each) for each in by_metric]
            by_task.append(tuple(_mean(column) for column in zip(*by_metric, strict=True)))
            _, best, voted = by_metric[names.index(done[0].primary) if done else 0]
            if best.score is not None and voted.score is not None:
                counted += 1
                at_least += voted.score >= best.score
                gaps[model, task] = _above_average(done)
        if len(by_task) > 1:
            rows.append(_over_tasks(by_task, named(choose(cells, paper_model=model), "model", preset)))
    table = Table(preset.title, ("model", "task", "metric"), COLUMNS, tuple(rows))
    above = over_grid(
        "The majority's answer is above the prompts' average on every task", adjusted(gaps), planned, "tasks"
    )
    scope = "" if not gaps else "; over examples, of these prompts alone"
    claim = "The majority of the prompts is at least as good as the best of them"
    counts = Test(claim, None, cases=(at_least, counted), note=f"counted and not tested; {HINDSIGHT}")
    return (table, replace(above, note=above.note + scope), counts)


def _three(cells: Sequence[Cell], name: str) -> tuple[Entry, Entry, Entry]:
    """The prompts' mean, the best and the majority by one metric; by the deciding one where none is named."""
    at = dict(cells[0].paper) | ({"metric": metric_key(name)} if name else {})
    mean = replace(entry(cells, paper=at, by=name), paper=at | {"of": COLUMNS[0]})
    records = records_of(cells)
    best, voted = (replace(mean, paper=at | {"of": of}, spread=None, ci95=None) for of in COLUMNS[1:])
    if mean.score is None or len(records) < 2:
        cause = mean.cause or "it takes two prompts"
        return mean, replace(best, score=None, cause=cause), replace(voted, score=None, cause=cause)
    best = replace(best, score=max(record.scores[name] for record in records))
    numbers = _voted(records, name)
    if numbers is None:
        return mean, best, replace(voted, score=None, cause=f"the numbers of {name} are not kept")
    measure = metric(name)
    score, _ = stats.mean_std(measure.from_sums(numbers.sum(axis=1)))
    (sample,) = stats.samples([numbers], measure.from_sums, [True], clusters_of(records))
    ends = stats.interval(sample, lowest=measure.worst, highest=measure.best)
    return mean, best, replace(voted, score=score, ci95=ends)


def _voted(records: Sequence[Record], name: str) -> NDArray[np.float64] | None:
    """The numbers of the majority's answers by one metric [1, N, d]. An answer of the majority is some prompt's answer, whose numbers for
    that example it has."""
    voted = vote([{answer.id: answer.output for answer in record.answers} for record in records])
    every = [numbers_of(record, name) for record in records]
    own = [{a.id: (a.output, place) for place, a in enumerate(record.answers)} for record in records]
    rows = []
    for id_, output in voted.items():
        member = next(n for n, answers in enumerate(own) if answers[id_][0] == output)
        numbers = every[member]
        if numbers is None:
            return None
        rows.append(numbers[own[member][id_][1]])
    return np.asarray([rows], dtype=np.float64)


def _above_average(records: Sequence[Record]) -> AdjustedDifference:
    """The majority less the prompts' mean on the same examples, by the deciding metric, with these prompts held fixed."""
    measure, primary = metric(records[0].primary), records[0].primary
    numbers = _voted(records, primary)
    assert numbers is not None, "the deciding metric's numbers are kept"
    voted, members = stats.samples(
        [numbers, cube(records)], measure.from_sums, [True, True], clusters_of(records), widest=measure.width
    )
    average = stats.Sample(members.values.mean(axis=0, keepdims=True), True, members.clustered, members.widest)
    return AdjustedDifference(stats.difference(voted, average))


def _mean(entries: Sequence[Entry]) -> Entry:
    """A task's score: the mean of its metrics', without an interval where it has several."""
    if len(entries) == 1 or any(each.score is None for each in entries):
        return next((each for each in entries if each.score is None), entries[0])
    mean = sum(each.score or 0.0 for each in entries) / len(entries)
    return replace(entries[0], score=mean, spread=None, ci95=None)


def _over_tasks(by_task: Sequence[tuple[Entry, ...]], model: str) -> Row:
    """The mean over tasks, as SuperGLUE is scored."""
    columns = []
    for of, entries in zip(COLUMNS, zip(*by_task, strict=True), strict=True):
        paper = {name: value for name, value in entries[0].paper.items() if name != "metric"}
        names = "+".join(each.task for each in entries)
        columns.append(combined(entries, names, paper | {"task": "superglue", "metric": "score", "of": of}))
    return Row((model, "all", "mean over tasks"), tuple(columns))


QUESTIONS = {"ensemble": ensemble}
