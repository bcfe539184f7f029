"""exact_match and accuracy: an answer is right or wrong, and is normalised only as the metric's docstring says."""

from __future__ import annotations

from foreword.metrics.base import mean_metric


def _squeezed(output: str, reference: str) -> float:
    return float(output.split() == reference.split())


def _identical(output: str, reference: str) -> float:
    return float(output == reference)


METRICS = (
    mean_metric(
        "exact_match",
        of=_squeezed,
        source="Share of answers equal to any reference but for white space; case and punctuation count.",
        signature=lambda: "exact_match|case:mixed|space:squeezed|refs:any",
    ),
    mean_metric(
        "accuracy",
        of=_identical,
        source="Share of answers that are the label, character by character; an answer that is no label is "
        "wrong, as T5's post-processor has it (Raffel et al. 2020).",
        signature=lambda: "accuracy|case:mixed|space:kept|refs:any",
    ),
)
