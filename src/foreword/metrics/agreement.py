"""Matthews correlation of answers with the truth, as T5 takes it from scikit-learn for CoLA, on a scale of -100 to 100."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matthews(truths: Sequence[int] | Sequence[str], predictions: Sequence[int] | Sequence[str]) -> float:
    """Matthews correlation of any number of classes (Gorodkin 2004); 0 where one side has one class only."""
    classes = sorted({*truths, *predictions})
    true = np.array([[truth == label for label in classes] for truth in truths], dtype=np.float64)
    ours = np.array([[prediction == label for label in classes] for prediction in predictions], dtype=np.float64)
    size, right = len(truths), float((true * ours).sum())
    t, p = true.sum(axis=0), ours.sum(axis=0)
    below = (size**2 - float(p @ p)) * (size**2 - float(t @ t))
    return 100.0 * (right * size - float(t @ p)) / below**0.5 if below else 0.0
