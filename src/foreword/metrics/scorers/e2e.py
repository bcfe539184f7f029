"""The E2E challenge's evaluation: BLEU and NIST by both scripts, ROUGE-L, CIDEr, and METEOR where it can run.

`mteval_perl` is the official default, printed with four decimals; `pymteval` its Python port; the rest the COCO caption
code over Penn Treebank words. BLEU, METEOR and ROUGE_L are 0..1, CIDEr 0..10, NIST has no bound. CIDEr and METEOR of
a case are those in the run over all cases given, for CIDEr depends on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics import meteor
from foreword.metrics.coco import cider, rouge_l
from foreword.metrics.mteval import (
    Segment,
    perl_bleu,
    perl_nist,
    perl_words,
    python_bleu,
    python_nist,
    python_words,
    segment,
)
from foreword.metrics.ptb import tokenised
from foreword.metrics.scorers._cases import TEXT, TEXTS, Case, mean

FIELDS = {"references": TEXTS, "prediction": TEXT}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """All of it for every case, and over all."""
    perl = [segment(case["prediction"], case["references"], perl_words) for case in cases]
    python = [_python(case, segment) for case, segment in zip(cases, perl, strict=True)]
    segments, coco = _coco(cases)
    outs = [
        {
            "pymteval_single": {
                "bleu": python_bleu([python_segment]),
                "sent_bleu_plus1": python_bleu([python_segment], smoothing=1.0),
                "nist": _nist([python_segment]),
            },
            "mteval_perl_single": _perl([perl_segment]),
            "coco_in_half": caption,
        }
        for perl_segment, python_segment, caption in zip(perl, python, segments, strict=True)
    ]
    return {
        "per_example": [{"id": case.id, "out": out} for case, out in zip(cases, outs, strict=True)],
        "corpus": {
            "mteval_perl": _perl(perl),
            "pymteval": {"NIST": _nist(python), "BLEU": python_bleu(python)},
            **coco,
        },
        **meteor.note(),
    }


def _python(case: Case, perl: Segment) -> Segment:
    """The Python port's reading of a case: Perl's, where both see the same words."""
    texts = [case["prediction"], *case["references"]]
    same = all(perl_words(text) == python_words(text) for text in texts)
    return perl if same else segment(case["prediction"], case["references"], python_words)


def _perl(segments: Sequence[Segment]) -> dict[str, float]:
    return {"NIST": float(f"{perl_nist(segments):.4f}"), "BLEU": float(f"{perl_bleu(segments):.4f}")}


def _nist(segments: Sequence[Segment]) -> float | dict[str, str]:
    try:
        return python_nist(segments)
    except ZeroDivisionError as error:
        return {"error": type(error).__name__}


def _coco(cases: Sequence[Case]) -> tuple[list[dict[str, float]], dict[str, float]]:
    """ROUGE_L, CIDEr and, where it runs, METEOR: of each case, and over all."""
    outputs = tokenised([case["prediction"] for case in cases])
    words = iter(tokenised([reference for case in cases for reference in case["references"]]))
    references = [[next(words) for _ in case["references"]] for case in cases]
    rouges = [rouge_l(output, accepted) for output, accepted in zip(outputs, references, strict=True)]
    ciders = cider(outputs, references)
    captions = [{"ROUGE_L": rouge, "CIDEr": score} for rouge, score in zip(rouges, ciders, strict=True)]
    whole = {"ROUGE_L": mean(rouges), "CIDEr": mean(ciders)}
    if meteor.here():
        counted = meteor.counts(outputs, references)
        whole["METEOR"] = float(meteor.score(counted.sum(axis=0)))
        for caption, counts in zip(captions, counted, strict=True):
            caption["METEOR"] = float(meteor.score(counts))
    return captions, whole
