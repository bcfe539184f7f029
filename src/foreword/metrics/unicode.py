"""ROUGE-L and token F1 over the words of every script, under names of their own: the official ones see Latin letters only.

The words are those of `foreword.util.folding.pieces`: runs of letters, digits and marks in NFKC and without case; where a script leaves no
blank between words, each character with its marks.
"""

from __future__ import annotations

import functools

from foreword.metrics.base import mean_metric
from foreword.metrics.squad import f1
from foreword.metrics.subsequence import common_subsequence
from foreword.util.folding import pieces


@functools.lru_cache(maxsize=2**16)
def words(text: str) -> tuple[str, ...]:
    """The words of a text; of a text without any (signs alone), its characters, so that equal texts are equal."""
    return tuple(pieces(text)) or tuple(text.split())


def _rouge_l(output: str, reference: str) -> float:
    ours, theirs = words(output), words(reference)
    length = common_subsequence(theirs, ours)
    if not length:
        return float(ours == theirs)
    precision, recall = length / len(ours), length / len(theirs)
    return 2 * precision * recall / (precision + recall)


def _token_f1(output: str, reference: str) -> float:
    ours, theirs = words(output), words(reference)
    return f1(output, reference, words) if ours or theirs else 1.0


METRICS = (
    mean_metric(
        "rouge_l_unicode",
        of=_rouge_l,
        source="Lin 2004: F-measure of the longest common subsequence of words of every script, best reference, mean.",
        signature=lambda: "rouge_l_unicode|f|stem:no|case:folded|norm:NFKC|words:unicode|refs:best",
    ),
    mean_metric(
        "token_f1_unicode",
        of=_token_f1,
        source="F1 over the multisets of words of every script, no article taken out, best reference, mean.",
        signature=lambda: "token_f1_unicode|case:folded|norm:NFKC|words:unicode|refs:best",
    ),
)
