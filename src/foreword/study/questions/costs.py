"""What methods cost: numbers that are trained for a task against a model's size, and how long training takes until it is nearly as good as
it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foreword.results import stats
from foreword.results.cells import Answered, Cell, Entry, Row, Table, Test
from foreword.results.record import Record
from foreword.study.measure import choose, entry, grouped, named, records_of, values
from foreword.study.preset import Preset

NEAR = 0.01  # of the final score
BILLION, LONGEST, SHARE = 1e9, 100, 1e-4
NO_HEADS = "its configuration names no attention heads"
NOT_KEPT = "the width of its keys was not kept: delete the study's folder `cells` and run it again, its records stay"


def parameters(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row for each method and prompt length, a column a model: numbers trained. Prefix tuning (Li & Liang 2021; keys and values at every
    layer, as at inference) is counted from the model's shape."""
    models = values(cells, "model")
    rows = []
    for (method, length), group in grouped(cells, lambda cell: (cell.paper["method"], cell.at.length)).items():
        entries = [_trained(own) if (own := choose(group, paper_model=model)) else "" for model in models]
        rows.append(Row((method, "" if length is None else str(length)), tuple(entries)))
    lengths = sorted({cell.at.length for cell in cells if cell.at.length is not None})
    for length in lengths:
        entries = [_prefix(choose(cells, paper_model=model), length) for model in models]
        rows.append(Row(("prefix tuning (counted)", str(length)), tuple(entries)))
    table = Table(preset.title, ("method", "prompt tokens"), _names(cells, preset), tuple(rows))
    return (table, _small_share(cells))


def _small_share(cells: Sequence[Cell]) -> Test:
    """The paper's count of what a prompt is of a large model: counted, so that no test is asked."""
    claim = "A prompt of at most 100 tokens is less than 0.01 % of a model of more than a billion numbers"
    shares = [
        record.costs.trainable_parameters / cell.shape["parameters"]
        for cell in choose(cells, paper_method="pt")
        if (record := cell.record) is not None
        and cell.shape.get("parameters", 0) > BILLION
        and (cell.at.length or 0) <= LONGEST
    ]
    if not shares:
        return Test(claim, None, note="no model here has more than a billion numbers")
    below = sum(share < SHARE for share in shares)
    return Test(claim, below == len(shares), cases=(below, len(shares)), note="counted, not estimated")


def _names(cells: Sequence[Cell], preset: Preset) -> tuple[str, ...]:
    return tuple(named(choose(cells, paper_model=model), "model", preset) for model in values(cells, "model"))


def _trained(cells: Sequence[Cell]) -> Entry:
    own, records = entry(cells), records_of(cells)
    count = float(records[0].costs.trainable_parameters) if records else None
    return replace(own, score=count, spread=None, ci95=None, unit="numbers", metric="numbers trained")


def _prefix(cells: Sequence[Cell], length: int) -> Entry | str:
    shape = next((cell.shape for cell in cells if cell.shape), {})
    if shape and not shape.get("key_value"):
        return NO_HEADS if "key_value" in shape else NOT_KEPT
    own = entry(cells[:1])
    count = 2 * shape["layers"] * shape["key_value"] * length if shape else None
    paper = {"method": "prefix tuning", "length": str(length), "model": own.paper["model"]}
    return replace(own, score=count, spread=None, ci95=None, unit="numbers", metric="numbers trained", paper=paper)


def convergence(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A row a prompt length, a column a model: seconds on this machine until the dev score is within 1 % of the last one."""
    models = values(cells, "model")
    rows = []
    for length, group in grouped(cells, lambda cell: cell.at.length).items():
        entries = [_time(own) if (own := choose(group, paper_model=model)) else "" for model in models]
        rows.append(Row((str(length),), tuple(entries)))
    return (Table(preset.title, ("prompt tokens",), _names(cells, preset), tuple(rows)), _sooner(cells))


def _sooner(cells: Sequence[Cell]) -> Test:
    """Whether the shortest prompt is nearly as good as it gets before the longest: counted."""
    claim = "The shortest prompt converges before the longest on every model"
    sooner, counted = 0, 0
    for model in values(cells, "model"):
        by_length = grouped(choose(cells, paper_model=model), lambda cell: cell.at.length or 0)
        times = [_time(by_length[length]).score for length in (min(by_length), max(by_length))]
        if len(by_length) > 1 and times[0] is not None and times[1] is not None:
            counted, sooner = counted + 1, sooner + (times[0] < times[1])
    note = "counted and not tested: times are those of this machine"
    return Test(claim, None, cases=(sooner, counted), note=note if counted else "not run")


def _time(cells: Sequence[Cell]) -> Entry:
    own, records = entry(cells), records_of(cells)
    times = [seconds for record in records if (seconds := near(record)) is not None]
    base = replace(
        own, score=None, spread=None, ci95=None, unit="s", metric="time to within 1 % of the final dev score"
    )
    if not times:
        return base
    mean, spread = stats.mean_std(times)
    return replace(base, score=mean, spread=spread if len(times) > 1 else None, seeds=len(times))


def near(record: Record) -> float | None:
    """Seconds of training until the dev score was first as near to its last value; None without a curve. Evaluations are counted in, and
    steps are taken to be equally long."""
    if not record.curve or not record.costs.train_seconds:
        return None
    last = record.curve[-1]
    bound = last["dev"] + NEAR * abs(last["dev"])  # a dev score is a loss, or a metric's negative: lower is better
    step = next(point["step"] for point in record.curve if point["dev"] <= bound)
    return record.costs.train_seconds * step / last["step"]


QUESTIONS = {"parameters": parameters, "convergence": convergence}
