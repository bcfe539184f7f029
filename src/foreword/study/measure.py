"""Numbers out of cells: entries with their intervals, differences with their tests; it refuses to compare answers to different examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from foreword.metrics import metric
from foreword.results import stats
from foreword.results.cells import Cell, Coordinates, Entry, Test
from foreword.results.clusters import clusters_of
from foreword.results.judged import same_name, same_task
from foreword.results.record import Record
from foreword.results.stats import AdjustedDifference
from foreword.study.preset import Preset
from foreword.study.recorded import recipes_of, scored_by
from foreword.util import phrases
from foreword.util.errors import ForewordError

Key = TypeVar("Key")
Item = TypeVar("Item")
Array = NDArray[np.float64]


def choose(cells: Iterable[Cell], **at: Any) -> list[Cell]:
    """The cells whose coordinates are these; `paper_` before a name asks for the paper's."""

    def fits(cell: Cell) -> bool:
        return all(
            cell.paper.get(name.removeprefix("paper_")) == value
            if name.startswith("paper_")
            else getattr(cell.at, name) == value
            for name, value in at.items()
        )

    return [cell for cell in cells if fits(cell)]


def values(cells: Iterable[Cell], name: str) -> list[str]:
    """The different values of one of the paper's coordinates, in the order of their first coming."""
    return list(dict.fromkeys(cell.paper[name] for cell in cells if name in cell.paper))


def records_of(cells: Iterable[Cell]) -> list[Record]:
    """The records that are there."""
    return [cell.record for cell in cells if cell.record is not None]


def seeds_of_one(cells: Sequence[Cell]) -> Sequence[Cell]:
    """The cells, which differ in their seed alone. Raises ForewordError where they do not: their mean would be of no one thing."""
    seeds: set[int] = set()
    for cell in cells:
        first, at = vars(cells[0].at), vars(cell.at)
        other = [name for name in at if name != "seed" and at[name] != first[name]]
        if other or at["seed"] in seeds:
            what = f"differ in {phrases.listed(other)}" if other else f"both have the seed {at['seed']}"
            raise ForewordError(
                f"The {_described(cells[0].at)} and the {_described(cell.at)} would be averaged as seeds of one number, and they "
                f"{what}; ask a question that tells them apart, or put one of the two into a study of its own."
            )
        seeds.add(at["seed"])
    return cells


def _described(at: Coordinates) -> str:
    length = "" if at.length is None else f", {phrases.plural(at.length, 'token')}"
    return f"cell {at.label} of the part {at.part} ({at.task} on {at.model}{length}, seed {at.seed})"


def entry(cells: Sequence[Cell], *, paper: dict[str, str] | None = None, by: str = "") -> Entry:
    """The number of cells that differ in their seed alone. by: another metric of theirs than the deciding one. Raises ForewordError where
    they differ in more."""
    first = seeds_of_one(cells)[0]
    records = records_of(cells)
    causes = dict.fromkeys(cell.cause for cell in cells if cell.state == "failed")
    missing = len(cells) - len(records)
    cause = "; ".join(causes) or ("" if not missing else "not run" if missing == len(cells) else f"{missing} not run")
    blank = Entry(
        score=None,
        spread=None,
        ci95=None,
        seeds=len(records),
        seeds_planned=len(cells),
        examples=0,
        examples_planned=next((cell.examples for cell in cells if cell.examples is not None), None),
        metric=by,
        model=first.at.model,
        task=first.at.task,
        paper=dict(first.paper) if paper is None else paper,
        cells=tuple(cell.id for cell in cells),
        cause=cause,
        scored=tuple(dict.fromkeys(cell.scored for cell in cells if cell.scored is not None)),
        recipes=recipes_of(cells),
    )
    if not records:
        return blank
    if by not in ("", records[0].primary):
        return scored_by(blank, records, [by], by)
    measure, numbers = metric(records[0].primary), cube(records)
    mean, spread = stats.mean_std(measure.from_sums(numbers.sum(axis=1)))
    clusters = clusters_of(records)
    (sample,) = stats.samples([numbers], measure.from_sums, [records[0].deterministic], clusters)
    ends = stats.interval(sample, lowest=measure.worst, highest=measure.best)
    return replace(
        blank,
        score=mean,
        spread=spread if len(records) > 1 else None,
        ci95=ends,
        examples=numbers.shape[1],
        clusters=sample.values.shape[1] if sample.clustered else 0,
        metric=records[0].primary,
    )


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by a key, in the order in which they first come."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def combined(entries: Sequence[Entry], task: str, paper: dict[str, str]) -> Entry:
    """The mean over tasks, as SuperGLUE's score is: its interval from those of the tasks, each end by itself (Zou and Donner 2008), taken
    to be independent; its spread likewise. There is no number where a task has none, and no interval where a task has none."""
    lacking = [each for each in entries if each.score is None]
    first = entries[0]
    base = replace(
        first,
        task=task,
        paper=paper,
        cells=tuple(id_ for each in entries for id_ in each.cells),
        seeds=min(each.seeds for each in entries),
        examples=sum(each.examples for each in entries),
        examples_planned=None,
        clusters=0,
        metric="mean over tasks",
        scored=tuple(scored for each in entries for scored in each.scored),
        recipes={task: own for each in entries for task, own in each.recipes.items()},
    )
    if lacking:
        cause = f"{lacking[0].task}: {lacking[0].cause}"
        return replace(base, score=None, spread=None, ci95=None, cause=cause)
    scores = [each.score or 0.0 for each in entries]
    mean = sum(scores) / len(scores)
    ends = [each.ci95 for each in entries if each.ci95 is not None]
    below = sqrt(sum((score - low) ** 2 for score, (low, _) in zip(scores, ends, strict=False))) / len(entries)
    above = sqrt(sum((high - score) ** 2 for score, (_, high) in zip(scores, ends, strict=False))) / len(entries)
    ci95 = (mean - below, mean + above) if len(ends) == len(entries) else None
    spreads = [each.spread for each in entries if each.spread is not None]
    spread = sqrt(sum(value**2 for value in spreads)) / len(entries) if len(spreads) == len(entries) else None
    return replace(base, score=mean, spread=spread, ci95=ci95, cause="")


def difference(ours: Sequence[Cell], theirs: Sequence[Cell]) -> AdjustedDifference | None:
    """The mean over seeds of ours above that of theirs; None where one has no record. Raises ForewordError where the cells of a side differ
    in more than their seed."""
    mine, others = records_of(seeds_of_one(ours)), records_of(seeds_of_one(theirs))
    return difference_of(mine, others) if mine and others else None


def difference_of(ours: Sequence[Record], theirs: Sequence[Record]) -> AdjustedDifference:
    """The mean over seeds of ours above that of theirs. Raises ForewordError where they answer other examples."""
    measure, ids = metric(ours[0].primary), [answer.id for answer in ours[0].answers]
    a, b = cube(ours, ids), cube(theirs, ids)
    fixed = [ours[0].deterministic, theirs[0].deterministic]
    clusters = clusters_of([*ours, *theirs], ids)
    sides = stats.samples([a, b], measure.from_sums, fixed, clusters, widest=measure.width)
    return AdjustedDifference(stats.difference(*sides))


def named(cells: Iterable[Cell], axis: Literal["model", "task"], preset: Preset) -> str:
    """What ran at these cells: the paper's name where it was the paper's own, else ours, so that nothing that stood in goes by the name of
    what it stood in for. A study of no paper has the names that its own file gives."""
    every = list(cells)
    theirs = list(dict.fromkeys(cell.paper.get(axis, "") for cell in every))
    ours = list(dict.fromkeys(str(getattr(cell.at, axis)) for cell in every))
    same = same_task if axis == "task" else same_name
    own = not preset.paper or (len(theirs) == 1 and all(same(name, theirs[0]) for name in ours))
    return ", ".join(theirs if own else ours)


def over_grid(
    claim: str, gaps: Mapping[Key, AdjustedDifference], planned: int, adjusted_over: str, *, most: bool = False
) -> Test:
    """A claim that one side is above another in every place of a grid (most: in more than half), judged by tests that Holm adjusted: it
    holds where all (more than half) are surely above, not where one is (half are) surely below, and else it cannot be said."""
    above, below = (sum(gap.sure == sign for gap in gaps.values()) for sign in (1, -1))
    by_reach = sorted(gaps.values(), key=lambda gap: gap.reach)
    whole = planned > 0 and len(gaps) == planned
    holds = whole and (above > planned / 2 if most else above == planned)
    fails = whole and (below >= planned / 2 if most else below > 0)
    notes = [f"surely below in {below}, undecided in {len(gaps) - above - below}"]
    notes += [f"half of the tests tell {by_reach[len(by_reach) // 2].tells}"] if by_reach else []
    notes += ["one seed speaks of its prompt alone"] if any(gap.one_seed for gap in gaps.values()) else []
    notes += [f"{planned - len(gaps)} not run"] if len(gaps) < planned else []
    return Test(
        claim=claim,
        holds=True if holds else False if fails else None,
        p=max(gap.p for gap in gaps.values()) if holds and not most else None,
        estimate=sum(gap.points for gap in gaps.values()) / len(gaps) if gaps else None,
        adjusted=f"Holm over {adjusted_over}",
        cases=(above, len(gaps)),
        unit="points in the mean",
        note="; ".join(notes) if gaps else "not run",
    )


def cube(records: Sequence[Record], ids: Sequence[str] | None = None) -> Array:
    """The numbers that add up to the scores [J, N, d], of records that answer the same examples. Raises ForewordError where they do not."""
    ids = [answer.id for answer in records[0].answers] if ids is None else ids
    layers = []
    for record in records:
        by_id = {answer.id: answer.statistics[record.primary] for answer in record.answers}
        if by_id.keys() != set(ids):
            raise ForewordError(
                f"The records of {record.label} on {record.task} answer other examples than those they are compared with; run both with "
                "the same settings."
            )
        layers.append([by_id[id_] for id_ in ids])
    return np.asarray(layers, dtype=np.float64)
