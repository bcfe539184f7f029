"""Matthews, Pearson and Spearman correlation of predictions with labels; None where the correlation is not defined.

As T5 takes them from scikit-learn and scipy for CoLA and STS-B, on a scale of -100 to 100.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreword.metrics.base import Numbers


def matthews(truths: Sequence[int] | Sequence[str], predictions: Sequence[int] | Sequence[str]) -> float:
    """Matthews correlation of any number of classes (Gorodkin 2004); 0 where one side has one class only."""
    classes = sorted({*truths, *predictions})
    true = np.array([[truth == label for label in classes] for truth in truths], dtype=np.float64)
    ours = np.array([[prediction == label for label in classes] for prediction in predictions], dtype=np.float64)
    size, right = len(truths), float((true * ours).sum())
    t, p = true.sum(axis=0), ours.sum(axis=0)
    below = (size**2 - float(p @ p)) * (size**2 - float(t @ t))
    return 100.0 * (right * size - float(t @ p)) / below**0.5 if below else 0.0


def pearson(truths: Sequence[float], predictions: Sequence[float]) -> float | None:
    """Pearson correlation; None where it is not defined, as one side does not vary or is not finite."""
    return _correlation(np.array(truths, dtype=np.float64), np.array(predictions, dtype=np.float64))


def spearman(truths: Sequence[float], predictions: Sequence[float]) -> float | None:
    """Spearman correlation, ties at their mean rank; None where it is not defined."""
    if np.isnan([*truths, *predictions]).any():
        return None
    return _correlation(_ranks(truths), _ranks(predictions))


def _correlation(left: Numbers, right: Numbers) -> float | None:
    if not np.isfinite([*left, *right]).all() or (left == left[0]).all() or (right == right[0]).all():
        return None
    left, right = left - left.mean(), right - right.mean()
    left, right = left / np.linalg.norm(left), right / np.linalg.norm(right)
    return 100.0 * float(np.clip(left @ right, -1.0, 1.0))


def _ranks(values: Sequence[float]) -> Numbers:
    _, place, counts = np.unique(np.array(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place], dtype=np.float64)
