"""Several soft prompts of one task: their mean, the best, and the majority's answer (Lester et al. 2021, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from foreword.infer.ensemble import vote
from foreword.metrics import metric
from foreword.results import stats
from foreword.results.cells import Answered, Cell, Entry, Row, Table, Test
from foreword.results.clusters import clusters_of
from foreword.results.record import Record
from foreword.study.measure import choose, entry, named, records_of, values
from foreword.study.preset import Preset

COLUMNS = ("average", "best", "ensemble")


def ensemble(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a task; and whether the vote is at least as good as the best single prompt."""
    rows: list[Row] = []
    at_least, counted = 0, 0
    for model in values(cells, "model"):
        for task in values(cells, "task"):
            own = choose(cells, paper_model=model, paper_task=task, paper_method="pt")
            if not own:
                continue
            mean, best, voted = (each for each in _three(own))
            rows.append(Row((named(own, "model", preset), named(own, "task", preset)), (mean, best, voted)))
            if best.score is not None and voted.score is not None:
                counted += 1
                at_least += voted.score >= best.score
    table = Table(preset.title, ("model", "task"), COLUMNS, tuple(rows))
    claim = "The majority of the prompts is at least as good as the best of them"
    note = (
        "counted and not tested; the best is chosen by the very examples that it is scored on, so it is too high a bar"
    )
    return (table, Test(claim, None, cases=(at_least, counted), note=note))


def _three(cells: Sequence[Cell]) -> tuple[Entry, Entry, Entry]:
    mean = entry(cells)
    mean = replace(mean, paper=dict(mean.paper) | {"of": "average"})
    records = records_of(cells)
    best, voted = (replace(mean, paper=dict(mean.paper) | {"of": name}, spread=None, ci95=None) for name in COLUMNS[1:])
    if mean.score is None or len(records) < 2:
        cause = mean.cause or "it takes two prompts"
        return mean, replace(best, score=None, cause=cause), replace(voted, score=None, cause=cause)
    highest = max(records, key=lambda record: record.scores[record.primary])
    score, ends = _voted(records)
    return mean, replace(best, score=highest.scores[highest.primary]), replace(voted, score=score, ci95=ends)


def _voted(records: Sequence[Record]) -> tuple[float, tuple[float, float]]:
    """The score of the majority's answers, and its interval over examples. An answer of the majority is some prompt's answer, whose
    numbers for that example it has."""
    primary = records[0].primary
    voted = vote([{answer.id: answer.output for answer in record.answers} for record in records])
    own = [{answer.id: answer for answer in record.answers} for record in records]
    rows = []
    for id_, output in voted.items():
        member = next(answers[id_] for answers in own if answers[id_].output == output)
        rows.append(member.statistics[primary])
    measure, numbers = metric(primary), np.asarray([rows], dtype=np.float64)
    score, _ = stats.mean_std(measure.from_sums(numbers.sum(axis=1)))
    (sample,) = stats.samples([numbers], measure.from_sums, [True], clusters_of(records, list(voted)))
    return score, stats.interval(sample, lowest=measure.worst, highest=measure.best)


QUESTIONS = {"ensemble": ensemble}
