"""Windows of requests tested against a reference, so that false alarms stay under a stated rate however often one looks; they refuse to
change what was decided of a window when later ones come.

The rule. Requests are cut into windows of equal size, counted from the first, and each whole window is tested once for each feature that
both sides know. Within a window Holm's method holds over its tests at the level alpha / horizon, so that among any `horizon` windows in a
row the probability of one false alarm or more is at most alpha (Bonferroni over windows, whatever the dependence between them)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from foreword.monitor.observations import Observation
from foreword.monitor.shift import FEWEST, categories, discrepancy, distributions
from foreword.results.stats import holm
from foreword.util.errors import ForewordError

INPUTS, ANSWERS = "inputs", "answers"
VECTORS, NUMBERS, CATEGORIES = "vectors", "numbers", "categories"
MOST = 512  # values of the reference that a test takes


@dataclass(frozen=True)
class Feature:
    """Something that is known of an observation. side: inputs or answers. kind: by which test it is compared."""

    name: str
    side: str
    kind: str
    value: Callable[[Observation], Any]


FEATURES = (
    Feature("input vectors", INPUTS, VECTORS, lambda observation: observation.vector),
    Feature("input length", INPUTS, NUMBERS, lambda observation: observation.characters),
    Feature("tokens read", INPUTS, NUMBERS, lambda observation: observation.tokens),
    Feature("similarity", INPUTS, NUMBERS, lambda observation: observation.similarity),
    Feature("log-probability", ANSWERS, NUMBERS, lambda observation: observation.logprob),
    Feature("answer length", ANSWERS, NUMBERS, lambda observation: observation.answer_tokens),
    Feature("finish reason", ANSWERS, CATEGORIES, lambda observation: observation.finish_reason),
    Feature("choice", ANSWERS, CATEGORIES, lambda observation: observation.choice),
)
NAMES = {feature.name: feature for feature in FEATURES}


@dataclass(frozen=True)
class Rule:
    """size: requests of a window. alpha: the probability of any false alarm among `horizon` windows in a row."""

    size: int = 100
    alpha: float = 0.05
    horizon: int = 20

    def __post_init__(self) -> None:
        if self.size < FEWEST:
            raise ForewordError(f"Windows of {self.size} requests were asked for; give {FEWEST} or more.")
        if not 0.0 < self.alpha < 1.0 or self.horizon < 1:
            raise ForewordError(
                f"alpha is {self.alpha} and the horizon {self.horizon}; give a probability between 0 and 1, and 1 window or more."
            )

    @property
    def level(self) -> float:
        """Of one window."""
        return self.alpha / self.horizon


@dataclass(frozen=True)
class Test:
    """One feature of one window. p: of the test alone. adjusted: p as Holm's method over the window's tests and the horizon leave it, an
    alarm at alpha or below. reference, window: how many values, their median (numbers) or shares (categories)."""

    feature: str
    side: str
    statistic: float
    p: float
    adjusted: float
    alarm: bool
    reference: dict[str, Any]
    window: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Window:
    """number: from 0. first, last: places of its observations. begins, ends: their times."""

    number: int
    first: int
    last: int
    begins: str
    ends: str
    tests: tuple[Test, ...]

    @property
    def alarm(self) -> bool:
        """Whether any test alarms."""
        return any(test.alarm for test in self.tests)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"alarm": self.alarm}


Reference = dict[str, list[Any]]  # a feature's name to its values


def reference_of(observations: Sequence[Observation], sides: Sequence[str] = (INPUTS, ANSWERS)) -> Reference:
    """What observations say of each feature of these sides, the newest MOST of them; features of which they know too little left out."""
    known = {feature.name: _values(observations, feature)[-MOST:] for feature in FEATURES if feature.side in sides}
    return {name: values for name, values in known.items() if len(values) >= FEWEST}


def _values(observations: Sequence[Observation], feature: Feature) -> list[Any]:
    return [value for observation in observations if (value := feature.value(observation)) is not None]


def comparable(reference: Reference, window: Sequence[Observation]) -> list[tuple[Feature, list[Any], list[Any]]]:
    """The features that both sides know, with the values of both. Tokens read are compared where lengths in characters are not."""
    both = []
    for feature in FEATURES:
        if feature.name not in reference:
            continue
        values = _values(window, feature)
        if len(values) >= FEWEST:
            both.append((feature, reference[feature.name], values))
    known = {feature.name for feature, _, _ in both}
    if "input length" in known:
        both = [row for row in both if row[0].name != "tokens read"]
    return [row for row in both if row[0].kind != CATEGORIES or len({*row[1], *row[2]}) > 1]


def tested(reference: Reference, window: Sequence[Observation], rule: Rule) -> list[Test]:
    """The tests of one window."""
    rows = comparable(reference, window)
    least = rule.level / max(1, len(rows))
    results = [_run(feature, values, mine, least) for feature, values, mine in rows]
    adjusted = [min(1.0, p * rule.horizon) for p in holm([p for _, p in results])] if results else []
    return [
        Test(
            feature.name,
            feature.side,
            statistic,
            p,
            level,
            level <= rule.alpha,
            _summary(feature, values),
            _summary(feature, mine),
        )
        for (feature, values, mine), (statistic, p), level in zip(rows, results, adjusted, strict=True)
    ]


def _run(feature: Feature, reference: list[Any], window: list[Any], level: float) -> tuple[float, float]:
    if feature.kind == CATEGORIES:
        return categories(reference, window, level=level)
    sides = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    return discrepancy(*sides, level=level) if feature.kind == VECTORS else distributions(*sides)


def _summary(feature: Feature, values: list[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"count": len(values)}
    if feature.kind == NUMBERS:
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        summary |= {"quartile_low": float(low), "median": float(median), "quartile_high": float(high)}
    if feature.kind == CATEGORIES:
        names = sorted(set(values), key=str)
        summary["shares"] = {str(name): values.count(name) / len(values) for name in names}
    return summary


def windows_of(
    observations: Sequence[Observation], reference: Reference, rule: Rule, *, baseline: int = 0
) -> list[Window]:
    """Each whole window with its tests. baseline: so many observations at the beginning are themselves the reference of the answers, so
    that the answers of windows that hold one of them are not tested."""
    windows = []
    for number in range(len(observations) // rule.size):
        first = number * rule.size
        windows.append(window_of(observations[first : first + rule.size], reference, rule, number, first < baseline))
    return windows


def window_of(
    members: Sequence[Observation], reference: Reference, rule: Rule, number: int, in_baseline: bool = False
) -> Window:
    """One window with its tests. in_baseline: its answers are reference themselves."""
    if in_baseline:
        reference = {name: values for name, values in reference.items() if NAMES[name].side == INPUTS}
    first = number * rule.size
    tests = tested(reference, members, rule)
    return Window(number, first, first + len(members) - 1, members[0].time, members[-1].time, tuple(tests))
