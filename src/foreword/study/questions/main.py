"""The main table (models and methods against tasks), the claims of the paper's order, whether IPT spreads less over seeds than PT, and the
scores of published prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foreword.results import stats
from foreword.results.apart import counterparts, differing, in_words, kinds, titled
from foreword.results.cells import Answered, Cell, Entry, Row, Table, Test
from foreword.results.judged import metric_key
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import choose, difference, entry, named, over_grid, records_of, seeds_of_one, values
from foreword.study.preset import Preset
from foreword.study.recorded import metrics_of
from foreword.util import phrases

ORDER = (("icl-1", "icl-random-1"), ("pt", "icl-1"), ("ipt", "icl-1"), ("ipt", "pt"))


def main(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Rows are models and methods, columns tasks; then a claim for each pair of methods that the paper orders."""
    tasks = values(cells, "task")
    rows = []
    for model in values(cells, "model"):
        for method in values(choose(cells, paper_model=model), "method"):
            own = choose(cells, paper_model=model, paper_method=method)
            for words, kind in kinds(own, lambda cell: cell.paper["task"]).items():
                head = (named(own, "model", preset), titled(method, words))
                rows.append(Row(head, tuple(_entry(choose(kind, paper_task=task)) for task in tasks)))
    columns = tuple(named(choose(cells, paper_task=task), "task", preset) for task in tasks)
    table = Table(preset.title, ("model", "method"), columns, tuple(rows))
    claims = [_above(cells, ours, theirs) for ours, theirs in ORDER]
    return (table, *(claim for claim in claims if claim is not None))


def _entry(cells: Sequence[Cell]) -> Entry | str:
    return entry(cells) if cells else ""


def _above(cells: Sequence[Cell], ours: str, theirs: str) -> Test | None:
    """Whether one method is above another, over (model, task), and over the settings of both where there are several."""
    gaps: dict[tuple[str, str, int], AdjustedDifference] = {}
    planned, several, unlike = 0, False, 0
    for model in values(cells, "model"):
        for task in values(cells, "task"):
            at = choose(cells, paper_model=model, paper_task=task)
            sides = choose(at, paper_method=ours), choose(at, paper_method=theirs)
            pairs = counterparts(*sides) if all(sides) else []
            planned += len(pairs)
            several |= len(pairs) > 1
            unlike += all(sides) and not pairs
            for place, pair in enumerate(pairs):
                if (gap := difference(*pair)) is not None:
                    gaps[model, task, place] = gap
    if not planned and not unlike:
        return None
    where = (
        ("model, task and setting", "models, tasks and settings") if several else ("model and task", "models and tasks")
    )
    test = over_grid(f"{ours} is above {theirs} on every {where[0]}", adjusted(gaps), planned, where[1])
    return replace(test, note=f"{test.note}; without a setting of both in {unlike}") if unlike else test


def variance(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """The standard deviation over seeds of PT and IPT, cell by cell, and whether IPT's is the lower, tested over cells."""
    rows: list[Row] = []
    pairs: dict[
        tuple[str, ...], tuple[list[float], list[float]]
    ] = {}  # by records: two parts may ask for the same trials
    keys = dict.fromkeys((cell.paper["model"], cell.paper["task"], cell.paper.get("length", "")) for cell in cells)
    for model, task, length in keys:
        at = [
            each for each in choose(cells, paper_model=model, paper_task=task) if each.paper.get("length", "") == length
        ]
        pt, ipt = (choose(at, paper_method=method) for method in ("pt", "ipt"))
        axes = [axis for axis in differing([*pt, *ipt], lambda cell: cell.at.label) if axis != "length"]
        for sides in counterparts(pt, ipt) if pt and ipt else ():
            scores = _scores(sides[0]), _scores(sides[1])
            counts = " and ".join(dict.fromkeys(str(len(each)) for each in scores))
            tokens = titled(length, in_words(sides[0][0].at, axes))
            head = (named(at, "model", preset), named(at, "task", preset), tokens, counts)
            rows.append(Row(head, tuple(map(_spread, scores))))
            if min(map(len, scores)) > 1:
                keys_of = tuple(record.key for side in sides for record in records_of(side))
                pairs.setdefault(keys_of, (scores[1], scores[0]))
    heads = ("model", "task", "prompt tokens", "seeds")
    table = Table("Standard deviation of the score over seeds", heads, ("pt", "ipt"), tuple(rows))
    claim = "IPT spreads less over seeds than PT"
    if not pairs:
        return (table, Test(claim, None, note="it takes two seeds of both"))
    lower = sum(stats.mean_std(ipt)[1] < stats.mean_std(pt)[1] for ipt, pt in pairs.values())
    spread = stats.lower_spread(list(pairs.values()))
    note = (
        f"one-sided exact sign-flip test over {len(pairs)} cells of models, tasks and lengths; IPT's standard deviation is "
        f"{spread.ratio:.2f} times PT's (geometric mean); were it a third of PT's, so many cells and seeds would show it in "
        f"{spread.power:.0%} of cases, and {spread.least:.2g} is the smallest p that they can give"
    )
    return (table, Test(claim, True if spread.significant else None, p=spread.p, cases=(lower, len(pairs)), note=note))


def _spread(scores: Sequence[float]) -> str:
    return f"{stats.mean_std(scores)[1]:.1f}" if len(scores) > 1 else "one seed" if scores else "not run"


def _scores(cells: Sequence[Cell]) -> list[float]:
    return [record.scores[record.primary] for record in records_of(seeds_of_one(cells))]


def published(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Every metric of every task in a row of its own, beside what was published of that prompt."""
    rows = []
    for task in values(cells, "task"):
        at = choose(cells, paper_task=task)
        for name in metrics_of(records_of(at)) or [""]:
            its_own = {"metric": metric_key(name)} if name else {}
            by_model = [choose(at, paper_model=model) for model in values(cells, "model")]
            entries = [entry(own, paper=dict(own[0].paper) | its_own, by=name) if own else "" for own in by_model]
            rows.append(Row((task, phrases.title(name) if name else ""), tuple(entries)))
    return (Table(preset.title, ("task", "metric"), tuple(values(cells, "model")), tuple(rows)),)


QUESTIONS = {"main": main, "variance": variance, "published": published}
