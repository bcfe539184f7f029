"""The recommendation in words, each number with what it rests on; only a significant difference is called one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreword.results import stats
from foreword.results.choice import NOTHING, Choice
from foreword.results.rows import Baseline, MethodRow
from foreword.util import phrases

FEW_EXAMPLES = 100
LOOK = "Look at the answers in the report before training longer"


@dataclass(frozen=True)
class Judged:
    """rows: those that could be taken, and the reference rows. usable: the places of the former. between: differences of rows by
    their places, and of rows with baselines, which have the places behind the rows. answers: for how many the cost counts."""

    rows: tuple[MethodRow, ...]
    usable: tuple[int, ...]
    between: Mapping[tuple[int, int], stats.AdjustedDifference]
    baselines: tuple[Baseline, ...]
    against: Mapping[int, stats.AdjustedDifference]
    answers: int

    @property
    def name(self) -> str:
        """The metric in prose."""
        return phrases.title(self.rows[0].metric)

    def cost(self, place: int) -> float:
        """Seconds of a row, training included."""
        return self.rows[place].cost_seconds(self.answers)


def reason(judged: Judged, choice: Choice | None) -> str:
    """Why this method, or why none."""
    if choice is None:
        return " ".join([_nothing(judged), *_beside(judged)])
    parts = [_only(judged, choice) if len(judged.usable) == 1 else _chosen(judged, choice)]
    return " ".join([*parts, *_caveats(judged, choice), *_beside(judged)])


def _nothing(judged: Judged) -> str:
    rows = [judged.rows[place] for place in judged.usable]
    best = max(rows, key=lambda row: row.mean)
    alone = len(rows) == 1
    if best.mean < NOTHING:
        if alone:
            return f"{best.method} does not work here: its {judged.name} is 0.0. {LOOK}."
        return f"No method works here: every one has {judged.name} 0.0. {LOOK} or taking a larger model."
    floor = max(judged.baselines, key=lambda baseline: baseline.score)
    above = f"is not above {_named(floor)} ({phrases.score(floor.score)})"
    if alone:
        return f"{best.method} does not work here: its {judged.name} of {phrases.score(best.mean)} {above}. {LOOK}."
    return (
        f"No method works here: the highest {judged.name}, {phrases.score(best.mean)} of {best.method}, {above}. "
        f"{LOOK} or taking a larger model."
    )


def _only(judged: Judged, choice: Choice) -> str:
    row = judged.rows[choice.pick]
    return f"Use {row.method}: {judged.name} {phrases.score(row.mean)}. It is the only method that was compared."


def _chosen(judged: Judged, choice: Choice) -> str:
    row = judged.rows[choice.pick]
    inputs = phrases.plural(judged.answers, "input")
    time = f"{row.method} answers {inputs}, training included, in {phrases.duration(judged.cost(choice.pick))}"
    if choice.pick != choice.best:
        best = judged.rows[choice.best]
        gap = judged.between[choice.best, choice.pick]
        return (
            f"Use {row.method}: {judged.name} {phrases.score(row.mean)}. {best.method} is highest at {phrases.score(best.mean)}, "
            f"but {row.method} is shown to lie within {phrases.points(choice.margin)} of it ({_difference(gap)}). "
            f"{time} against {phrases.duration(judged.cost(choice.best))}."
        )
    start = f"Use {row.method}: its {judged.name} of {phrases.score(row.mean)} is the highest"
    worse = [place for place in judged.usable if place not in (choice.best, *choice.tied)]
    parts = []
    if not choice.tied:
        parts.append(f"{start}, and {_all_worse(judged, choice, worse)}.")
    else:
        parts.append(f"{start}, but it is a tie: {_tie(judged, choice)}.")
        parts.append(_undecided(judged, choice))
    parts.append(
        f"The probability that {row.method} is the best of the {len(judged.usable)} is {_percent(choice.probability)}."
    )
    return " ".join([*filter(None, parts), f"{time}."])


def _all_worse(judged: Judged, choice: Choice, worse: Sequence[int]) -> str:
    nearest = min(worse, key=lambda place: judged.between[choice.best, place].points)
    name, gap = judged.rows[nearest].method, judged.between[choice.best, nearest]
    prompts = any(judged.between[choice.best, place].one_seed for place in worse)
    verb = "scored significantly less with these prompts" if prompts else "significantly worse"
    if len(worse) == 1:
        be = "" if prompts else "is "
        return f"the one other method, {name}, {be}{verb} (by {_difference(gap)})"
    who = "both other methods" if len(worse) == 2 else f"all {len(worse)} other methods"
    be = "" if prompts else "are "
    return f"{who} {be}{verb} (the nearest, {name}, by {_difference(gap)})"


def _tie(judged: Judged, choice: Choice) -> str:
    nearest = _nearest(judged, choice)
    names = [judged.rows[place].method for place in choice.tied]
    difference = _difference(judged.between[choice.best, nearest])
    if len(names) == 1:
        return f"the test does not tell it from {names[0]} (above it by {difference})"
    return f"the test does not tell it from {phrases.listed(names)} (above {judged.rows[nearest].method}, the nearest, by {difference})"


def _nearest(judged: Judged, choice: Choice) -> int:
    return min(choice.tied, key=lambda place: judged.between[choice.best, place].points)


def _undecided(judged: Judged, choice: Choice) -> str:
    """How many more examples, or seeds, would tell what is a tie now."""
    nearest = _nearest(judged, choice)
    gap = judged.between[choice.best, nearest]
    tested, level = gap.tested, gap.level
    size = max(abs(gap.points), choice.margin)
    now = gap.reach
    noun, units = ("cluster", "clusters of test examples") if tested.clustered else ("test example", "test examples")
    seeds = max(len(judged.rows[place].seeds) for place in (choice.best, nearest))
    beside = f" and {phrases.plural(seeds, 'seed')}" if tested.seed_variance else ""
    start = f"Undecided: these {phrases.plural(tested.units, noun)}{beside} tell {gap.tells}"
    if now <= size:
        return f"{start}, four times in five."
    more = stats.units_needed(tested, size, level=level)
    if more is not None:
        return f"{start}; about {_rounded(more)} more {units} would tell a difference of {phrases.points(size)}."
    needed = stats.seeds_needed(tested, size, seeds, level=level)
    if needed is None:
        return f"{start}; more seeds and more {units} would tell a difference of {phrases.points(size)}."
    return (
        f"{start}; the seeds spread too widely for more {noun.removeprefix('test ')}s to tell a difference of {phrases.points(size)}, "
        f"which takes about {needed} seeds."
    )


def _caveats(judged: Judged, choice: Choice) -> list[str]:
    """What a reader must know before trusting the choice."""
    row = judged.rows[choice.pick]
    notes = []
    gap = judged.against.get(choice.pick)
    if gap is not None and not gap.significant:
        floor = max(judged.baselines, key=lambda baseline: baseline.score)
        notes.append(f"It is not shown to be above {_named(floor)} ({phrases.score(floor.score)}): {_difference(gap)}.")
    if (row.clusters or row.examples) < FEW_EXAMPLES:
        examples = phrases.plural(row.examples, "example")
        units = f"{phrases.plural(row.clusters, 'cluster')} of {examples}" if row.clusters else examples
        notes.append(f"This rests on {units} only: a small difference could not have been seen.")
    alone = [judged.rows[place].method for place in judged.usable if judged.rows[place].one_seed]
    if alone:
        verb = "what is said of it holds" if len(alone) == 1 else "what is said of them holds"
        plural = "for that prompt, not for the method" if len(alone) == 1 else "for those prompts, not for the methods"
        notes.append(f"{phrases.listed(alone)} ran with one seed: {verb} {plural}; give more seeds.")
    return notes


def _beside(judged: Judged) -> list[str]:
    """The reference rows, which are never taken while there is another."""
    others = [row for place, row in enumerate(judged.rows) if place not in judged.usable]
    return [
        f"Beside them stands {row.method} ({phrases.score(row.mean)}): it changes the model and nothing of it is kept."
        for row in others
    ]


def _named(baseline: Baseline) -> str:
    return "chance" if baseline.name == "chance" else f"{baseline.name.replace('always', 'always answering')}"


def _difference(gap: stats.AdjustedDifference) -> str:
    low, high = gap.ci95
    observed = gap.points
    return f"{phrases.points(observed)}, 95% interval {phrases.between(low, high)}, {phrases.p_value(gap.p)}"


def _percent(share: float) -> str:
    if share > 0.99:
        return "over 99%"
    return "under 1%" if share < 0.01 else f"{100 * share:.0f}%"


def _rounded(count: int) -> str:
    """A count of two figures, rounded up."""
    if count < 100:
        return f"{count:,}"
    unit = 10 ** (int(math.log10(count)) - 1)
    return f"{math.ceil(count / unit) * unit:,}"
