"""Which method to recommend, from scores, their differences and costs; a difference that is not significant is no proof of equality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreword.results import stats

MARGIN_POINTS, MARGIN_SHARE = 2.0, 0.05
NOTHING = 0.05  # a score below it is written 0.0


@dataclass(frozen=True)
class Choice:
    """Methods by their places. pick: the one to take. best: the highest mean. tied: those not significantly different from the best, best
    first left out. probability: of the pick's being the best of those that could be taken."""

    pick: int
    best: int
    tied: tuple[int, ...]
    probability: float
    margin: float


def choose(
    methods: Sequence[stats.Sample],
    between: Mapping[tuple[int, int], stats.AdjustedDifference],
    costs: Sequence[float],
    *,
    usable: Sequence[int],
    floor: float = 0.0,
    margin: float | None = None,
    span: float = 100.0,
    seed: int = 0,
) -> Choice | None:
    """The highest mean of the usable methods, or the cheapest of those that are shown to lie within the margin of it.

    Shown: the whole interval of the difference from the best lies below the margin, and so do many examples, not few. None
    where no method scores above `floor` (what scores without a model), or all scores round to nothing. margin: None for the
    smaller of MARGIN_POINTS and MARGIN_SHARE of the best score.
    """
    fit = [place for place in usable if methods[place].score > floor and methods[place].score >= NOTHING]
    if not fit:
        return None
    best = min(fit, key=lambda place: (-methods[place].score, costs[place], place))
    if margin is None:
        margin = min(MARGIN_POINTS, MARGIN_SHARE * methods[best].score)
    near = [
        place
        for place in fit
        if costs[place] < costs[best] and between[best, place].ci95[1] <= margin and not between[best, place].one_seed
    ]
    pick = min([best, *near], key=lambda place: (costs[place], -methods[place].score, place))
    tied = tuple(place for place in usable if place != best and not between[best, place].significant)
    chances = stats.chances_of_best([methods[place] for place in usable], span=span, seed=seed)
    return Choice(pick, best, tied, chances[list(usable).index(pick)], margin)
