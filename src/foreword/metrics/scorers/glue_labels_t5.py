"""GLUE and SuperGLUE label sets as T5 scores them, with the scores of Hugging Face and jiant beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from foreword.metrics import metric
from foreword.metrics.agreement import matthews
from foreword.metrics.labels import label_f1
from foreword.metrics.scorers._cases import LIST, TEXT, TEXTS, Case, mean

FIELDS = {"task": TEXT, "targets": LIST, "predictions": TEXTS}
TASKS = ("boolq", "cb", "cola", "mrpc", "qqp", "rte", "stsb")

Scores = dict[str, dict[str, float | None]]


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Each case is one small data set of one task: `t5` 0..100, `hf_super_glue` and `jiant` 0..1.

    The corpus holds the T5 scores of all cases of a task together, by task.
    """
    rows = []
    pools: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        _check(case)
        rows.append({"id": case.id, "out": _out(case)})
        pools[case["task"]].append(case)
    corpus = {}
    for task, group in sorted(pools.items()):
        pooled = {key: [value for case in group for value in case[key]] for key in ("targets", "predictions")}
        corpus[task] = _out(group[0].but(**pooled)).get("t5", {})
    return {"per_example": rows, "corpus": corpus}


def _check(case: Case) -> None:
    task, labels, targets = case["task"], case.get("label_classes"), case["targets"]
    if task not in TASKS:
        raise case.refusal("task", f"'{task}' is not known", f"name one of {', '.join(TASKS)}")
    if len(targets) != len(case["predictions"]):
        raise case.refusal("targets", f"{len(targets)} stand beside {len(case['predictions'])} predictions")
    if task == "stsb":
        if not all(isinstance(target, int | float) for target in targets):
            raise case.refusal("targets", "not all are numbers")
        return
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(label, str) for label in labels):
        raise case.refusal("label_classes", "there is no list of at least two labels", "write the labels there")
    if not all(isinstance(target, int) and 0 <= target < len(labels) for target in targets):
        raise case.refusal("targets", f"not all are numbers of the {len(labels)} labels, counted from 0")


def _out(case: Case) -> dict[str, Any]:
    task, targets, predictions = case["task"], case["targets"], case["predictions"]
    if task == "stsb":
        return _similarity(targets, [_number(prediction) for prediction in predictions])
    labels = tuple(case["label_classes"])
    truths = [[labels[target]] for target in targets]
    ids = [labels.index(prediction) if prediction in labels else -1 for prediction in predictions]
    if task == "cola":
        return {"t5": {"matthews_corrcoef": matthews(targets, ids)}}
    accuracy = metric("accuracy").score(predictions, truths)
    if task == "cb":
        f1 = label_f1("cb", labels).score(predictions, truths)
        return {"t5": {"mean_3class_f1": f1, "accuracy": accuracy}} | _cb(targets, ids, accuracy / 100)
    if task not in ("mrpc", "qqp"):
        return {"t5": {"accuracy": accuracy}}
    f1 = label_f1(task, labels, positive=labels[1]).score(predictions, truths)
    out: Scores = {"t5": {"f1": f1, "accuracy": accuracy}}
    if -1 not in ids:
        both = (f1 + accuracy) / 200
        out["jiant"] = {"major": both, "acc": accuracy / 100, "f1": f1 / 100, "acc_and_f1": both}
    return out


def _similarity(targets: Sequence[float], predictions: Sequence[float]) -> dict[str, Any]:
    if len(targets) < 2:
        return {"error": "ValueError"}
    finite = bool(np.isfinite([*targets, *predictions]).all())  # ranks bear infinite numbers, means do not
    return {
        "t5": {
            "pearson_corrcoef": _correlation(pearsonr, targets, predictions) if finite else None,
            "spearman_corrcoef": _correlation(spearmanr, targets, predictions),
        }
    }


def _correlation(measure: Any, targets: Sequence[float], predictions: Sequence[float]) -> float | None:
    """On a scale of -100 to 100; None where it is not defined, as one side does not vary or is no number."""
    if np.isnan([*targets, *predictions]).any() or len(set(targets)) < 2 or len(set(predictions)) < 2:
        return None
    return 100.0 * float(measure(targets, predictions).statistic)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _cb(targets: Sequence[int], ids: Sequence[int], accuracy: float) -> Scores:
    """Hugging Face takes the mean over the classes that occur, an invalid answer as one; jiant over all three."""
    present = mean([_f1(targets, ids, label) for label in sorted({*targets, *ids})])
    each = [_f1(targets, ids, label) for label in range(3)]
    f1 = mean(each)
    parts = {f"f1{number}": f1_of_class for number, f1_of_class in enumerate(each, 1)}
    return {
        "hf_super_glue": {"accuracy": accuracy, "f1": present},
        "jiant": {"major": (accuracy + f1) / 2, "acc": accuracy, "avg_f1": f1, **parts},
    }


def _f1(targets: Sequence[int], ids: Sequence[int], label: int) -> float:
    both = sum(target == predicted == label for target, predicted in zip(targets, ids, strict=True))
    total = sum(label_id == label for label_id in (*targets, *ids))
    return 2 * both / total if total else 0.0
