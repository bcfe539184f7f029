"""ROUGE-L as rouge-score computes it: F-measure, best reference, ASCII letters and digits only.

rouge-score's tokens are runs of a-z and 0-9 after lower-casing: a text in another script has none and scores 0.
"""

from __future__ import annotations

import functools
from importlib.metadata import version

from rouge_score.tokenize import tokenize

from foreword.metrics.base import mean_metric
from foreword.metrics.subsequence import common_subsequence


@functools.lru_cache(maxsize=2**16)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(tokenize(text, None))


def _f_measure(output: str, reference: str) -> float:
    ours, theirs = _tokens(output), _tokens(reference)
    length = common_subsequence(theirs, ours)
    if not length:
        return 0.0
    precision, recall = length / len(ours), length / len(theirs)
    return 2 * precision * recall / (precision + recall)


METRICS = (
    mean_metric(
        "rouge_l",
        of=_f_measure,
        source="Lin 2004, as rouge-score's rougeL without stemming: F-measure, best reference, mean.",
        signature=lambda: f"rougeL|f|stem:no|refs:best|rouge-score:{version('rouge-score')}",
    ),
)
