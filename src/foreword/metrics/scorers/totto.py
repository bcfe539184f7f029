"""ToTTo's evaluation, from raw predictions and ToTTo's own JSON to BLEU and PARENT.

The tables and references stand in examples.jsonl beside the cases, one example of ToTTo's JSON a line. A table on which
PARENT's script stops has `{"error": NAME}` as its PARENT and is left out of the corpus's. Scores are 0..100.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU

from foreword.metrics import METRICS
from foreword.metrics.base import Numbers
from foreword.metrics.bleu import ORDER
from foreword.metrics.parent import TableError
from foreword.metrics.scorers._cases import LIST, NUMBER, TEXT, Case, Kind
from foreword.metrics.scorers._cases import cases as read_cases
from foreword.metrics.scorers.parent_original import as_dict, parent_means
from foreword.metrics.totto import Tables, output_line, parent_scores, reference_lines, tables
from foreword.util.errors import ForewordError

FIELDS = {"example_id": NUMBER, "prediction": TEXT}
WEIGHTS: dict[str, float | None] = {"parent": None, "parent_lambda_0.5": 0.5}
SIDE = "examples.jsonl"
_EXAMPLE: dict[str, Kind] = {
    "example_id": NUMBER,
    "table": LIST,
    "highlighted_cells": LIST,
    "sentence_annotations": LIST,
    "table_page_title": TEXT,
    "table_section_title": TEXT,
    "table_section_text": TEXT,
}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """BLEU of every case as a corpus of one line, its PARENT, and both over all cases."""
    examples = _examples(folder)
    outputs, references, parents = [], [], []
    for case in cases:
        if case["example_id"] not in examples:
            raise case.refusal("example_id", f"{SIDE} has no {case['example_id']}", "name one that stands there")
        accepted, table = examples[case["example_id"]]
        outputs.append(output_line(case["prediction"]))
        references.append(accepted)
        parents.append(_parents(outputs[-1], accepted, table))
    rows = METRICS["bleu"].statistics(outputs, references)
    whole = {name: parent_means([weighted[name] for weighted in parents]) for name in WEIGHTS}
    return {
        "per_example": [
            {"id": case.id, "out": {"bleu_single": _bleu(row), **weighted}}
            for case, row, weighted in zip(cases, rows, parents, strict=True)
        ],
        "corpus": {"bleu": _bleu(rows.sum(axis=0)), **whole},
    }


def _examples(folder: Path) -> dict[int, tuple[list[str], Tables]]:
    """The prepared references and tables of every example that stands beside the cases."""
    path = folder / SIDE
    if not path.is_file():
        raise ForewordError(
            f"This metric reads ToTTo's tables from {SIDE} beside the cases, and {folder} has none; put it there."
        )
    examples: dict[int, tuple[list[str], Tables]] = {}
    for row in read_cases(path, _EXAMPLE):
        try:
            examples[row["example_id"]] = reference_lines(_sentences(row)), tables(row)
        except ForewordError as error:
            raise ForewordError(f"{row.where}: {error}") from error
    return examples


def _sentences(row: Case) -> list[str]:
    annotations = row["sentence_annotations"]
    for annotation in annotations:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("final_sentence"), str):
            raise row.refusal("sentence_annotations", "an entry has no text in 'final_sentence'")
    return [annotation["final_sentence"] for annotation in annotations]


def _parents(output: str, references: Sequence[str], table: Tables) -> dict[str, dict[str, Any]]:
    try:
        scores = parent_scores(output, references, table, list(WEIGHTS.values()))
    except TableError as error:
        return {name: {"error": error.stops} for name in WEIGHTS}
    return {name: as_dict(score, 100.0) for name, score in zip(WEIGHTS, scores, strict=True)}


def _bleu(sums: Numbers) -> dict[str, Any]:
    """sacrebleu's command-line defaults: 13a, mixed case, exponential smoothing, no effective order. sums: [10]."""
    ours, theirs, *counts = (int(number) for number in sums)
    bleu = BLEU.compute_bleu(counts[:ORDER], counts[ORDER:], ours, theirs, smooth_method="exp", max_ngram_order=ORDER)
    names = ("score", "counts", "totals", "precisions", "bp", "sys_len", "ref_len")
    return {name: getattr(bleu, name) for name in names}
