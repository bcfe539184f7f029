"""F1 over labels as T5 computes it on MRPC, QQP, CB and MultiRC; a reference that is not one of the labels is refused.

An answer that is no label, character by character, is wrong: in an F1 of one class it counts as the opposite of the
reference, in a mean of F1 over classes as no class. A class absent on both sides has an F1 of 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, pairs
from foreword.util.errors import ForewordError


def _statistics(
    labels: tuple[str, ...], scored: tuple[str, ...], outputs: Sequence[str], references: Sequence[Sequence[str]]
) -> Numbers:
    rows = []
    for output, accepted in pairs(outputs, references):
        truth = accepted[0]
        if truth not in labels:
            raise ForewordError(
                f"This metric was asked to score the reference {truth!r}, but its labels are {', '.join(labels)}; "
                "score other labels with accuracy."
            )
        flipped = output not in labels and len(scored) == 1
        row = [float(output == truth)]
        for label in scored:
            predicted, true = (truth != label) if flipped else (output == label), truth == label
            row += [predicted and true, predicted, true]
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 1 + 3 * len(scored))


def _score(sums: Numbers) -> Numbers:
    """[..., 1 + 3 L] -> [...]: the mean over the scored classes of 2 * right / (said + true)."""
    right, predicted, true = sums[..., 1::3], sums[..., 2::3], sums[..., 3::3]
    return np.asarray(100.0 * divide(2.0 * right, predicted + true).mean(axis=-1))


def _right(statistics: Numbers) -> Numbers:
    return 100.0 * statistics[..., 0]


def label_f1(name: str, labels: tuple[str, ...], positive: str = "") -> Metric:
    """F1 of the class `positive`, or the mean F1 over all labels; an example's own score is whether its answer is right.

    Statistics [N, 1 + 3 L]: whether the answer is right; for each scored class whether it is said and true, said, true.
    """
    scored = (positive,) if positive else labels
    return Metric(
        name=name,
        best=100.0,
        source="T5 (Raffel et al. 2020), f1_score_with_invalid for one class, mean_multiclass_f1 for all.",
        statistics=functools.partial(_statistics, labels, scored),
        from_sums=_score,
        signature=lambda: f"{name}|labels:{'/'.join(labels)}|scored:{'/'.join(scored)}|invalid:wrong",
        alone=_right,
        labels=labels,
    )


def macro_f1(truths: Sequence[str], outputs: Sequence[str]) -> float:
    """The mean F1 over the labels that occur among the truths, in 0 to 100: an answer that is none of them is only wrong."""
    labels = sorted(set(truths))
    place = {label: at for at, label in enumerate(labels)}
    t = np.array([place[truth] for truth in truths])
    o = np.array([place.get(output, len(labels)) for output in outputs])  # in the last place what is no label
    right, answered, true = (np.bincount(of, minlength=len(labels) + 1)[:-1] for of in (t[t == o], o, t))
    return float(100.0 * divide(2.0 * right, answered + true).mean())


METRICS = (
    label_f1("mrpc_f1", ("not_equivalent", "equivalent"), positive="equivalent"),
    label_f1("qqp_f1", ("not_duplicate", "duplicate"), positive="duplicate"),
    label_f1("multirc_f1", ("False", "True"), positive="True"),
    label_f1("cb_f1", ("entailment", "contradiction", "neutral")),
)
