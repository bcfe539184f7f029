"""Gathers records into the rows of one table; records of different questions or examples are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from foreword.results.record import Record
from foreword.util.errors import ForewordError

Array = NDArray[np.float64]


def grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by label, each label's by seed. Raises ForewordError when they cannot stand in one table."""
    if not records:
        raise ForewordError("There is no finished trial to summarise; run the comparison first.")
    for what, name in (("task", "task"), ("backbone", "backbone"), ("deciding metric", "primary")):
        values = distinct(getattr(record, name) for record in records)
        if len(values) > 1:
            raise ForewordError(
                f"The records to summarise have more than one {what} ({', '.join(values)}); summarise each on its own."
            )
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.label, []).append(record)
    for label, group in groups.items():
        group.sort(key=lambda record: record.seed)
        seeds = [record.seed for record in group]
        twice = [seed for seed in set(seeds) if seeds.count(seed) > 1]
        if twice:
            raise ForewordError(
                f"There are two records of '{label}' with seed {min(twice)}; keep the one you want and delete the other."
            )
    return groups


def statistics_of(record: Record, ids: Sequence[str]) -> Array:
    """The record's summable numbers of the primary metric, [N, d], in the order of `ids`."""
    by_id = {answer.id: answer for answer in record.answers}
    if len(by_id) != len(record.answers):
        raise ForewordError(f"The record {named(record)} answers one example twice; delete it to run that trial again.")
    if by_id.keys() != set(ids):
        raise ForewordError(
            f"The record {named(record)} answers {len(by_id)} examples and they are not the {len(ids)} examples of the "
            "first record; compare records of the same examples."
        )
    if not ids:
        raise ForewordError(f"The record {named(record)} holds no answers; give the task at least one test example.")
    try:
        rows = [by_id[name].statistics[record.primary] for name in ids]
        return np.asarray(rows, dtype=np.float64).reshape(len(ids), -1)
    except (KeyError, ValueError) as error:
        raise ForewordError(
            f"The record {named(record)} lacks the per-example numbers of '{record.primary}'; delete it to run that trial again."
        ) from error


def subsets(record: Record) -> dict[str, list[int]]:
    """The named parts of the test examples, each with the places of its answers, in the order in which they first appear."""
    places_of: dict[str, list[int]] = {}
    for place, answer in enumerate(record.answers):
        if answer.subset:
            places_of.setdefault(answer.subset, []).append(place)
    return places_of


def distinct(values: Iterable[str]) -> list[str]:
    """Each value once, in the order of its first coming."""
    return list(dict.fromkeys(values))


def merged(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    """Every key with all its values, so that nothing that differed is hidden."""
    values: dict[str, list[str]] = {}
    for table in tables:
        for key, value in table.items():
            values.setdefault(key, []).append(value)
    return {key: "; ".join(distinct(repeated)) for key, repeated in sorted(values.items())}


def shared(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    """The keys whose value is the same wherever they stand."""
    return {key: value for key, value in merged(tables).items() if "; " not in value}


def named(record: Record) -> str:
    """A record as a sentence names it."""
    return f"'{record.label}' seed {record.seed} ({record.key})"
