"""What a finished cell says beside its score: how it was trained and what it was shown, in the words of a paper's recipe, and the numbers
that add up to every metric of its record; it refuses to guess at what a record does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreword.config.tuning import FORMER
from foreword.metrics import Metric, metric
from foreword.results import stats
from foreword.results.cells import Cell, Entry
from foreword.results.clusters import clusters_of
from foreword.results.collected import distinct
from foreword.results.record import Record
from foreword.util import phrases
from foreword.util.errors import ForewordError

Array = NDArray[np.float64]
# Settings of tuning in the words of a recipe: of any training, and of a soft prompt's alone.
TRAINED = {
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "select_by": "checkpoint by",
}
SOFT = {"prompt_length": "length", "init": "init", "reparameterisation": "reparameterisation"}


def recipes_of(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """How the finished ones of these cells were trained and what they were shown, by the paper's name of the task; several values of one
    setting are joined by commas."""
    recipes: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        if cell.record is not None:
            own = recipes.setdefault(cell.paper.get("task", ""), {})
            for name, value in recipe_of(cell.record, cell.train_limit).items():
                own[name] = list(dict.fromkeys([*own.get(name, []), value]))
    return {task: {name: ", ".join(values) for name, values in own.items()} for task, own in recipes.items()}


def recipe_of(record: Record, train_limit: int | None = None) -> dict[str, str]:
    """How one record came about. A soft prompt that was not trained here says nothing of a training."""
    method: Mapping[str, Any] = record.spec.get("method") or {}
    tuning: Mapping[str, Any] = record.spec.get("tuning") or {}
    recipe: dict[str, str] = {}
    if method.get("demonstrations") == "retrieved" and method.get("retriever"):
        recipe["retriever"] = str(method["retriever"])
    if method.get("demonstrations") in ("retrieved", "fixed") and method.get("k"):
        recipe["demonstrations"] = str(method["k"])
    if method.get("soft") and tuning:
        if "place" in tuning:
            recipe["place"] = "front" if tuning["place"] == "auto" else FORMER.get(tuning["place"], tuning["place"])
        recipe |= {words: str(tuning[name]) for name, words in SOFT.items() if name in tuning}
    if tuning.get("max_steps"):
        recipe |= {words: f"{tuning[name]}" for name, words in TRAINED.items() if name in tuning}
        recipe["steps"] = str(int(record.curve[-1]["step"] if record.curve else tuning["max_steps"]))
    if train_limit is not None and (method or tuning):
        recipe["training examples"] = str(train_limit)
    return recipe


def numbers_of(record: Record, name: str) -> Array | None:
    """The numbers that add up to one metric of a record [N, d], counted from its answers where they are not kept; None where they cannot
    be, as for a metric that reads more of an example than its answer and targets."""
    if all(name in answer.statistics for answer in record.answers):
        return np.asarray([answer.statistics[name] for answer in record.answers], dtype=np.float64)
    try:
        measure = metric(name)
    except ForewordError:
        return None  # a metric of another package, or of a file that is not here: the score stands, without an interval
    if measure.needs or measure.absence():
        return None
    outputs, targets = [answer.output for answer in record.answers], [answer.targets for answer in record.answers]
    numbers = np.asarray(measure.numbers(outputs, targets), dtype=np.float64)
    alike = np.isclose(float(measure.from_sums(numbers.sum(axis=0))), record.scores[name], rtol=0, atol=1e-6)
    return numbers if alike else None


def metrics_of(records: Sequence[Record]) -> list[str]:
    """The metrics by which any of these records is scored, for a number of each; one that some of them lack has a cause instead."""
    return distinct(name for record in records for name in record.scores)


def scored_by(blank: Entry, records: Sequence[Record], names: Sequence[str], title: str) -> Entry:
    """The mean over seeds of the mean of some metrics of records that answer the same examples, with its spread; and its interval over
    seeds and examples, where the numbers of all these metrics are known. There is no number where a record is not scored by one of them.
    title: what the entry's metric is called."""
    lacking = [record for record in records if not record.scores.keys() >= set(names)]
    if lacking:
        missing = phrases.listed([name for name in names if any(name not in record.scores for record in lacking)])
        be = "is" if len(lacking) == 1 else "are"
        cause = f"{len(lacking)} of {phrases.plural(len(records), 'cell')} {be} not scored by {missing}"
        cause = "; ".join(filter(None, (blank.cause, cause)))
        return replace(blank, score=None, spread=None, ci95=None, metric=title, cause=cause)
    scores = [sum(record.scores[name] for name in names) / len(names) for record in records]
    mean, spread = stats.mean_std(scores)
    entry = replace(
        blank,
        score=mean,
        spread=spread if len(records) > 1 else None,
        ci95=None,
        examples=len(records[0].answers),
        metric=title,
    )
    parts = [[numbers_of(record, name) for name in names] for record in records]
    ids = [answer.id for answer in records[0].answers]
    known = [[part for part in own if part is not None] for own in parts]
    if any(len(own) < len(names) for own in known) or any([a.id for a in r.answers] != ids for r in records):
        return entry
    together = _Together([metric(name) for name in names], [part.shape[1] for part in known[0]])
    cube = np.stack([np.concatenate(own, axis=1) for own in known])  # [J, N, d]
    (sample,) = stats.samples([cube], together.from_sums, [records[0].deterministic], clusters_of(records, ids))
    ends = stats.interval(sample, lowest=together.worst, highest=together.best)
    return replace(entry, ci95=ends, clusters=sample.values.shape[1] if sample.clustered else 0)


@dataclass(frozen=True)
class _Together:
    """The mean of some metrics as one: their numbers stand side by side, widths [M] of each."""

    metrics: Sequence[Metric]
    widths: Sequence[int]

    def from_sums(self, sums: Array) -> Array:
        """Sums of rows [..., d] -> the mean of the metrics' scores [...]."""
        ends = np.cumsum(self.widths)[:-1]
        parts = np.split(np.asarray(sums), ends, axis=-1)
        scores = [each.from_sums(part) for each, part in zip(self.metrics, parts, strict=True)]
        return np.asarray(np.mean(scores, axis=0))

    @property
    def best(self) -> float:
        """What perfect answers score."""
        return sum(each.best for each in self.metrics) / len(self.metrics)

    @property
    def worst(self) -> float:
        """The lower end of the scale."""
        return sum(each.worst for each in self.metrics) / len(self.metrics)
