"""BLEC of logic-to-text predictions, per case and as a mean of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.blec import unmatched
from foreword.metrics.scorers._cases import TEXT, Case, mean

FIELDS = {"logic_str": TEXT, "prediction": TEXT, "gold": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """`blec` 0 or 1 and the list `unmatched`; `out_relogic` is the older script of the authors."""
    rows: list[dict[str, Any]] = []
    for case in cases:
        rows.append({"id": case.id, "out": _out(case, digits=True), "out_relogic": _out(case, digits=False)})
    return {"per_example": rows, "corpus": {"blec": mean([row["out"]["blec"] for row in rows if "blec" in row["out"]])}}


def _out(case: Case, *, digits: bool) -> dict[str, Any]:
    try:
        missing = unmatched(case["logic_str"], case["prediction"], case["gold"], digits=digits)
    except ValueError as error:
        return {"error": type(error).__name__}
    return {"blec": int(not missing), "unmatched": missing}
