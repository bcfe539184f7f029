"""MultiRC's exact match over questions, as in T5: all answers to a question must be right.

The first example of a question carries its verdict, so that sums over all examples are right; a sum over some of them
counts the questions whose first answer is among them. The second number of a row says which rows those are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs


def _statistics(
    outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
) -> Numbers:
    """[N, 2]: whether all answers of the question are right, on its first example; and 1 there."""
    rows = np.zeros((len(outputs), 2))
    first: dict[Any, int] = {}
    for place, ((output, accepted), known) in enumerate(zip(pairs(outputs, references), facts, strict=True)):
        question = first.setdefault(known["group"], place)
        if question == place:
            rows[place] = 1.0
        if output != accepted[0]:
            rows[question, 0] = 0.0
    return rows


def _share(sums: Numbers) -> Numbers:
    return 100.0 * divide(sums[..., 0], sums[..., 1])


METRICS = (
    Metric(
        name="multirc_em",
        best=100.0,
        source="T5 (Raffel et al. 2020), mean_group_metric(all_match) on MultiRC: questions with every answer right.",
        statistics=_statistics,
        from_sums=_share,
        signature=lambda: "multirc_em|group:question|case:mixed",
        labels=("False", "True"),
        needs=("group",),
    ),
)
