"""Which test examples go together (a passage, a table, a data base), by what records say of them, and how that is told; it refuses records
that say two things of one example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from foreword.data.examples import Example, shared_kind
from foreword.results.record import Record
from foreword.util import phrases
from foreword.util.errors import ForewordError

HANDFUL = 5  # fewer clusters say too little of how far clusters lie apart


@dataclass(frozen=True)
class Clusters:
    """How examples come in clusters. count: of clusters, an example that stands alone counted as one. examples: in all. kind: what those
    of one cluster share; empty where that differs."""

    count: int
    examples: int
    kind: str

    def __str__(self) -> str:
        """`20 clusters (by data base)`."""
        return phrases.plural(self.count, "cluster") + (f" (by {self.kind})" if self.kind else "")

    def sentence(self) -> str:
        """What a reader of intervals must know."""
        examples = phrases.plural(self.examples, "test example")
        if self.count == 1:
            shared = f"one {self.kind}" if self.kind else "one cluster"
            return (
                f"All {examples} are of {shared}, which says nothing of others: no interval over examples can be had, no difference can be "
                "shown, and scores hold for it alone."
            )
        start = (
            f"Intervals and tests are over {self} with {examples}, since examples of one cluster are not independent"
        )
        if self.count < HANDFUL:
            return f"{start}; so few clusters say little of others, and intervals are wide and rough."
        return f"{start}."


def clusters_of(records: Sequence[Record], ids: Sequence[str] | None = None) -> tuple[str, ...]:
    """The cluster of each of these examples (those of the first record, in its order, where None), where any of the records names it, else
    "". Raises ForewordError where two records name different ones."""
    ids = [answer.id for answer in records[0].answers] if ids is None else ids
    name_of: dict[str, str] = {}
    for record in records:
        for answer in record.answers:
            if answer.cluster and name_of.setdefault(answer.id, answer.cluster) != answer.cluster:
                raise ForewordError(
                    f"The example '{answer.id}' is of the cluster '{name_of[answer.id]}' in one record and of '{answer.cluster}' in the "
                    f"record of '{record.label}' ({record.key}); run both with the same --cluster-column, or delete the older "
                    "one to run its trial again."
                )
    return tuple(name_of.get(id_, "") for id_ in ids)


def described(names: Sequence[str]) -> Clusters | None:
    """The clusters of examples that have these names; None where no two share one."""
    shared = [name for name in names if name]
    count = len(names) - len(shared) + len(set(shared))
    return None if count == len(names) else Clusters(count, len(names), shared_kind(shared))


def as_in(record: Record, examples: Iterable[Example]) -> Record:
    """The record with its examples in the clusters that they are of today: no key and no digest of a task holds them, so that a record may
    be older than what its task says of them."""
    return named_anew(record, renamed_in(record, examples))


def renamed_in(record: Record, examples: Iterable[Example]) -> dict[str, str]:
    """The cluster of today of each of these examples for which the record has another name, or none."""
    name_of = {example.id: example.cluster for example in examples}
    return {
        answer.id: name_of[answer.id]
        for answer in record.answers
        if answer.cluster != name_of.get(answer.id, answer.cluster)
    }


def named_anew(record: Record, name_of: Mapping[str, str]) -> Record:
    """The record with some of its examples in other clusters."""
    return _named(record, {**{answer.id: answer.cluster for answer in record.answers}, **name_of})


def shared_out(records: Sequence[Record]) -> list[Record]:
    """The records, each with what any of those of the same task says of its examples: some may be older than that it is said."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_task(record), []).append(record)
    name_of: dict[str, dict[str, str]] = {}
    for task, group in groups.items():
        ids = list(dict.fromkeys(answer.id for record in group for answer in record.answers))
        name_of[task] = dict(zip(ids, clusters_of(group, ids), strict=True))
    return [_named(record, name_of[_task(record)]) for record in records]


def _task(record: Record) -> str:
    return record.fingerprints.get("task", record.task)


def _named(record: Record, name_of: Mapping[str, str]) -> Record:
    if all(answer.cluster == name_of[answer.id] for answer in record.answers):
        return record
    return replace(record, answers=tuple(replace(answer, cluster=name_of[answer.id]) for answer in record.answers))
