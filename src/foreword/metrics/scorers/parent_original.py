"""PARENT as table_text_eval computes it: pairs or triples, lower-cased words between spaces; mixed tables are refused.

A table on which the official script stops scores `{"error": NAME}` and is left out of the corpus. Scores are 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.parent import Score, TableError, Words, entailing, parent, to_tell
from foreword.metrics.scorers._cases import TEXT, TEXTS, Case, mean

FIELDS = {"table": TEXT, "references": TEXTS, "prediction": TEXT}
WEIGHTS: dict[str, float | None] = {"lambda_none": None, "lambda_0.5": 0.5, "lambda_0": 0.0}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Precision, recall and F of every case and their means, for each weight in WEIGHTS."""
    outs = [(case.id, _by_weight(case)) for case in cases]
    whole = {name: parent_means([out[name] for _, out in outs]) for name in WEIGHTS}
    return {"per_example": [{"id": name, "out": out} for name, out in outs], "corpus": whole}


def as_dict(score: Score, scale: float = 1.0) -> dict[str, float]:
    """A score under the official names. scale: what 1 is written as."""
    return {"precision": score.precision * scale, "recall": score.recall * scale, "f": score.f * scale}


def parent_means(outs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The means of precision, recall and F over the cases that have them."""
    known = [out for out in outs if "error" not in out]
    return {name: mean([out[name] for out in known]) for name in ("precision", "recall", "f")}


def _by_weight(case: Case) -> dict[str, dict[str, Any]]:
    # One line a table and one a case's references, entries between TABs; lines are stripped before they are cut.
    entries = [[_words(part) for part in entry.split("|||")] for entry in case["table"].strip().split("\t")]
    references = [_words(reference) for reference in "\t".join(case["references"]).strip().split("\t")]
    try:
        known, values = entailing(entries), to_tell(entries)
    except TableError as error:
        return {name: {"error": error.stops} for name in WEIGHTS}
    scores = parent(_words(case["prediction"]), references, known, values, list(WEIGHTS.values()))
    return {name: as_dict(score) for name, score in zip(WEIGHTS, scores, strict=True)}


def _words(text: str) -> Words:
    return tuple(text.lower().split())
