"""Truth that comes after the answers, joined by request ids: the score over time with intervals; it refuses to score what nobody kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreword.data.readers import read_rows
from foreword.data.readers.cells import text_of
from foreword.metrics import metric
from foreword.metrics.base import Metric, Numbers
from foreword.monitor.observations import Observation
from foreword.results.stats import interval, samples
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Score:
    """The score of a window's requests whose truth is known. low, high: its interval, for the prompt that answered."""

    window: int
    begins: str
    ends: str
    count: int
    score: float
    low: float
    high: float
    alarm: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Truth:
    """metric: by which it is scored, `score` where the file brings scores. by_id: numbers [d] of each request that could be scored.
    unknown: ids of the file that the log does not have."""

    metric: str
    by_id: dict[str, Numbers]
    unknown: int

    def scores(
        self, observations: Sequence[Observation], size: int, *, level: float, least: float | None = None
    ) -> list[Score]:
        """Of each window of `size` observations, the last one whole or not. level: of the intervals. least: a whole window whose whole
        interval lies below it alarms."""
        worst, best, from_sums = _scale(self.metric)
        scores = []
        for start in range(0, len(observations), size):
            members = observations[start : start + size]
            rows = [self.by_id[observation.id] for observation in members if observation.id in self.by_id]
            if not rows:
                continue
            (sample,) = samples(
                [np.array([rows])], from_sums, [True], ()
            )  # a log does not say which requests go together
            low, high = interval(sample, level=level, lowest=worst, highest=best)
            alarm = least is not None and len(members) == size and high < least
            ends = members[0].time, members[-1].time
            scores.append(Score(start // size, *ends, len(rows), sample.score, low, high, alarm))
        return scores


def _scale(name: str) -> tuple[float, float, Any]:
    if name == "score":
        return 0.0, 100.0, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1.0)
    measure = metric(name)
    return measure.worst, measure.best, measure.from_sums


def read_truth(
    path: Path,
    observations: Sequence[Observation],
    *,
    metric_name: str = "",
    default: str = "exact_match",
    choices: Sequence[str] = (),
) -> Truth:
    """Join a file with `id` (of a request) and `target`, and `answer` where the log keeps no contents and the prompt does not choose; or
    with `id` and `score` (0 to 100). metric_name: by which targets are scored, `default` where empty. Raises ForewordError naming the
    row that cannot be scored, for two rows of one request, and for a metric that cannot score them window by window."""
    rows = read_rows(path, as_written=True)
    columns = dict.fromkeys(name for row in rows for name in row)
    if "id" not in columns or not {"target", "score"} & set(columns):
        raise ForewordError(
            f"{path} has the columns {', '.join(map(str, columns))}; truth is joined by `id`, a request's, and is `target` or `score`."
        )
    by_id = {observation.id: observation for observation in observations}
    known: dict[str, int] = {}  # the number of its row
    for number, row in enumerate(rows, 1):
        name = str(row.get("id"))
        if name in known:
            raise ForewordError(
                f"Rows {known[name]} and {number} of {path} are both of the request {name}; keep one of them."
            )
        if name in by_id:
            known[name] = number
    if not known:
        raise ForewordError(
            f"None of the {len(rows)} ids in {path} is of a request of this log; ids stand in each answer and in its header X-Request-Id."
        )
    unknown = len(rows) - len(known)
    if "score" in columns:
        if metric_name:
            raise ForewordError(
                f"The metric {metric_name} was asked for and {path} brings its own scores, which no metric changes; leave out --metric or "
                "the column `score`."
            )
        own = {name: np.array([_number(rows[at - 1].get("score"), at, path), 1.0]) for name, at in known.items()}
        return Truth("score", own, unknown)
    measure = _by_window(metric(metric_name or default))
    answers = [_answer(rows[at - 1], by_id[name], choices, at, path) for name, at in known.items()]
    targets = [[_target(rows[at - 1], at, path)] for at in known.values()]
    return Truth(measure.name, dict(zip(known, measure.numbers(answers, targets), strict=True)), unknown)


def _by_window(measure: Metric) -> Metric:
    """The metric. Raises ForewordError for one of whole sets."""
    if measure.of_set:
        raise ForewordError(
            f"Truth was to be scored by {measure.name}, which weighs words by all the targets of a set, so that the scores of two windows "
            "are on different scales; give --metric another, such as bleu."
        )
    return measure


def _number(value: Any, number: int, path: Path) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 100.0:
        raise ForewordError(f"Row {number} of {path} has the score {value!r}; write a number between 0 and 100.")
    return score


def _target(row: dict[str, Any], number: int, path: Path) -> str:
    return text_of(
        row.get("target"), f"'target' in row {number} of {path}", todo="write the right answer, or leave the row out"
    )


def _answer(row: dict[str, Any], observation: Observation, choices: Sequence[str], number: int, path: Path) -> str:
    if row.get("answer") is not None:
        return text_of(row["answer"], f"'answer' in row {number} of {path}", empty=True)
    if observation.output is not None:
        return observation.output
    if observation.choice is not None and observation.choice < len(choices):
        return choices[observation.choice]
    if observation.choice is not None:
        raise ForewordError(
            f"Row {number} of {path} cannot be scored: the log keeps the number of the choice alone, and {observation.name} says which one "
            f"that is; give --against {observation.name} with --store, or the column `answer`."
        )
    raise ForewordError(
        f"Row {number} of {path} cannot be scored: the log keeps no answers. Serve with --log-content, or give the column `answer`, or "
        "`score` instead of `target`."
    )
