"""BLEU and NIST as mteval-v13a.pl and its Python port in the E2E scripts compute them, kept apart where the two differ.

The two read the same tokens and part in details. Perl lower-cases ASCII letters only, smooths missing n-grams and skips
empty references; its NIST compares the outputs' length with the mean over all references of the set. Python
lower-cases every letter, counts an empty text as one token, puts 1e-15 for missing n-grams, and stops with
ZeroDivisionError on a set whose outputs come to no n-gram of some order up to 5; its NIST takes the mean over each
example's references, then adds up.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs
from foreword.metrics.multibleu import Words, closest, grams, hits

BLEU_ORDER = 4
NIST_ORDER = 5
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SYMBOL = re.compile(r"([{-~[-` -&(-+:-@/])")
_STOP_AFTER = re.compile(r"([^0-9])([.,])")
_STOP_BEFORE = re.compile(r"([.,])([^0-9])")
_DASH = re.compile(r"([0-9])(-)")
_CAPITALS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_TINY, _SMALL = 1e-15, 1e-9
# A text of two thirds of the references' length has its NIST halved.
_BETA = -math.log(0.5) / math.log(1.5) ** 2


@functools.lru_cache(maxsize=2**16)
def tokens(text: str) -> Words:
    """The tokens of mteval-v13a, case kept: symbols apart, stops and commas apart unless between digits."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, meant in _ENTITIES:
        text = text.replace(entity, meant)
    text = _SYMBOL.sub(r" \1 ", f" {text} ")
    text = _STOP_BEFORE.sub(r" \1 \2", _STOP_AFTER.sub(r"\1 \2 ", text))
    return tuple(_DASH.sub(r"\1 \2 ", text).split())


def perl_words(text: str) -> Words:
    """The tokens with ASCII letters lower-cased; white space is squeezed first, so no line end joins words."""
    return tokens(" ".join(text.split()).translate(_CAPITALS))


def python_words(text: str) -> Words:
    """The tokens lower-cased; a text without any is one empty token."""
    return tuple(token.lower() for token in tokens(text)) or ("",)


@dataclass(frozen=True)
class Segment:
    """One output and its references, counted. nearest: the closest reference length; hits: clipped n-grams that match."""

    length: int
    nearest: int
    lengths: tuple[int, ...]
    hits: Mapping[Words, int]
    references: Counter[Words]

    def matched(self, order: int) -> list[int]:
        """How many n-grams match, for each order up to the given."""
        matches = [0] * order
        for gram, count in self.hits.items():
            if len(gram) <= order:
                matches[len(gram) - 1] += count
        return matches


def segment(output: str, references: Sequence[str], words: Callable[[str], Words]) -> Segment:
    """words: perl_words, for which an empty reference has no length, or python_words."""
    mine, theirs = words(output), [words(reference) for reference in references]
    lengths = [len(reference) for reference in theirs]
    known = [grams(counts, NIST_ORDER) for counts in theirs]
    ours = grams(mine, NIST_ORDER)
    most = {gram: max(counts[gram] for counts in known) for gram in ours}
    every: Counter[Words] = Counter()
    for counts in known:
        every.update(counts)
    clipped = {gram: min(count, most[gram]) for gram, count in ours.items() if most[gram]}
    nearest = closest(len(mine), [length for length in lengths if length] or [0])
    return Segment(len(mine), nearest, tuple(lengths), clipped, every)


def perl_bleu(segments: Sequence[Segment]) -> float:
    """BLEU of a set, 0..1, not rounded."""
    return float(_score(np.array([_row(segment) for segment in segments]).sum(axis=0))) / 100 if segments else 0.0


def perl_nist(segments: Sequence[Segment]) -> float:
    """NIST of a set, not rounded; 0 where there is no reference word."""
    return float(_nist(_nist_rows(segments).sum(axis=0)))


def python_bleu(segments: Sequence[Segment], smoothing: float = 0.0) -> float:
    """BLEU of a set, 0..1. smoothing: added to hits and totals of every order; 1 for sentences."""
    matches = np.array([segment.matched(BLEU_ORDER) for segment in segments]).sum(axis=0)
    logs = 0.0
    for n in range(BLEU_ORDER):
        total = sum(segment.length - n for segment in segments)
        logs += math.log(max(matches[n] + smoothing, _TINY) / max(total + smoothing, _SMALL))
    ours, theirs = sum(segment.length for segment in segments), sum(segment.nearest for segment in segments)
    brevity = math.exp(1.0 - theirs / (ours or 1e-5)) if ours <= theirs else 1.0
    return brevity * math.exp(logs / BLEU_ORDER)


def python_nist(segments: Sequence[Segment]) -> float:
    """NIST of a set. Raises ZeroDivisionError where the outputs come to no n-gram of an order up to 5."""
    weights = _information(segments, sum(sum(segment.lengths) for segment in segments), zero_is_no_prefix=False)
    totals = [sum(segment.length - n for segment in segments) for n in range(NIST_ORDER)]
    information = sum(sum(values[n] for values in weights) / total for n, total in enumerate(totals))
    mean = sum(sum(segment.lengths) / len(segment.lengths) for segment in segments)
    return information * _penalty(totals[0] / mean)


def _information(segments: Sequence[Segment], words: int, *, zero_is_no_prefix: bool) -> list[list[float]]:
    """For each segment and order, the information of the n-grams that match, in bits.

    It is how much rarer than its prefix an n-gram is among all references; a single word's prefix is any word. In Perl
    the prefix "0" is false, so an n-gram after it counts as if it stood alone.
    """
    every: Counter[Words] = Counter()
    for segment in segments:
        every.update(segment.references)
    rows = []
    for segment in segments:
        row = [0.0] * NIST_ORDER
        for gram, count in segment.hits.items():
            prefix = gram[:-1]
            whole = words if not prefix or (zero_is_no_prefix and prefix == ("0",)) else every[prefix]
            row[len(gram) - 1] += count * math.log2(whole / every[gram])
        rows.append(row)
    return rows


def _penalty(ratio: float) -> float:
    if ratio >= 1:
        return 1.0
    return math.exp(-_BETA * math.log(ratio) ** 2) if ratio > 0 else 0.0


def _row(segment: Segment) -> list[int]:
    totals = [max(0, segment.length - n) for n in range(BLEU_ORDER)]
    return [segment.length, segment.nearest, *segment.matched(BLEU_ORDER), *totals]


def _statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    """[N, 10]: output and closest reference length, n-gram hits, n-grams of the output."""
    rows = []
    for output, accepted in pairs(outputs, references):
        mine, theirs = perl_words(output), [perl_words(reference) for reference in accepted]
        matches = hits(grams(mine), [grams(reference) for reference in theirs])
        nearest = closest(len(mine), [len(reference) for reference in theirs if reference] or [0])
        rows.append([len(mine), nearest, *matches, *(max(0, len(mine) - n) for n in range(BLEU_ORDER))])
    return np.array(rows, dtype=np.float64).reshape(-1, 2 + 2 * BLEU_ORDER)


def _score(sums: Numbers) -> Numbers:
    """[..., 10] -> [...]: each order without a hit counts as half the hit of the one before; none counts as 1."""
    sums = np.asarray(sums, dtype=np.float64)
    ours, theirs = sums[..., 0], sums[..., 1]
    logs, halvings = np.zeros((2, *ours.shape))
    for n in range(BLEU_ORDER):
        matches, total = sums[..., 2 + n], sums[..., 2 + BLEU_ORDER + n]
        missed = (matches == 0) & (total > 0)
        halvings = halvings + missed
        share = divide(np.where(missed, 0.5**halvings, matches), total)
        logs = logs + np.log(np.where(total > 0, share, 1.0))
    brevity = np.exp(np.minimum(0.0, 1.0 - divide(theirs, ours)))
    return np.asarray(100.0 * np.where(ours > 0, brevity * np.exp(logs / BLEU_ORDER), 0.0))


def _nist_statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    return _nist_rows([segment(output, accepted, perl_words) for output, accepted in pairs(outputs, references)])


def _nist_rows(segments: Sequence[Segment]) -> Numbers:
    """[N, 14]: information and n-grams of each order, output length, reference words, references with a word, and 1."""
    words = sum(sum(segment.lengths) for segment in segments)
    rows = [
        [
            *information,
            *(max(0, segment.length - n) for n in range(NIST_ORDER)),
            segment.length,
            sum(segment.lengths),
            sum(map(bool, segment.lengths)),
            1,
        ]
        for segment, information in zip(segments, _information(segments, words, zero_is_no_prefix=True), strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 * NIST_ORDER + 4)


def _nist(sums: Numbers) -> Numbers:
    """[..., 14] -> [...]: information an n-gram over all orders, less where the outputs are shorter than a mean reference."""
    sums = np.asarray(sums, dtype=np.float64)
    information, totals = sums[..., :NIST_ORDER], sums[..., NIST_ORDER : 2 * NIST_ORDER]
    length, words, known, count = (sums[..., 2 * NIST_ORDER + k] for k in range(4))
    ratio = divide(length, divide(words, known) * count)
    penalty = np.exp(-_BETA * np.log(np.where(ratio > 0, np.minimum(ratio, 1.0), 1.0)) ** 2)
    return np.asarray(np.where(ratio > 0, (information / np.maximum(totals, 1.0)).sum(axis=-1) * penalty, 0.0))


METRICS = (
    Metric(
        name="nist_mteval",
        best=math.inf,
        source="Doddington 2002, as mteval-v13a.pl (case-insensitive, orders 1 to 5) before it rounds; its own scale.",
        statistics=_nist_statistics,
        from_sums=_nist,
        signature=lambda: "nist_mteval|case:ascii-lc|tok:13a|order:5|information:references-of-the-set",
        of_set=True,
    ),
    Metric(
        name="bleu_mteval",
        best=100.0,
        source="Papineni et al. 2002, as mteval-v13a.pl (case-insensitive, smoothed, closest length) before it rounds.",
        statistics=_statistics,
        from_sums=_score,
        signature=lambda: "bleu_mteval|case:ascii-lc|tok:13a|smooth:exp|brevity:closest|refs:empty-skipped",
    ),
)
