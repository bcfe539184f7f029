"""MultiRC data sets as T5, Hugging Face and jiant score them: F1 over answers, exact match over questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from foreword.metrics import metric
from foreword.metrics.scorers._cases import LIST, Case, mean

FIELDS = {"items": LIST}
LABELS = ("False", "True")
KEYS = {"paragraph": int, "question": int, "label": int, "prediction": str}

Item = dict[str, Any]


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Each case is one small data set: T5 0..100, the others 0..1 and only where every prediction is a label.

    T5 groups by the question's number alone. The corpus takes all cases together, their questions kept apart.
    """
    rows, pool = [], []
    for place, case in enumerate(cases):
        items = _checked(case)
        rows.append({"id": case.id, "out": _out(items)})
        pool += [item | {"question": (place, item["question"])} for item in items]
    return {"per_example": rows, "corpus": {"t5": _t5(pool)} if pool else {}}


def _checked(case: Case) -> list[Item]:
    items: list[Item] = case["items"]
    if not items:
        raise case.refusal("items", "the list is empty", "give at least one answer")
    for number, item in enumerate(items, 1):
        for key, kind in KEYS.items():
            if not isinstance(item, dict) or not isinstance(item.get(key), kind):
                raise case.refusal(f"items[{number}].{key}", f"no {kind.__name__} stands there")
        if item["label"] not in (0, 1):
            raise case.refusal(f"items[{number}].label", f"{item['label']!r} stands where 0 or 1 is expected")
    return items


def _out(items: Sequence[Item]) -> dict[str, Any]:
    out: dict[str, Any] = {"t5": _t5(items)}
    if all(item["prediction"] in LABELS for item in items):
        f1 = _f1(items, 1)
        groups = _groups(items, lambda item: (item["paragraph"], item["question"]))
        exact = _exact(groups)
        by_question = mean([_macro(group) for group in groups])
        out["hf_super_glue"] = {"exact_match": exact, "f1_m": by_question, "f1_a": f1}
        out["jiant"] = {"major": (exact + f1) / 2, "em": exact, "f1": f1}
    return out


def _t5(items: Sequence[Item]) -> dict[str, float]:
    truths = [[LABELS[item["label"]]] for item in items]
    f1 = metric("multirc_f1").score([item["prediction"] for item in items], truths)
    return {"f1": f1, "exact_match": 100.0 * _exact(_groups(items, lambda item: item["question"]))}


def _groups(items: Sequence[Item], key: Any) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _right(item: Item) -> bool:
    return bool(item["prediction"] == LABELS[item["label"]])


def _exact(groups: Sequence[Sequence[Item]]) -> float:
    return mean([float(all(map(_right, group))) for group in groups])


def _f1(items: Sequence[Item], label: int) -> float:
    predicted = sum(item["prediction"] == LABELS[label] for item in items)
    true = sum(item["label"] == label for item in items)
    both = sum(item["label"] == label and _right(item) for item in items)
    return 2 * both / (predicted + true) if predicted + true else 0.0


def _macro(items: Sequence[Item]) -> float:
    """The mean F1 over the classes that stand in the labels or the predictions."""
    present = {item["label"] for item in items} | {LABELS.index(item["prediction"]) for item in items}
    return mean([_f1(items, label) for label in sorted(present)])
