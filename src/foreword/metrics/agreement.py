"""Matthews correlation of answers with the truth, as T5 takes it from scikit-learn for CoLA, on a scale of -100 to 100."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matthews(truths: Sequence[int] | Sequence[str], predictions: Sequence[int] | Sequence[str]) -> float:
    """Matthews correlation of any number of classes (Gorodkin 2004); 0 where one side has one class only."""
    place = {label: at for at, label in enumerate(dict.fromkeys([*truths, *predictions]))}
    true, ours = (np.array([place[each] for each in side], dtype=np.int64) for side in (truths, predictions))
    size, right = len(truths), float((true == ours).sum())
    t, p = (np.bincount(side, minlength=len(place)).astype(np.float64) for side in (true, ours))
    below = (size**2 - float(p @ p)) * (size**2 - float(t @ t))
    return 100.0 * (right * size - float(t @ p)) / below**0.5 if below else 0.0
