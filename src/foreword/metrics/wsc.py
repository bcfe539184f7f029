"""WSC as T5 scores it: whether a free answer names the referent, once determiners are dropped.

Source: T5 (Raffel et al. 2020), the post-processor wsc_simple at e081111, with its determiners.
"""

from __future__ import annotations

from foreword.metrics.base import fact_metric

DETERMINERS = frozenset(
    (
        "a", "an", "few", "her", "his", "each", "every", "many", "much", "my", "our", "some", "that", "the", "their",
        "these", "this", "those", "which", "whose", "your",
    )
)  # fmt: skip


def _words(text: str) -> list[str]:
    # Split at single blanks: a double blank leaves an empty word, which takes part in the comparison.
    return [word for word in text.strip().lower().split(" ") if word not in DETERMINERS]


def predicted_label(referent: str, answer: str) -> int:
    """1 where the answer names the referent, 0 where it does not, -1 where it is empty without its determiners."""
    named, referent_words = " ".join(_words(answer)), " ".join(_words(referent))
    if not named:
        return -1
    if ("'" in named) != ("'" in referent_words):
        return 0
    ours, theirs = set(named.split(" ")), set(referent_words.split(" "))
    return int(ours <= theirs or theirs <= ours)


METRICS = (
    fact_metric(
        "wsc",
        needs=("label",),
        of=lambda output, reference, facts: float(predicted_label(reference, output) == facts["label"]),
        source="Accuracy of T5's wsc_simple (Raffel et al. 2020): is the referent named, against whether it is the one.",
        signature=lambda: "wsc|t5:wsc_simple|empty:wrong",
    ),
)
