"""Reading comprehension answers as the SQuAD v1.1, MRQA and T5 scripts score them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.scorers._cases import TEXT_OR_NONE, TEXTS, Case, mean
from foreword.metrics.squad import Words, f1, normalised, same, trivia

FIELDS = {"answers": TEXTS, "prediction": TEXT_OR_NONE}

Pair = tuple[float, float]


def best(prediction: str | None, answers: Sequence[str], words: Words = normalised) -> Pair:
    """Exact match and F1, 0..100, each of the answer that suits it best; 0 of a prediction that is missing."""
    if prediction is None:
        return 0.0, 0.0
    return tuple(100.0 * max(of(prediction, answer, words) for answer in answers) for of in (same, f1))  # type: ignore[return-value]


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """`exact_match` and `f1`, 0..100, by each script. A prediction of null is missing: SQuAD and MRQA count it 0,
    MRQA with skip_no_answer leaves it out, and T5 has no score of a set where one is missing."""
    squad = [best(case["prediction"], case["answers"]) for case in cases]
    t5 = [best(case["prediction"], case["answers"], trivia) for case in cases]
    there = [case["prediction"] is not None for case in cases]
    rows = []
    for case, squad_pair, t5_pair in zip(cases, squad, t5, strict=True):
        out = {
            "squad_v1.1": _long(squad_pair),
            "mrqa": _long(squad_pair),
            "t5_squad": _short(squad_pair),
            "t5_trivia_qa": _short(t5_pair),
        }
        rows.append({"id": case.id, "out": out})
    whole = _mean(squad)
    answered = _mean([pair for pair, is_there in zip(squad, there, strict=True) if is_there])
    corpus = {"squad_v1.1": _long(whole), "mrqa": _long(whole), "mrqa_skip_no_answer": _long(answered)}
    if all(there):
        corpus |= {"t5_squad": _short(whole), "t5_trivia_qa": _short(_mean(t5))}
    return {"per_example": rows, "corpus": corpus}


def _mean(pairs: Sequence[Pair]) -> Pair:
    return mean([exact for exact, _ in pairs]), mean([f1 for _, f1 in pairs])


def _long(pair: Pair) -> dict[str, float]:
    return {"exact_match": pair[0], "f1": pair[1]}


def _short(pair: Pair) -> dict[str, float]:
    return {"em": pair[0], "f1": pair[1]}
