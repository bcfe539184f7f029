"""PARENT: an output scored against its references and its table by n-gram overlap; a table of mixed or empty entries is refused.

From Dhingra et al. 2019 as table_text_eval scores it: n-grams of orders 1 to 4, a smoothing of 1e-5. It is no Metric
of the shelf, for it needs tables beside outputs and references. All numbers are 0..1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreword.metrics.subsequence import longest, places
from foreword.util.errors import ForewordError

ORDER = 4
SMALL = 1e-5
Words = tuple[str, ...]
_Grams = Mapping[Words, tuple[int, float]]


class TableError(ForewordError):
    """A table that PARENT cannot read. stops: what the official script raises on it."""

    def __init__(self, fault: str, todo: str, stops: str) -> None:
        super().__init__(f"PARENT found {fault}; {todo}.")
        self.stops = stops


@dataclass(frozen=True)
class Score:
    """Precision, recall and F against the reference with the best F."""

    precision: float
    recall: float
    f: float


@dataclass(frozen=True)
class Parts:
    """What the scores against one reference are made of.

    mentioned: the mean share of the table's values that the reference tells, from which lambda follows when not set.
    """

    precision: float
    recall: float
    mentioned: float


def entailing(entries: Sequence[Sequence[Words]]) -> frozenset[str]:
    """The words of a table that entail an n-gram: those of its values, or of its heads and tails.

    Raises TableError unless all entries are pairs (attribute, value) or all are triples (head, relation, tail).
    """
    sizes = sorted({len(entry) for entry in entries})
    if sizes not in ([2], [3]):
        what = "entries of " + " and ".join(map(str, sizes)) + " parts" if sizes else "no entry"
        raise TableError(
            f"{what} in one table", "write pairs (attribute, value) or triples (head, relation, tail)", "ValueError"
        )
    return frozenset(word for entry in entries for word in _value(entry))


def to_tell(entries: Sequence[Sequence[Words]]) -> tuple[Words, ...]:
    """What a text should tell of each entry: the value, or head and tail. Raises TableError where that has no word."""
    if not entries or min(map(len, entries)) < 2:
        raise TableError("a table entry of one part", "write attribute and value", "IndexError")
    values = tuple(_value(entry) for entry in entries)
    if not all(values):
        at = values.index(())
        raise TableError(f"no word in the value of {entries[at]!r}", "leave that entry out", "ZeroDivisionError")
    return values


def _value(entry: Sequence[Words]) -> Words:
    return tuple(entry[1]) if len(entry) == 2 else (*entry[0], *entry[2])


def parent(
    output: Words,
    references: Sequence[Words],
    known: frozenset[str],
    values: Sequence[Words],
    weights: Sequence[float | None] = (None,),
) -> list[Score]:
    """The scores of one output against its references, one for each weight (lambda) of the table in the recall.

    known: the words that entail (`entailing`). told: the values to tell (`to_tell`), often of a smaller table.
    A weight of None is one minus the mean share of `told` that the reference tells. Among equal F the first counts.
    """
    mine = _grams(output, known)
    table_recall = _mentioned(values, output) or SMALL
    parts = [_against(mine, _grams(reference, known), _mentioned(values, reference)) for reference in references]
    return [
        max((_combined(part, table_recall, weight) for part in parts), key=lambda score: score.f) for weight in weights
    ]


def _combined(parts: Parts, table_recall: float, weight: float | None) -> Score:
    share = 1.0 - parts.mentioned if weight is None else weight
    recall = math.exp((1.0 - share) * math.log(parts.recall) + share * math.log(table_recall))
    f = 2.0 * parts.precision * recall / (parts.precision + recall + 1e-8)
    return Score(parts.precision, recall, f)


def _grams(words: Words, known: frozenset[str]) -> list[_Grams]:
    """For each order, every n-gram with its count and the share of its words that are known."""
    before = [0]
    for word in words:
        before.append(before[-1] + (word in known))
    grams: list[_Grams] = []
    for n in range(1, ORDER + 1):
        counts = Counter(zip(*(words[k:] for k in range(n)), strict=False))
        shares = {words[i : i + n]: (before[i + n] - before[i]) / n for i in range(len(words) - n + 1)}
        grams.append({gram: (count, shares[gram]) for gram, count in counts.items()})
    return grams


def _mentioned(values: Sequence[Words], words: Words) -> float:
    """The mean over the table's values of the share of their words that the text tells in their order."""
    known = places(words)
    return sum(longest(known, len(words), value) / len(value) for value in values) / len(values)


def _against(ours: Sequence[_Grams], theirs: Sequence[_Grams], mentioned: float) -> Parts:
    """Precision: what the reference or the table entails. Recall: of what the table entails in the reference."""
    precisions, recalls = [], []
    for mine, its in zip(ours, theirs, strict=True):
        right, total = 0.0, 0
        for gram, (count, share) in mine.items():
            total += count
            shared = min(count, its[gram][0]) if gram in its else 0
            right += shared + (count - shared) * share
        matched = weight = 0.0
        for gram, (count, share) in its.items():
            weight += count * share
            if share and gram in mine:
                matched += min(count, mine[gram][0]) * share
        precisions.append(right / total if total else 0.0)
        recalls.append(matched / weight if weight else 1.0)
    return Parts(_mean(precisions), _mean(recalls) or SMALL, mentioned)


def _mean(shares: Sequence[float]) -> float:
    """The geometric mean, orders 2 to 4 smoothed where they are 0; 0 when the first is."""
    if not shares[0]:
        return 0.0
    return math.exp(sum(math.log(share or SMALL) for share in shares) / len(shares))
