"""Records become rows, tests and a recommendation; records of different questions or examples are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from foreword.metrics import Metric
from foreword.results import stats
from foreword.results.choice import choose
from foreword.results.classes import classes_of
from foreword.results.clusters import clusters_of, described
from foreword.results.collected import Array, distinct, grouped, merged, named, shared, statistics_of, subsets
from foreword.results.document import as_json
from foreword.results.reason import Judged, reason
from foreword.results.record import Record
from foreword.results.remarks import remarks
from foreword.results.rows import Baseline, MethodComparison, MethodRow, Recommendation, Summary, best_row
from foreword.results.trivial import Trivial
from foreword.train.trainables import usable
from foreword.util.errors import ForewordError

__all__ = ["MethodComparison", "MethodRow", "Recommendation", "Summary", "as_json", "summarise"]

LEVEL = 0.95


def summarise(
    records: Sequence[Record],
    metric_of: Callable[[str], Metric],
    *,
    answers: int = 1000,
    margin: float | None = None,
    trivial: Sequence[Trivial] = (),
    labels: Sequence[str] = (),
    seed: int = 0,
) -> Summary:
    """The whole answer of a comparison: one row per label, in the order in which labels first appear.

    metric_of: a metric's name to the Metric. answers: for how many answers the cost is counted. margin: how far below the best
    a cheaper method may be shown to lie and still be taken, in points (None: 2 points or 5 % of the best score, the smaller).
    trivial: what scores without a model. labels: what a classification chooses from.
    seed: of the draws that give the probability of being best.
    Raises ForewordError when there is no record, when records differ in task, backbone, metric, example ids or clusters, when one
    label has two records of one seed, and when a record's score is not what its per-example numbers give.
    """
    groups = grouped(records)
    first = records[0]
    metric = metric_of(first.primary)
    ids = [answer.id for answer in first.answers]
    numbers = {label: np.stack([statistics_of(record, ids) for record in group]) for label, group in groups.items()}
    fixed = [all(record.deterministic for record in group) for group in groups.values()]
    blind = [np.stack([each.statistics[name] for name in ids])[None] for each in trivial]
    clusters = clusters_of(records, ids)
    fixed += [True] * len(blind)
    methods = stats.samples([*numbers.values(), *blind], metric.from_sums, fixed, clusters, widest=metric.width)
    parts = subsets(first)
    rows = tuple(
        replace(_row(label, group, numbers[label], sample, metric, parts), classes=classes_of(group, labels))
        for (label, group), sample in zip(groups.items(), methods, strict=False)
    )
    baselines = tuple(
        Baseline(each.name, sample.score) for each, sample in zip(trivial, methods[len(rows) :], strict=True)
    )
    between = stats.all_pairs(methods[: len(rows)], span=_span(metric, rows))
    return Summary(
        task=first.task,
        backbone=first.backbone,
        metric=first.primary,
        examples=len(ids),
        rows=rows,
        comparisons=_comparisons(rows, between, answers),
        recommendation=_recommended(rows, methods, between, baselines, answers, margin, _span(metric, rows), seed),
        subsets={name: len(places) for name, places in parts.items()},
        notes=tuple(remarks(records, rows, clusters)),
        versions=merged(record.versions for record in records),
        hardware="; ".join(distinct(record.hardware for record in records if record.hardware)),
        fingerprints=shared(record.fingerprints for record in records),
        signatures=merged(record.metric_signatures for record in records),
        baselines=baselines,
        labels=tuple(labels),
        clusters=described(clusters),
    )


def _span(metric: Metric, rows: Sequence[MethodRow]) -> float:
    """The width of the metric's scale; of an endless one the highest score."""
    return metric.width if np.isfinite(metric.width) else max(1.0, *(row.mean for row in rows))


def _row(
    label: str,
    group: Sequence[Record],
    numbers: Array,
    sample: stats.Sample,
    metric: Metric,
    parts: Mapping[str, Sequence[int]],
) -> MethodRow:
    """numbers: [J, N, d], one layer for each record of the group; sample: their values."""
    scores = [float(value) for value in metric.from_sums(numbers.sum(axis=1))]
    for record, score in zip(group, scores, strict=True):
        recorded = record.scores.get(record.primary, score)
        if abs(recorded - score) > 1e-3:
            raise ForewordError(
                f"The record {named(record)} says {recorded:.4f} but its answers give {score:.4f}; delete it to run that trial again."
            )
    mean, std = stats.mean_std(scores)
    low, high = stats.interval(sample, level=LEVEL, lowest=metric.worst, highest=metric.best)
    costs = [record.costs for record in group]
    return MethodRow(
        method=label,
        metric=group[0].primary,
        mean=float(mean),
        std=float(std) if len(scores) > 1 else 0.0,
        ci95=(float(low), float(high)),
        seeds=[record.seed for record in group],
        deterministic=all(record.deterministic for record in group),
        trainable_parameters=max(cost.trainable_parameters for cost in costs),
        train_seconds=_mean(cost.train_seconds for cost in costs),
        prefix_tokens=_mean(cost.prefix_tokens for cost in costs),
        seconds_per_answer=_mean(cost.seconds_per_answer for cost in costs),
        scores_by_seed=scores,
        dropped_demonstrations=sum(record.dropped_demonstrations for record in group),
        examples=int(numbers.shape[1]),
        clusters=sample.values.shape[1] if sample.clustered else 0,
        train_flop=_mean(cost.train_flop for cost in costs),
        answer_flop=_mean(cost.answer_flop for cost in costs),
        subsets={
            name: float(metric.from_sums(numbers[:, places].sum(axis=1)).mean()) for name, places in parts.items()
        },
        cut_answers=sum(record.cut_answers for record in group),
    )


def _comparisons(
    rows: tuple[MethodRow, ...], between: Mapping[tuple[int, int], stats.AdjustedDifference], answers: int
) -> tuple[MethodComparison, ...]:
    """Every method but the best against the best, on the same examples."""
    best = rows.index(best_row(rows, answers))
    gaps = [(place, between[best, place]) for place in range(len(rows)) if place != best]
    return tuple(
        MethodComparison(
            method=rows[place].method,
            best=rows[best].method,
            difference=gap.points,
            ci95=gap.ci95,
            p=gap.tested.p,
            p_adjusted=gap.p,
            significantly_worse=gap.significant and not gap.one_seed,
            of_prompts=gap.one_seed,
        )
        for place, gap in gaps
    )


def _recommended(
    rows: tuple[MethodRow, ...],
    methods: Sequence[stats.Sample],
    between: Mapping[tuple[int, int], stats.AdjustedDifference],
    baselines: tuple[Baseline, ...],
    answers: int,
    margin: float | None,
    span: float,
    seed: int,
) -> Recommendation:
    """Among the methods that leave the backbone as it is: of model tuning nothing is kept that could be used."""
    usable_rows = tuple(place for place, row in enumerate(rows) if usable(row.method)) or tuple(range(len(rows)))
    costs = [row.cost_flop(answers) for row in rows]
    floor = max((baseline.score for baseline in baselines), default=-float("inf"))
    choice = choose(methods, between, costs, usable=usable_rows, floor=floor, margin=margin, span=span, seed=seed)
    against: dict[int, stats.AdjustedDifference] = {}
    if baselines:
        highest = len(rows) + max(range(len(baselines)), key=lambda n: baselines[n].score)
        against = {
            place: stats.AdjustedDifference(stats.difference(methods[place], methods[highest], span=span))
            for place in usable_rows
        }
    text = reason(Judged(rows, usable_rows, between, baselines, against, answers), choice)
    if choice is None:
        return Recommendation("", text, answers, probability=0.0)
    tied = tuple(rows[place].method for place in choice.tied)
    return Recommendation(rows[choice.pick].method, text, answers, tied, choice.probability, choice.margin)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(sum(listed) / len(listed))
