"""The effect of a demonstration on a soft prompt, by its similarity to the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreword.prompts.methods import ROWS
from foreword.results import stats
from foreword.results.clusters import HANDFUL, clusters_of, described
from foreword.results.record import Answer, Record
from foreword.util import phrases

BINS = 6
FEWEST = 20
FEWEST_IN_BIN = 5  # below it a bin's interval would pretend to more than a handful of examples can say

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """with_label minus without_label for each example ([N], mean over seeds), and the similarity [N] of its nearest demonstration.
    prompts: soft prompts of each method, a seed each, which all intervals speak of: they are over examples alone."""

    with_label: str
    without_label: str
    similarity: Array
    gain: Array
    bins: tuple[stats.Bin, ...]
    slope: float
    slope_ci95: tuple[float, float]
    prompts: int

    @property
    def step(self) -> float:
        """A round amount of similarity, about a fifth of the range: the unit in which the slope is given."""
        span = float(np.quantile(self.similarity, 0.95) - np.quantile(self.similarity, 0.05)) / 5
        return float(10 ** np.round(np.log10(span))) if span > 0 else 1.0

    def line(self) -> list[tuple[float, float]]:
        """The two ends of the fitted line: (similarity, gain)."""
        centre, height = float(self.similarity.mean()), float(self.gain.mean())
        ends = (float(self.similarity.min()), float(self.similarity.max()))
        return [(end, height + self.slope * (end - centre)) for end in ends]

    def sentence(self) -> str:
        """The slope in words."""
        low, high = self.slope_ci95
        step, by = self.step, self.slope * self.step
        way = "more" if by >= 0 else "less"
        low, high = (low, high) if by >= 0 else (-high, -low)
        sure = "" if low > 0 or high < 0 else "; the interval includes no change"
        return (
            f"For each {step:g} of similarity the demonstration adds {phrases.points(abs(by))} points {way} "
            f"(95% interval {phrases.between(low * step, high * step)}{sure}). Intervals are over examples, of "
            f"{'this one prompt' if self.prompts == 1 else f'these {self.prompts} prompts'} of each method alone."
        )


def gains(records: Sequence[Record]) -> list[Gain] | str:
    """One Gain for each label of a soft prompt with retrieved demonstrations against the first label of one without any, or a sentence
    that says why there is none."""
    without, with_demonstrations = _prompted(records, "none"), _prompted(records, "retrieved")
    missing = [name for name, group in (("pt", without), ("ipt", with_demonstrations)) if not group]
    if missing:
        which = f"{missing[0]} was" if len(missing) == 1 else "neither was"
        return f"Not shown: it takes both pt and ipt, and {which} not compared.".replace(
            "neither was not", "neither was"
        )
    base = [record for record in without if record.label == without[0].label]
    gains_computed, reasons = [], []
    for label in dict.fromkeys(record.label for record in with_demonstrations):
        gain = _gain([record for record in with_demonstrations if record.label == label], base)
        if isinstance(gain, Gain):
            gains_computed.append(gain)
        else:
            reasons.append(gain)
    return gains_computed or " ".join(reasons)


def _prompted(records: Sequence[Record], demonstrations: str) -> list[Record]:
    """The records of a soft prompt with such demonstrations."""
    rows = [(record, ROWS.get(record.method)) for record in records]
    return [record for record, row in rows if row and row.soft and row.demonstrations == demonstrations]


def _gain(group: list[Record], base: list[Record]) -> Gain | str:
    label, metric = group[0].label, group[0].primary
    similar = _mean_by_id(group, lambda answer: answer.shown[-1].similarity if answer.shown else None)
    plus = _mean_by_id(group, lambda answer: answer.scores.get(metric))
    minus = _mean_by_id(base, lambda answer: answer.scores.get(metric))
    ids = [name for name in similar if name in plus and name in minus]
    if not similar:
        return f"Not shown for {label}: its retriever gives no similarity."
    x = np.array([similar[name] for name in ids])
    y = np.array([plus[name] - minus[name] for name in ids])
    if len(ids) < FEWEST:
        return f"Not shown for {label}: only {phrases.plural(len(ids), 'example')} with a similarity, and it takes {FEWEST}."
    clusters = clusters_of([*group, *base], ids)
    together = described(clusters)
    if together is not None and together.count < HANDFUL:
        return f"Not shown for {label}: {phrases.plural(len(ids), 'example')} in {together} say too little of others."
    if not y.any():
        return f"Not shown for {label}: it gains nothing on any example."
    fitted = stats.slope(x, y, clusters=clusters)
    if fitted is None:
        return f"Not shown for {label}: nearly every demonstration has the same similarity."
    filled = tuple(bucket for bucket in stats.bins(x, y, edges=BINS, clusters=clusters) if bucket.count)
    return Gain(label, base[0].label, x, y, filled, fitted[0], (fitted[1], fitted[2]), min(len(group), len(base)))


def _mean_by_id(records: list[Record], value: Callable[[Answer], float | None]) -> dict[str, float]:
    """The mean over seeds of what each example's answer holds; examples that hold nothing are left out."""
    values_of: dict[str, list[float]] = {}
    for record in records:
        for answer in record.answers:
            number = value(answer)
            if number is not None and np.isfinite(number):
                values_of.setdefault(answer.id, []).append(number)
    return {name: sum(values) / len(values) for name, values in values_of.items()}
