"""BLEU as Moses' multi-bleu.perl computes it, on words between white space, without smoothing.

An empty reference counts, as one of length 0: an output shorter than half of every other reference then has no length
to fall short of. Only ASCII white space parts words, and lower-casing is of ASCII letters. Where all references have
length 0, or all outputs, the score is 0.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs
from foreword.util.errors import MissingExtraError

ORDER = 4
COLUMNS = 3  # references that the scripts of DART and WebNLG read of each example
WIDTH = 2 + 2 * ORDER
_CAPITALS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_OTHER = re.compile(r"(\W)")
_WORD = re.compile(r"[^ \t\n\r\f\v]+")
_ASCII = "WebNLG's preparation of letters beyond ASCII"
Words = tuple[str, ...]


def words(text: str, *, lowercase: bool = False) -> Words:
    """What stands between ASCII white space."""
    return tuple(_WORD.findall(text.translate(_CAPITALS) if lowercase else text))


def grams(of: Words, order: int = ORDER) -> Counter[Words]:
    """The n-grams of orders 1 to `order`, counted."""
    return Counter(of[i : i + n] for n in range(1, order + 1) for i in range(len(of) - n + 1))


def hits(ours: Counter[Words], theirs: Sequence[Counter[Words]], order: int = ORDER) -> list[int]:
    """For each order, how many n-grams of the output stand in a reference, none more often than in one of them."""
    matches = [0] * order
    for gram, count in ours.items():
        most = max([counts[gram] for counts in theirs], default=0)
        matches[len(gram) - 1] += min(count, most)
    return matches


def closest(length: int, lengths: Sequence[int]) -> int:
    """The reference length nearest to the output's; of two as near, the shorter."""
    return min(lengths, key=lambda candidate: (abs(candidate - length), candidate))


def row(output: Words, references: Sequence[Words]) -> list[int]:
    """Output length, closest reference length, hits of each order, n-grams of each order."""
    theirs = [grams(reference) for reference in references]
    totals = [max(0, len(output) - n) for n in range(ORDER)]
    nearest = closest(len(output), [len(reference) for reference in references])
    return [len(output), nearest, *hits(grams(output), theirs), *totals]


def _statistics(outputs: Sequence[str], references: Sequence[Sequence[str]], *, lowercase: bool) -> Numbers:
    """[N, 10]: what `row` says of each example."""
    rows = [
        row(words(output, lowercase=lowercase), [words(reference, lowercase=lowercase) for reference in accepted])
        for output, accepted in pairs(outputs, references)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, WIDTH)


def precisions(sums: Numbers) -> Numbers:
    """[..., 10] -> [..., 4]: the share of n-grams that hit, 0..1; 0 where the output has none of that order."""
    return divide(sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :])


def brevity(sums: Numbers) -> Numbers:
    """[..., 10] -> [...]: the penalty for outputs shorter than their closest references; 0 where either has no word."""
    ours, theirs = sums[..., 0], sums[..., 1]
    penalty = np.exp(np.minimum(0.0, 1.0 - divide(theirs, ours)))
    return np.asarray(np.where((ours > 0) & (theirs > 0), penalty, 0.0))


def _score(sums: Numbers) -> Numbers:
    """[..., 10] -> [...]: the geometric mean of the precisions times the penalty; 0 when a precision is."""
    shares = precisions(sums)
    usable = (shares > 0).all(axis=-1)
    logs = np.log(np.where(shares > 0, shares, 1.0)).mean(axis=-1)
    return np.asarray(100.0 * np.where(usable, brevity(sums) * np.exp(logs), 0.0))


def padded(references: Sequence[str], columns: int = COLUMNS) -> list[str]:
    """The references with an empty text in the place of each missing one."""
    return [*references, *[""] * (columns - len(references))]


def webnlg_absence() -> str:
    """Why texts cannot be prepared as WebNLG's script does; empty where they can."""
    return "" if importlib.util.find_spec("unidecode") else str(MissingExtraError(_ASCII, "webnlg"))


def webnlg_text(text: str) -> str:
    """A text as WebNLG's script compares it: in ASCII (Unidecode), lower-cased, split at every non-word character.

    Raises MissingExtraError where a letter beyond ASCII needs Unidecode and that is absent.
    """
    if not text.isascii():
        try:
            from unidecode import unidecode
        except ModuleNotFoundError as error:
            raise MissingExtraError(_ASCII, "webnlg") from error
        text = unidecode(text)
    return " ".join(" ".join(_OTHER.split(text.lower())).split())


def dart_text(text: str) -> str:
    """A text in the form of DART's reference files: split at every non-word character, then lower-cased."""
    return " ".join(" ".join(_OTHER.split(text)).lower().split())


def _prepared(
    prepare: Callable[[str], str], outputs: Sequence[str], references: Sequence[Sequence[str]], *, lowercase: bool
) -> Numbers:
    rows = list(pairs(outputs, references))
    accepted = [padded([prepare(text) for text in texts[:COLUMNS]]) for _, texts in rows]
    return _statistics([prepare(output) for output, _ in rows], accepted, lowercase=lowercase)


_SOURCE = "Papineni et al. 2002, as Moses' multi-bleu.perl before it rounds"


def _metric(name: str, of: Callable[..., Numbers], how: str, source: str = "") -> Metric:
    return Metric(
        name=name,
        best=100.0,
        source=f"{_SOURCE}{source}.",
        statistics=of,
        from_sums=_score,
        signature=lambda: f"{name}|{how}|smooth:none|refs:empty-counts",
    )


_DART = functools.partial(_prepared, dart_text, lowercase=False)
_WEBNLG = functools.partial(_prepared, webnlg_text, lowercase=True)


METRICS = (
    _metric("multi_bleu", functools.partial(_statistics, lowercase=False), "case:mixed|tok:none"),
    _metric("multi_bleu_lc", functools.partial(_statistics, lowercase=True), "case:lc|tok:none"),
    _metric("dart_bleu", _DART, "case:lc|tok:non-word|refs:first-3", ", on texts as in DART's reference files"),
    replace(
        _metric(
            "webnlg_bleu", _WEBNLG, "case:lc|tok:unidecode,non-word|refs:first-3", ", as WebNLG 2017's script runs it"
        ),
        absence=webnlg_absence,
    ),
)
