"""DART's evaluation: multi-bleu over at most three references, and METEOR where it can run.

An empty reference stands for a missing one and counts as an empty line, as in DART's script. BLEU is 0..100 with two
decimals, METEOR 0..1. TER is not given: no library here equals tercom.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU

from foreword.metrics import METRICS, meteor
from foreword.metrics.base import Numbers
from foreword.metrics.multibleu import COLUMNS, ORDER, brevity, padded, precisions
from foreword.metrics.scorers._cases import TEXT, TEXTS, Case

FIELDS = {"references": TEXTS, "prediction": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """multi_bleu of every case as a corpus of one line, and multi_bleu and multi_bleu_lc over all; METEOR of both."""
    for case in cases:
        if len(case["references"]) > COLUMNS:
            raise case.refusal("references", f"{len(case['references'])} stand there", f"keep {COLUMNS} at most")
    outputs = [case["prediction"] for case in cases]
    references = [padded(case["references"]) for case in cases]
    rows = METRICS["multi_bleu"].statistics(outputs, references)
    lower = METRICS["multi_bleu_lc"].statistics(outputs, references)
    outs: list[dict[str, Any]] = [{"multi_bleu": printed("multi_bleu", sums)} for sums in rows]
    whole: dict[str, Any] = {
        "multi_bleu": printed("multi_bleu", rows.sum(axis=0)),
        "multi_bleu_lc": printed("multi_bleu_lc", lower.sum(axis=0)),
    }
    whole["unifiedskg_sacrebleu"] = _sacrebleu(outputs, references)
    return with_meteor(cases, outputs, references, outs, whole)


def with_meteor(
    cases: Sequence[Case],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    per_example: list[dict[str, Any]],
    corpus: dict[str, Any],
) -> dict[str, Any]:
    """A scorer's answer, METEOR added to each example's and the corpus's scores where its program can run; else a note why not."""
    if meteor.here():
        counted = meteor.counts(outputs, references)
        corpus["meteor"] = float(meteor.score(counted.sum(axis=0)))
        for scores, counts in zip(per_example, counted, strict=True):
            scores["meteor_segment"] = float(meteor.score(counts))
    return {
        "per_example": [{"id": case.id, "out": scores} for case, scores in zip(cases, per_example, strict=True)],
        "corpus": corpus,
        **meteor.note(),
    }


def printed(name: str, sums: Numbers) -> dict[str, Any]:
    """multi-bleu's line: BLEU 0..100 and its parts, as far as it prints them.

    Where the references, or the outputs, have no word at all, it is zeros throughout.
    """
    ours, theirs = int(sums[0]), int(sums[1])
    if not (ours and theirs):
        return {"bleu": 0.0, "precisions": [0.0] * ORDER, "bp": 0.0, "ratio": 0.0, "hyp_len": 0, "ref_len": 0}
    return {
        "bleu": _rounded(float(METRICS[name].from_sums(sums)), 2),
        "precisions": [_rounded(100.0 * float(precision), 1) for precision in precisions(np.asarray(sums))],
        "bp": _rounded(float(brevity(sums)), 3),
        "ratio": _rounded(ours / theirs, 3),
        "hyp_len": ours,
        "ref_len": theirs,
    }


def _sacrebleu(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """BLEU as UnifiedSKG takes it: sacrebleu's defaults, and missing references skipped."""
    reference_lists = [
        [text or None for text in accepted] if any(accepted) else list(accepted) for accepted in references
    ]
    bleu = BLEU(force=True).corpus_score(
        list(outputs), [[accepted[k] for accepted in reference_lists] for k in range(COLUMNS)]
    )
    names = ("score", "bp", "sys_len", "ref_len", "precisions")
    return {name: getattr(bleu, name) for name in names}


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}f}")
