"""The gate before an alias: a new version answers a test file as it would be served, beside the one that the alias points to, and is let
through only where it is shown not to be worse by a margin; it refuses to move an alias that has moved meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foreword.config.run import ANSWER_TOKENS
from foreword.data.examples import Columns, Example, examples, merged
from foreword.data.readers import Rows, read_rows
from foreword.engine import Backbone
from foreword.infer.predict import predict
from foreword.metrics import metric as metric_of
from foreword.metrics.own import in_file
from foreword.metrics.scores import scorable
from foreword.registry import Registry, StoredPrompt, Version
from foreword.results.stats import Difference, difference, samples, units_needed
from foreword.serve.shelf import Served, Shelf, demonstrated
from foreword.serve.views import Views
from foreword.study.remembered import trained_on
from foreword.util import phrases
from foreword.util.errors import ForewordError
from foreword.util.progress import Progress, silent


@dataclass(frozen=True)
class Decision:
    """What the gate decided. margin: points by which the new version may be worse. alpha: the probability at most of letting one through
    that is worse by the margin. difference: new less production, with the ends of its interval at the level 1 - 2 alpha; promoted where
    `low` lies above -margin. clusters: how many the examples come in, over which the interval is; 0 where each stands alone. more:
    examples, or clusters of them, that would decide between equal versions four times in five, 0 where these do. test: the sha256 of the
    file. trained_on: examples whose question one of the versions was trained on, as far as they keep that."""

    name: str
    alias: str
    candidate: int
    candidate_digest: str
    production: int
    production_digest: str
    metric: str
    examples: int
    candidate_score: float
    production_score: float
    difference: float
    low: float
    high: float
    margin: float
    alpha: float
    promoted: bool
    more: int
    test: str
    time: str
    dry_run: bool = False
    clusters: int = 0
    trained_on: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the store's history keeps them."""
        return asdict(self)

    def sentence(self) -> str:
        """For people."""
        examples = f"{self.examples} examples" + (
            f" in {phrases.plural(self.clusters, 'cluster')}" if self.clusters else ""
        )
        scores = (
            f"{self.name}@{self.candidate} has {self.candidate_score:.1f} {self.metric} and {self.name}@{self.production} "
            f"{self.production_score:.1f} over {examples}: a difference of {self.difference:.1f} ({self.low:.1f} to "
            f"{self.high:.1f}, {1 - 2 * self.alpha:.0%} interval)"
        )
        if self.trained_on:
            scores += f"; one of them was trained on {self.trained_on:,} of these, so that others would tell more"
        if self.promoted:
            done = "would move" if self.dry_run else "points to it now"
            return f"{scores}. It is not worse by {self.margin:g} or more: {self.name}@{self.alias} {done}."
        if self.high < -self.margin:
            return f"{scores}. It is worse by more than {self.margin:g}: {self.name}@{self.alias} stays."
        units = "clusters of examples" if self.clusters else "examples"
        needed = f" {self.more:,} more {units} would decide between equal versions." if self.more else ""
        return f"{scores}. It is not shown to be within {self.margin:g}: {self.name}@{self.alias} stays.{needed}"


@dataclass(frozen=True)
class Gate:
    """What is asked. alias: that is to move. metric: by which is decided, production's own where empty. longest: tokens of an answer, else
    what each version says. cluster_column: of what test examples share; empty where each stands alone. columns: of the test file, by the
    names of `Columns`; what is not given is as the version's own data had it, of a version that does not say the other's."""

    store: Path
    candidate: str
    test: Path
    alias: str = "production"
    metric: str = ""
    margin: float = 1.0
    alpha: float = 0.025
    longest: int | None = None
    batch_size: int = 32
    dry_run: bool = False
    cluster_column: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.margin > 0.0 or not 0.0 < self.alpha < 0.5:
            raise ForewordError(
                f"The margin is {self.margin:g} and alpha {self.alpha:g}; give a margin above 0 and an alpha between 0 and 0.5."
            )
        if self.longest is not None and self.longest < 1:
            raise ForewordError(f"An answer may have {self.longest} tokens; give --max-new-tokens 1 or more.")


def sides(gate: Gate) -> tuple[str, tuple[Version, StoredPrompt], tuple[Version, StoredPrompt]]:
    """The name, the new version and the one that the alias points to. Raises ForewordError where they are one, or there is no alias."""
    registry = Registry(gate.store)
    index, candidate = registry.resolve(gate.candidate)
    if gate.alias not in index.aliases:
        raise ForewordError(
            f"{index.name} has no alias '{gate.alias}' yet, so that there is nothing to compare {gate.candidate} with; set it with "
            f"`foreword registry tag {index.name}@{candidate.number} {gate.alias}`."
        )
    _, production = registry.resolve(f"{index.name}@{gate.alias}")
    if candidate.digest == production.digest:
        raise ForewordError(
            f"{index.name}@{gate.alias} points to {index.name}@{candidate.number} already; name another version."
        )
    both = (candidate, registry.load(index.name, candidate)), (production, registry.load(index.name, production))
    return index.name, *both


def decide(gate: Gate, backbone: Backbone, *, progress: Progress = silent) -> Decision:
    """Answer the test file by both versions, compare, and move the alias where the new one passes; the decision stands in the store's
    history but for a dry run. Raises ForewordError."""
    name, (candidate, new), (production, old) = sides(gate)
    measure = metric_of(gate.metric or _usual_metric(name, production, old, new))
    rows = read_rows(gate.test, as_written=True)
    shelf = Shelf(Views(backbone), None, base=backbone.name)
    served = [shelf.served(name, stored, version) for version, stored in ((candidate, new), (production, old))]
    columns = [stored.provenance.columns for stored in (new, old)]
    examples_by_version = [
        _examples(rows, each, gate, own or other)
        for each, own, other in zip(served, columns, reversed(columns), strict=True)
    ]
    clusters = _clusters(gate, examples_by_version)
    for test_examples in examples_by_version:
        scorable([measure.name], [example.targets for example in test_examples])
    numbers = [
        measure.numbers(
            _answers(shelf, each, test_examples, gate, progress), [example.targets for example in test_examples]
        )[None]
        for each, test_examples in zip(served, examples_by_version, strict=True)
    ]
    first, second = samples(numbers, measure.from_sums, [True, True], clusters, widest=measure.width)
    gap = difference(first, second, span=measure.width if measure.width < float("inf") else 100.0)
    low, high = gap.interval(1.0 - 2.0 * gate.alpha)
    decision = Decision(
        name=name,
        alias=gate.alias,
        candidate=candidate.number,
        candidate_digest=candidate.digest,
        production=production.number,
        production_digest=production.digest,
        metric=measure.name,
        examples=len(clusters),
        candidate_score=first.score,
        production_score=second.score,
        difference=gap.observed,
        low=low,
        high=high,
        margin=gate.margin,
        alpha=gate.alpha,
        promoted=low > -gate.margin,
        more=_more(gap, gate),
        test=hashlib.sha256(gate.test.read_bytes()).hexdigest(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        dry_run=gate.dry_run,
        clusters=gap.units if gap.clustered else 0,
        trained_on=sum(map(any, zip(*map(trained_on, (new.prompt, old.prompt), examples_by_version), strict=True))),
    )
    if not gate.dry_run:
        registry = Registry(gate.store)
        registry.decide(
            name, gate.alias, production.digest, decision.as_dict(), candidate if decision.promoted else None
        )
    return decision


def _usual_metric(name: str, production: Version, old: StoredPrompt, new: StoredPrompt) -> str:
    """By which is decided where the gate names none. Raises ForewordError where production was scored by code in a file."""
    if code := next(filter(in_file, old.provenance.scores), None):
        raise ForewordError(
            f"{name}@{production.number} was scored by {code}, code in a file, which runs only where you name it; give --metric {code}, or "
            "another."
        )
    return next(iter((*old.metrics, *new.metrics)), "exact_match")


def _more(gap: Difference, gate: Gate) -> int:
    return units_needed(gap, gate.margin, level=1.0 - 2.0 * gate.alpha) or 0


def _examples(rows: Rows, served: Served, gate: Gate, known: Mapping[str, Any]) -> list[Example]:
    """The test file as a version words it, rows that ask one question as one example. known: its columns, where the gate says none."""
    stored, template = served.stored, served.template
    assert stored is not None and template is not None
    columns = Columns(**{**known, **gate.columns}, cluster=gate.cluster_column or None)
    return merged(
        examples(
            rows,
            columns,
            choices=() if columns.choices else stored.choices,
            empty_answers=template.empty_answers,
            origin=str(gate.test),
            fields_needed=template.names(),
        )
    )


def _clusters(gate: Gate, examples_by_version: Sequence[Sequence[Example]]) -> list[str]:
    """The cluster of each example: what its column names, else its question, which those with choices may share. Raises ForewordError
    where the two versions ask different questions of the same rows, so that answers cannot be paired."""
    firsts: list[list[tuple[str, str]]] = []
    for test_examples in examples_by_version:
        first: dict[str, str] = {}
        firsts.append([(example.id, first.setdefault(example.question, example.id)) for example in test_examples])
    if firsts[0] != firsts[1]:
        new, old = (len({question for _, question in own}) for own in firsts)
        raise ForewordError(
            f"The new version makes {len(firsts[0]):,} examples with {new:,} questions of {gate.test} and the one in production "
            f"{len(firsts[1]):,} with {old:,}, so that their answers cannot be paired; give a test file in which no two rows ask the same "
            "by either."
        )
    return [
        example.cluster or question for example, (_, question) in zip(examples_by_version[0], firsts[0], strict=True)
    ]


def _answers(
    shelf: Shelf, served: Served, test_examples: Sequence[Example], gate: Gate, progress: Progress
) -> tuple[str, ...]:
    """What a version answers, laid out as for a request."""
    stored, template = served.stored, served.template
    assert stored is not None and template is not None
    longest = gate.longest or stored.max_new_tokens or ANSWER_TOKENS
    laid = [demonstrated(served, example, longest).lay(example) for example in test_examples]
    model = shelf.views.model(served.chat)
    return predict(
        model,
        template,
        served.prefix,
        laid,
        longest=longest,
        batch_size=gate.batch_size,
        choice_score=stored.choice_score,
        name=f"{served.id}: answering",
        progress=progress,
    ).outputs
