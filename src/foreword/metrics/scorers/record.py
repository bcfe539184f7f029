"""ReCoRD answers by SQuAD's exact match and F1, as T5, the official script and jiant compute them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.scorers._cases import NUMBER, TEXT, TEXTS, Case, mean
from foreword.metrics.scorers.squad_mrqa import best

FIELDS = {"passage": NUMBER, "query": NUMBER, "answers": TEXTS, "prediction": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """T5 0..100, the others 0..1; the corpus score of T5 keeps the first prediction of each (passage, query)."""
    rows, every = [], []
    first: dict[tuple[int, int], tuple[float, float]] = {}
    for case in cases:
        em, f1 = pair = best(case["prediction"], case["answers"])
        every.append(pair)
        first.setdefault((case["passage"], case["query"]), pair)
        share = {"em": em / 100, "f1": f1 / 100}
        script = {"exact_match": em / 100, "f1": f1 / 100}
        rows.append({"id": case.id, "out": {"t5": {"em": em, "f1": f1}, "hf_super_glue": script, "jiant": share}})
    corpus = {"t5_deduplicated": _means(list(first.values())), "t5_squad_without_dedup": _means(every)}
    return {"per_example": rows, "corpus": corpus}


def _means(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {"em": mean([em for em, _ in pairs]), "f1": mean([f1 for _, f1 in pairs])}
