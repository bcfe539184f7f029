"""Records become rows, tests and a recommendation; it refuses records that do not answer the same question on the same examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreword import stats
from foreword.errors import ForewordError
from foreword.metrics import Metric
from foreword.record import Record
from foreword.report import words
from foreword.report.rows import Comparison, Recommendation, Row, Summary, best_row
from foreword.trainables import usable

__all__ = ["Comparison", "Recommendation", "Row", "Summary", "as_json", "summarise"]

RESAMPLES = 2000
LEVEL = 0.95
ALPHA = 0.05
FEW_EXAMPLES = 100

Array = NDArray[np.float64]


def summarise(
    records: Sequence[Record], metric_of: Callable[[str], Metric], *, answers: int = 1000, seed: int = 0
) -> Summary:
    """The whole answer of a comparison: one row per label, in the order in which labels first appear.

    metric_of: a metric's name to the Metric. answers: for how many answers the cost is counted. seed: of the resampling.
    Raises ForewordError when there is no record, when records differ in task, backbone, metric or example ids, when one
    label has two records of one seed, and when a record's score is not what its per-example numbers give.
    """
    groups = _grouped(records)
    first = records[0]
    metric = metric_of(first.primary)
    ids = [answer.id for answer in first.answers]
    numbers = {label: np.stack([_statistics(one, ids) for one in group]) for label, group in groups.items()}
    parts = subsets(first)
    rows = tuple(_row(label, group, numbers[label], metric, parts, seed) for label, group in groups.items())
    comparisons = _comparisons(rows, numbers, metric, answers, seed)
    return Summary(
        task=first.task,
        backbone=first.backbone,
        metric=first.primary,
        examples=len(ids),
        rows=rows,
        comparisons=comparisons,
        recommendation=_recommended(rows, comparisons, numbers, metric, answers, seed),
        subsets={name: len(places) for name, places in parts.items()},
        notes=tuple(_notes(records, rows)),
        versions=_merged(record.versions for record in records),
        hardware="; ".join(_distinct(record.hardware for record in records if record.hardware)),
        fingerprints=_shared(record.fingerprints for record in records),
        signatures=_merged(record.metric_signatures for record in records),
    )


def as_json(summary: Summary, report_path: str) -> dict[str, Any]:
    """The one document of `compare --json`: plain JSON values only; a number that is not finite becomes null. A method that chance
    does not touch ran once; that one score stands for every seed, and its `seeds` say so."""
    every = sorted({seed for row in summary.rows for seed in row.seeds})
    whole = {
        "task": summary.task,
        "backbone": summary.backbone,
        "metric": summary.metric,
        "examples": summary.examples,
        "subsets": summary.subsets,
        "rows": [asdict(row) | {"seeds": every if row.deterministic else row.seeds} for row in summary.rows],
        "recommended": summary.recommendation.method,
        "reason": summary.recommendation.reason,
        "answers": summary.recommendation.answers,
        "comparisons": [asdict(one) for one in summary.comparisons],
        "report": str(report_path),
        "versions": summary.versions,
        "hardware": summary.hardware,
        "fingerprints": summary.fingerprints,
        "metric_signatures": summary.signatures,
        "notes": list(summary.notes),
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


# --- records to numbers ------------------------------------------------------------------------------------------------


def _grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by label, each label's by seed. Raises ForewordError when they cannot stand in one table."""
    if not records:
        raise ForewordError("There is no finished trial to summarise; run the comparison first.")
    for what, name in (("task", "task"), ("backbone", "backbone"), ("deciding metric", "primary")):
        found = _distinct(getattr(record, name) for record in records)
        if len(found) > 1:
            raise ForewordError(
                f"The records to summarise have more than one {what} ({', '.join(found)}); summarise each on its own."
            )
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.label, []).append(record)
    for label, group in groups.items():
        group.sort(key=lambda record: record.seed)
        seeds = [record.seed for record in group]
        twice = [seed for seed in set(seeds) if seeds.count(seed) > 1]
        if twice:
            raise ForewordError(
                f"There are two records of '{label}' with seed {min(twice)}; keep the one you want and delete the other."
            )
    return groups


def _statistics(record: Record, ids: Sequence[str]) -> Array:
    """The record's summable numbers of the primary metric, [N, d], in the order of `ids`."""
    by_id = {answer.id: answer for answer in record.answers}
    if len(by_id) != len(record.answers):
        raise ForewordError(
            f"The record {_named(record)} answers one example twice; delete it to run that trial again."
        )
    if by_id.keys() != set(ids):
        raise ForewordError(
            f"The record {_named(record)} answers {len(by_id)} examples and they are not the {len(ids)} examples of the "
            "first record; compare records of the same examples."
        )
    if not ids:
        raise ForewordError(f"The record {_named(record)} holds no answers; give the task at least one test example.")
    try:
        rows = [by_id[one].statistics[record.primary] for one in ids]
        return np.asarray(rows, dtype=np.float64).reshape(len(ids), -1)
    except (KeyError, ValueError) as error:
        raise ForewordError(
            f"The record {_named(record)} lacks the per-example numbers of '{record.primary}'; delete it to run that trial again."
        ) from error


def subsets(record: Record) -> dict[str, list[int]]:
    """The named parts of the test examples, each with the places of its answers, in the order in which they first appear."""
    found: dict[str, list[int]] = {}
    for place, answer in enumerate(record.answers):
        if answer.subset:
            found.setdefault(answer.subset, []).append(place)
    return found


def _row(
    label: str, group: Sequence[Record], numbers: Array, metric: Metric, parts: dict[str, list[int]], seed: int
) -> Row:
    """numbers: [S, N, d], one layer for each record of the group."""
    scores = [float(value) for value in metric.from_sums(numbers.sum(axis=1))]
    for record, score in zip(group, scores, strict=True):
        said = record.scores.get(record.primary, score)
        if abs(said - score) > 1e-3:
            raise ForewordError(
                f"The record {_named(record)} says {said:.4f} but its answers give {score:.4f}; delete it to run that trial again."
            )
    mean, std = stats.mean_std(scores)
    low, high = stats.bootstrap(numbers, metric.from_sums, resamples=RESAMPLES, level=LEVEL, seed=seed)
    costs = [record.costs for record in group]
    return Row(
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
        subsets={
            name: float(metric.from_sums(numbers[:, places].sum(axis=1)).mean()) for name, places in parts.items()
        },
    )


def _comparisons(
    rows: tuple[Row, ...], numbers: dict[str, Array], metric: Metric, answers: int, seed: int
) -> tuple[Comparison, ...]:
    """Every method but the best against the best, on the same examples; p adjusted by Holm over all of them."""
    best = best_row(rows, answers)
    others = [row for row in rows if row is not best]
    own = {label: np.stack([metric.per_example(layer) for layer in one]) for label, one in numbers.items()}
    ps = [float(stats.paired_test(own[best.method], own[row.method], seed=seed)) for row in others]
    adjusted = [float(p) for p in stats.holm(ps)] if ps else []
    made = []
    for row, p, p_adjusted in zip(others, ps, adjusted, strict=True):
        low, high = stats.bootstrap_difference(
            numbers[best.method],
            numbers[row.method],
            metric.from_sums,
            resamples=RESAMPLES,
            level=LEVEL,
            seed=seed,
        )
        worse = p_adjusted < ALPHA and float(low) > 0
        difference = best.mean - row.mean
        made.append(Comparison(row.method, best.method, difference, (float(low), float(high)), p, p_adjusted, worse))
    return tuple(made)


# --- the recommendation ------------------------------------------------------------------------------------------------


def _recommended(
    rows: tuple[Row, ...],
    comparisons: tuple[Comparison, ...],
    numbers: dict[str, Array],
    metric: Metric,
    answers: int,
    seed: int,
) -> Recommendation:
    """Among the methods that can be used afterwards; one of which nothing is kept stands beside them."""
    kept = tuple(row for row in rows if usable(row.method))
    if not kept or len(kept) == len(rows):
        return _recommend(rows, comparisons, answers)
    found = _recommend(kept, _comparisons(kept, numbers, metric, answers, seed), answers)
    beside = [
        f"Beside them stands {row.method} ({words.score(row.mean)}): it changes the model and nothing of it is kept."
        for row in rows
        if row not in kept
    ]
    return Recommendation(found.method, " ".join([found.reason, *beside]), answers)


def _recommend(rows: tuple[Row, ...], comparisons: tuple[Comparison, ...], answers: int) -> Recommendation:
    """The cheapest method that is not significantly worse than the best; of equally cheap ones the better, then the first. A method
    that scores nothing is never named while another scores something: few examples do not make it as good."""
    best = best_row(rows, answers)
    worse = {one.method for one in comparisons if one.significantly_worse}
    fit = [row for row in rows if row.method not in worse and (row.mean > 0 or best.mean <= 0)]
    pick = min(enumerate(fit), key=lambda pair: (pair[1].cost_seconds(answers), -pair[1].mean, pair[0]))[1]
    reason = " ".join([_reason(pick, best, rows, comparisons, answers), *_caveats(pick, best)])
    return Recommendation(pick.method, reason, answers)


def _reason(pick: Row, best: Row, rows: tuple[Row, ...], comparisons: tuple[Comparison, ...], answers: int) -> str:
    name = words.title(best.metric)
    time = words.duration(pick.cost_seconds(answers))
    inputs = words.plural(answers, "input")
    if best.mean <= 0:
        if len(rows) == 1:
            return f"{pick.method} does not work here: its {name} is 0.0. Look at its answers in the report before training longer."
        return (
            f"No method works here: every one has {name} 0.0. {pick.method} is named only because it is the cheapest; "
            "look at the answers in the report before training longer or taking a larger model."
        )
    if len(rows) == 1:
        return f"Use {pick.method}: {name} {words.score(pick.mean)}. It is the only method that was compared."
    if pick is not best:
        return _cheaper(pick, best, comparisons, name, time, inputs, answers)
    highest = f"Use {pick.method}: its {name} of {words.score(pick.mean)} is the highest"
    cheaper = [row for row in rows if row.cost_seconds(answers) < pick.cost_seconds(answers)]
    if not cheaper:
        return f"{highest}, and no method answers {inputs} in less time, training included ({time})."
    nearest = min((one for one in comparisons if one.method in {row.method for row in cheaper}), key=_gap)
    who = {1: "the one cheaper method", 2: "both cheaper methods"}.get(
        len(cheaper), f"all {len(cheaper)} cheaper methods"
    )
    which = nearest.method if len(cheaper) == 1 else f"the nearest, {nearest.method},"
    verb = "is" if len(cheaper) == 1 else "are"
    return (
        f"{highest}, and {who} {verb} significantly worse ({which} by {_difference(nearest)}). "
        f"{pick.method} answers {inputs}, training included, in {time}."
    )


def _cheaper(
    pick: Row, best: Row, comparisons: tuple[Comparison, ...], name: str, time: str, inputs: str, answers: int
) -> str:
    one = next(found for found in comparisons if found.method == pick.method)
    start = f"Use {pick.method}: {name} {words.score(pick.mean)}. "
    if one.difference <= 0:
        middle = f"{best.method} scores the same"
    else:
        middle = f"{best.method} is highest at {words.score(best.mean)}, but the difference ({_difference(one)}) is not significant"
    slower = words.duration(best.cost_seconds(answers))
    return f"{start}{middle}, and {pick.method} answers {inputs}, training included, in {time} against {slower}."


def _caveats(pick: Row, best: Row) -> list[str]:
    """What a reader must know before trusting the choice."""
    said = []
    if pick.examples < FEW_EXAMPLES:
        said.append(
            f"This rests on {words.plural(pick.examples, 'example')} only: a small difference could not have been seen."
        )
    both = [pick] if pick is best else [pick, best]
    alone = [row.method for row in both if not row.deterministic and len(row.seeds) < 2]
    if alone:
        said.append(f"The spread over seeds is unknown: {words.listed(alone)} ran with one seed.")
    return said


def _gap(one: Comparison) -> float:
    return one.difference


def _difference(one: Comparison) -> str:
    return f"{words.points(one.difference)}, 95% interval {words.between(*one.ci95)}, {words.p_value(one.p_adjusted)}"


# --- what else is said -------------------------------------------------------------------------------------------------


def _notes(records: Sequence[Record], rows: Sequence[Row]) -> Iterable[str]:
    if len(_distinct(record.hardware for record in records)) > 1:
        yield "The trials ran on different machines, so their times cannot be compared."
    if len({tuple(sorted(record.versions.items())) for record in records}) > 1:
        yield "The trials ran under different library versions."
    for row in rows:
        if not row.deterministic and len(row.seeds) < 2:
            yield f"{row.method} ran with one seed: its spread over seeds is unknown."
        if row.dropped_demonstrations:
            given = len(row.seeds) * row.examples
            yield (
                f"{row.method}: {words.plural(row.dropped_demonstrations, 'demonstration')} did not fit before the input and "
                f"{'was' if row.dropped_demonstrations == 1 else 'were'} left out, in {words.plural(given, 'answer')}."
            )
    said: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            said.setdefault(note, []).append(record.label)
    everyone = {row.method for row in rows}
    for note, labels in said.items():
        whose = _distinct(labels)
        yield note if set(whose) == everyone else f"{', '.join(whose)}: {note}"


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(sum(found) / len(found))


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _merged(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    """Every key with all its values, so that nothing that differed is hidden."""
    values: dict[str, list[str]] = {}
    for table in tables:
        for key, value in table.items():
            values.setdefault(key, []).append(value)
    return {key: "; ".join(_distinct(found)) for key, found in sorted(values.items())}


def _shared(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    """The keys whose value is the same wherever they stand."""
    return {key: value for key, value in _merged(tables).items() if "; " not in value}


def _named(record: Record) -> str:
    return f"'{record.label}' seed {record.seed} ({record.key})"
