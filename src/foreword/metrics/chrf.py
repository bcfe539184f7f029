"""chrF2 as sacrebleu computes it, from character n-grams, against the best reference of each example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics import CHRF

from foreword.metrics.base import Metric, Numbers, divide, pairs

ORDER = 6
BETA = 2


def _grams(text: str) -> list[Counter[str]]:
    """The character n-grams of each order, white space left out."""
    letters = "".join(text.split())
    return [Counter(letters[i : i + n] for i in range(len(letters) - n + 1)) for n in range(1, ORDER + 1)]


def _counts(output: list[Counter[str]], reference: list[Counter[str]]) -> list[int]:
    """Output, reference and shared n-grams of each order; where the reference has none, the output has none."""
    row = []
    for ours, theirs in zip(output, reference, strict=True):
        shared = sum(min(ours[gram], theirs[gram]) for gram in ours.keys() & theirs.keys())
        row += [ours.total() if theirs else 0, theirs.total(), shared]
    return row


def _statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    """[N, 18]: three counts for each order against the reference with the best chrF; among equals the first."""
    rows, sizes = [], []
    for output, accepted in pairs(outputs, references):
        grams = _grams(output)
        rows += [_counts(grams, _grams(reference)) for reference in accepted]
        sizes.append(len(accepted))
    every = np.array(rows, dtype=np.float64).reshape(-1, 3 * ORDER)
    scores = _score(every)
    ends = np.cumsum(sizes, dtype=np.int64)
    starts = ends - np.array(sizes, dtype=np.int64)
    best = [start + int(np.argmax(scores[start:end])) for start, end in zip(starts, ends, strict=True)]
    return every[np.array(best, dtype=np.int64)]


def _score(sums: Numbers) -> Numbers:
    """[..., 18] -> [...]: F2 of the mean precision and the mean recall over the orders that both sides have."""
    precision, recall, orders = np.zeros((3, *sums.shape[:-1]))
    for n in range(ORDER):
        ours, theirs, shared = (sums[..., 3 * n + k] for k in range(3))
        both = (ours > 0) & (theirs > 0)
        precision = precision + np.where(both, divide(shared, ours), 0.0)
        recall = recall + np.where(both, divide(shared, theirs), 0.0)
        orders = orders + both
    precision, recall = divide(precision, orders), divide(recall, orders)
    return 100.0 * divide((1 + BETA**2) * precision * recall, BETA**2 * precision + recall)


def _signature() -> str:
    tool = CHRF()
    tool.num_refs = -1  # sacrebleu's own mark of references that vary in number
    return str(tool.get_signature())


METRICS = (
    Metric(
        name="chrf",
        best=100.0,
        source="Popović 2015, as sacrebleu's corpus_chrf (order 1 to 6, beta 2); per example its sentence_chrf.",
        statistics=_statistics,
        from_sums=_score,
        signature=_signature,
    ),
)
