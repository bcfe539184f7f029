"""MTOP parses as UnifiedSKG, CASPER and TOP score them, per case and as means of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics import mtop
from foreword.metrics.scorers._cases import TEXT, Case, mean

FIELDS = {"gold": TEXT, "prediction": TEXT}
NO_TREE = mtop.Node("")


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """`out` is UnifiedSKG's, on the re-spaced prediction; `out_casper` CASPER's, on the prediction as it is;
    `out_top_tree` TOP's. All 0..1."""
    rows: list[dict[str, Any]] = []
    plain, whole = [], []
    for case in cases:
        spaced = mtop.respaced(case["prediction"])
        top, plain_counts, whole_counts = _top(case)
        rows.append(
            {
                "id": case.id,
                "out": _out(case, spaced) | {"normalized_prediction": spaced},
                "out_casper": _out(case, case["prediction"]),
                "out_top_tree": top,
            }
        )
        plain.append(plain_counts)
        whole.append(whole_counts)

    def means(which: str, key: str) -> float:
        return mean([row[which][key] for row in rows])

    return {
        "per_example": rows,
        "corpus": {"exact_match": means("out", "exact_match"), "template_accuracy": means("out", "template")},
        "casper": {
            "num_total": len(rows),
            "full_accuracy": means("out_casper", "exact_match"),
            "intent_accuracy": means("out_casper", "intent"),
            "intent_arg_accuracy": means("out_casper", "template"),
            "invalid_predictions": means("out_casper", "invalid"),
        },
        "top_tree": {
            "instance_count": len(rows),
            "exact_match": means("out_top_tree", "exact_match"),
            "labeled_bracketing_scores": mtop.ratios(*mtop.summed(plain)),
            "tree_labeled_bracketing_scores": mtop.ratios(*mtop.summed(whole)),
            "tree_validity": means("out_top_tree", "valid"),
        },
    }


def _out(case: Case, prediction: str) -> dict[str, Any]:
    gold, predicted = mtop.template(case["gold"]), mtop.template(prediction)
    if gold is None:
        raise case.refusal("gold", "its brackets do not fit")
    return {
        "exact_match": int(prediction == case["gold"]),
        "template": int(predicted == gold),
        "intent": int(predicted is not None and predicted.split("-")[0] == gold.split("-")[0]),
        "invalid": int(predicted is None),
    }


def _top(case: Case) -> tuple[dict[str, Any], tuple[int, int, int], tuple[int, int, int]]:
    try:
        gold = mtop.tree(case["gold"])
    except mtop.NotATreeError as error:
        raise case.refusal("gold", "it is no tree of intents and slots") from error
    predicted, bad_label = NO_TREE, False
    try:
        predicted = mtop.tree(case["prediction"])
        valid = mtop.alternates(predicted)
    except mtop.NotATreeError as error:
        bad_label, valid = error.label is not None, False
    ours, theirs = mtop.brackets(predicted if valid else NO_TREE), mtop.brackets(gold)
    plain, whole = (
        mtop.bracket_counts(prediction, reference) for prediction, reference in zip(ours, theirs, strict=True)
    )
    same = valid and mtop.written(predicted) == mtop.written(gold)
    out: dict[str, Any] = {
        "exact_match": int(same),
        "valid": int(valid),
        "labeled_bracketing": mtop.ratios(*plain),
        "tree_labeled_bracketing": mtop.ratios(*whole),
    }
    return out | ({"label_error": True} if bad_label else {}), plain, whole
