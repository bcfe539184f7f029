"""squad_em and token_f1 with the normalisation of SQuAD's v1.1 script.

That is (Rajpurkar et al. 2016): lower-case, delete ASCII punctuation, delete the words a, an, the, squeeze
white space. So hyphens join words, other punctuation stays, and where both sides come to nothing EM is 1, F1 0.
"""

from __future__ import annotations

import functools
import re
import string
from collections import Counter
from collections.abc import Callable

from foreword.metrics.base import mean_metric

Words = Callable[[str], tuple[str, ...]]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TRIVIA = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


@functools.lru_cache(maxsize=2**16)
def normalised(text: str) -> tuple[str, ...]:
    """The words of a text after SQuAD v1.1 normalisation."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


@functools.lru_cache(maxsize=2**16)
def trivia(text: str) -> tuple[str, ...]:
    """The words of a text as T5 normalises TriviaQA: punctuation and single quotation marks part words."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_TRIVIA)).split())


def same(output: str, reference: str, words: Words = normalised) -> float:
    """1 where both texts have the same words in the same order, else 0."""
    return float(words(output) == words(reference))


def f1(output: str, reference: str, words: Words = normalised) -> float:
    """F1 over the multisets of words, 0..1; 0 where they share none, even where both have none."""
    ours, theirs = words(output), words(reference)
    shared = (Counter(ours) & Counter(theirs)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(ours), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


_SOURCE = "SQuAD v1.1 evaluation script (Rajpurkar et al. 2016), best reference; MRQA's and T5's agree with it."

METRICS = (
    mean_metric("squad_em", of=same, source=_SOURCE, signature=lambda: "squad_em|squad:v1.1|refs:any"),
    mean_metric("token_f1", of=f1, source=_SOURCE, signature=lambda: "token_f1|squad:v1.1|refs:best"),
)
