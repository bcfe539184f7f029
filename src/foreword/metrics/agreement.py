"""Matthews correlation of answers with the truth, as T5 takes it from scikit-learn for CoLA, on a scale of -100 to 100."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matthews(truths: Sequence[int] | Sequence[str], said: Sequence[int] | Sequence[str]) -> float:
    """Matthews correlation of any number of classes (Gorodkin 2004); 0 where one side has one class only."""
    classes = sorted({*truths, *said})
    true = np.array([[one == label for label in classes] for one in truths], dtype=np.float64)
    ours = np.array([[one == label for label in classes] for one in said], dtype=np.float64)
    size, right = len(truths), float((true * ours).sum())
    t, p = true.sum(axis=0), ours.sum(axis=0)
    below = (size**2 - float(p @ p)) * (size**2 - float(t @ t))
    return 100.0 * (right * size - float(t @ p)) / below**0.5 if below else 0.0
