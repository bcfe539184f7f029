"""The score of several tasks together against model size: a line for each method, length, initialisation, objective or adaptation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import hypot
from pathlib import Path

from foreword.results.cells import Answered, Cell, Curve, Entry, Panel, Series, Test
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import choose, combined, difference, entry, grouped, named, over_grid, records_of, values
from foreword.study.preset import Preset
from foreword.study.recorded import metrics_of, scored_by
from foreword.util import phrases

TOGETHER = "superglue"


def over_tasks(cells: Sequence[Cell], paper: dict[str, str]) -> Entry:
    """The mean over tasks, each task the mean of its metrics, as SuperGLUE is scored; one task alone is its own score."""
    by_task = grouped(cells, lambda cell: cell.paper["task"])
    entries = [_metrics(group) for group in by_task.values()]
    names = "+".join(dict.fromkeys(each.task for each in entries))
    return combined(entries, names, paper | {"task": TOGETHER})


def _metrics(cells: Sequence[Cell]) -> Entry:
    """An entry whose score is the mean of the task's metrics. Where the numbers of one of them are not known (MultiRC's exact match needs
    to know which answers are of one question), the interval is as wide as that of the deciding one."""
    own = entry(cells)
    records = records_of(cells)
    names = metrics_of(records)
    if own.score is None or own.ci95 is None or len(names) < 2:
        return own
    mean = scored_by(own, records, names, "mean of metrics")
    if mean.ci95 is None and mean.score is not None:
        low, high = own.ci95
        mean = replace(mean, ci95=(mean.score - (own.score - low), mean.score + (high - own.score)))
    return mean


def _curve(
    axis: str, caption: str, named_by: Callable[[str], str] = str, claims: Sequence[tuple[str, str]] = ()
) -> Callable[[Sequence[Cell], Preset, Path], tuple[Answered, ...]]:
    """A question whose lines are the values of one coordinate of the paper. named_by: the name of a value's line. claims: values of which
    the first is to be above the second."""

    def question(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
        models = values(cells, "model")
        lines = []
        for value in values(cells, axis):
            at = choose(cells, **{f"paper_{axis}": value})
            points = []
            for place, model in enumerate(models):
                own = choose(at, paper_model=model)
                if own:
                    shared = {key: own[0].paper[key] for key in ("method", "length", "init") if key in own[0].paper}
                    shown = over_tasks(own, shared | {"model": model, axis: value})
                    points.append((_size(cells, model, place), shown))
            lines.append(Series(named_by(value), tuple(sorted(points, key=lambda point: point[0]))))
        names = [named(choose(cells, paper_model=model), "model", preset) for model in models]
        title = named(cells, "task", preset) if preset.paper else caption
        panel = Panel(title, "score, mean over tasks", tuple(lines), {} if _sized(cells) else dict(enumerate(names)))
        curve = Curve(caption, "parameters" if _sized(cells) else "model", (panel,), logarithmic=_sized(cells))
        there = values(cells, axis)
        pairs = [(value, lower) for value, lower in claims if value in there and lower in there]
        return (curve, *(_above(cells, axis, *pair, named_by) for pair in pairs))

    return question


def _above(cells: Sequence[Cell], axis: str, value: str, other: str, named_by: Callable[[str], str]) -> Test:
    """Whether one value of an axis is above another on every model and task."""
    gaps: dict[tuple[str, str], AdjustedDifference] = {}
    places = dict.fromkeys((cell.paper["model"], cell.paper["task"]) for cell in cells)
    planned = 0
    for model, task in places:
        at = choose(cells, paper_model=model, paper_task=task)
        pair = [choose(at, **{f"paper_{axis}": each}) for each in (value, other)]
        planned += all(pair)
        gap = difference(*pair) if all(pair) else None
        if gap is not None:
            gaps[model, task] = gap
    claim = f"The score with {named_by(value)} is above that with {named_by(other)} on every model and task"
    return over_grid(claim, adjusted(gaps), planned, "models and tasks")


def _tokens(value: str) -> str:
    return phrases.plural(int(value), "prompt token")


def _steps(value: str) -> str:
    return phrases.plural(int(value), "step")


def _worded(words: Mapping[str, str]) -> Callable[[str], str]:
    return lambda value: words.get(value, value)


INITS = {"random": "random uniform", "vocab": "sampled vocabulary", "labels": "class labels"}
OBJECTIVES = {"span": "span corruption", "sentinel": "span corruption + sentinel", "lm": "LM adaptation"}


def _sized(cells: Sequence[Cell]) -> bool:
    """Whether the size of every model is known from a record."""
    models = values(cells, "model")
    return all(_parameters(choose(cells, paper_model=model)) for model in models)


def _parameters(cells: Sequence[Cell]) -> int:
    """Parameters of the model of these cells; 0 where none of them is done."""
    return next((cell.shape["parameters"] for cell in cells if "parameters" in cell.shape), 0)


def _size(cells: Sequence[Cell], model: str, place: int) -> float:
    return float(_parameters(choose(cells, paper_model=model))) if _sized(cells) else float(place)


def scale(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Figure 1, and whether the gap between model tuning and prompt tuning closes from the smallest to the largest model."""
    (curve,) = _curve("method", preset.title)(cells, preset, out)
    return (curve, _closing(cells, preset))


def _closing(cells: Sequence[Cell], preset: Preset) -> Test:
    """Whether the gap is smaller on the largest model than on the smallest: of four numbers, each with its interval."""
    claim = "Model tuning (full-ft) is less far above PT on the largest model than on the smallest"
    gaps: list[tuple[str, float, float]] = []
    planned, fewest = 0, 2
    for model in sorted(values(cells, "model"), key=lambda name: _parameters(choose(cells, paper_model=name))):
        at = choose(cells, paper_model=model)
        groups = [choose(at, paper_method=name) for name in ("full-ft", "pt")]
        if not all(groups):
            continue
        planned += 1
        full, prompt = (over_tasks(group, {}) for group in groups)
        if full.score is not None and prompt.score is not None:
            gaps.append(
                (named(groups[1], "model", preset), full.score - prompt.score, hypot(_half(full), _half(prompt)))
            )
            fewest = min(fewest, full.seeds, prompt.seeds)
    lacking = planned - len(gaps)
    if len(gaps) < 2:
        return Test(claim, None, note=f"it takes two models{f'; {lacking} not run' if lacking else ''}")
    (small, before, wide), (large, after, narrow) = gaps[0], gaps[-1]
    closed, half = before - after, hypot(wide, narrow)
    note = f"model tuning less PT is {before:.1f} points on {small} and {after:.1f} on {large}, its four scores taken to be independent"
    if lacking:  # the smallest or the largest may be among them
        return Test(
            claim,
            None,
            closed,
            note=f"{note}; {phrases.plural(lacking, 'model')} not run, which may be the smallest or the largest",
        )
    if fewest < 2:
        return Test(claim, None, closed, note=f"{note}; one seed speaks of its training alone")
    holds = True if closed > half else False if closed < -half else None
    return Test(claim, holds, closed, (closed - half, closed + half), note=note)


def _half(number: Entry) -> float:
    """Half of its 95% interval."""
    return (number.ci95[1] - number.ci95[0]) / 2 if number.ci95 is not None else 0.0


QUESTIONS = {
    "scale": scale,
    "length-scale": _curve("length", "Prompt length", _tokens, [("20", "1"), ("100", "20")]),
    "init-scale": _curve("init", "Prompt initialisation", _worded(INITS), [("labels", "random"), ("vocab", "random")]),
    "objective-scale": _curve(
        "objective", "Pre-training objective", _worded(OBJECTIVES), [("lm", "span"), ("lm", "sentinel")]
    ),
    "adaptation-scale": _curve("adaptation", "LM adaptation steps", _steps, [("100000", "0")]),
}
