"""WSC answers as T5 labels them, 1, 0 or -1, and their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.scorers._cases import TEXT, Case, mean
from foreword.metrics.wsc import predicted_label

FIELDS = {"referent": TEXT, "prediction": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """`predicted_label` of each case; the corpus `accuracy`, 0..100, of the cases that have a label."""
    rows, right = [], []
    for case in cases:
        predicted = predicted_label(case["referent"], case["prediction"])
        rows.append({"id": case.id, "out": {"predicted_label": predicted}})
        label = case.get("label")
        if label not in (None, 0, 1):
            raise case.refusal("label", f"{label!r} stands where 0, 1 or null is expected")
        if label is not None:
            right.append(100.0 * (predicted == label))
    return {"per_example": rows, "corpus": {"accuracy": mean(right)} if right else {}}
