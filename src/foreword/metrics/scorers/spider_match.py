"""Spider queries by exact set match, hardness and component; a case whose database is not described in tables.jsonl is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.metrics.scorers._cases import LIST, TEXT, Case, beside, side
from foreword.metrics.spider_match import COMPONENTS, LEVELS, Verdict, elementai, judge, schema_of, suite
from foreword.metrics.spider_sql import Reread, Schema, SqlError, tokens

FIELDS = {"db_id": TEXT, "gold": TEXT, "prediction": TEXT}
TABLES = "tables.jsonl"
SCHEMA = {"table_names_original": LIST, "column_names_original": LIST, "foreign_keys": LIST}


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """`exact`, `hardness`, `parse_error` and `partial` of each case; the corpus by hardness and component, 0..1.

    A gold query that the official tool cannot read is an `error` and stands in no score; so does a blank prediction,
    which the tool's reader drops. `out_elementai` and `out_testsuite` are two forks of the tool.
    """
    known = side(folder, TABLES, SCHEMA, "db_id")
    schemas: dict[str, Schema] = {}
    rows, verdicts, forked = [], [], []
    for case in cases:
        database = case["db_id"]
        if database not in schemas:
            schemas[database] = _schema(beside(case, "db_id", known, TABLES))
        verdict = _judged(case, schemas[database])
        fork = _forked(case, schemas[database], elementai, verdict)
        other = _forked(case, schemas[database], suite, verdict)
        if isinstance(verdict, Verdict):
            verdicts.append(verdict)
        if isinstance(fork, Verdict):
            forked.append(fork.exact)
        rows.append(
            {
                "id": case.id,
                "out": _out(verdict),
                "out_elementai": _short(fork, "exact", "hardness", "parse_error"),
                "out_testsuite": _short(other, "exact", "hardness"),
            }
        )
    return {
        "per_example": rows,
        "corpus": {level: _level(verdicts, level) for level in LEVELS},
        "elementai_exact_all": _share(forked),
    }


def _judged(case: Case, schema: Schema, reread: Reread = list) -> Verdict | str:
    prediction = case["prediction"].strip().split("\t")[0]  # the tool reads its files by lines and TABs
    if not prediction:
        return "dropped_blank_line"
    try:
        return judge(case["gold"], prediction, schema, reread)
    except SqlError as error:
        return error.kind


def _forked(case: Case, schema: Schema, reread: Reread, verdict: Verdict | str) -> Verdict | str:
    """The verdict of a fork: the tool's own where the fork reads the same."""
    try:
        token_lists = [tokens(case[field]) for field in ("gold", "prediction")]
    except SqlError:
        return verdict
    return verdict if token_lists == [tuple(reread(read)) for read in token_lists] else _judged(case, schema, reread)


def _schema(row: Case) -> Schema:
    try:
        return schema_of(row)
    except ValueError as error:
        raise row.refusal("column_names_original", str(error)) from error


def _short(verdict: Verdict | str, *names: str) -> dict[str, Any]:
    if isinstance(verdict, str):
        return {"error": verdict}
    fields = {"exact": int(verdict.exact), "hardness": verdict.hardness, "parse_error": verdict.parse_error}
    return {name: fields[name] for name in names}


def _out(verdict: Verdict | str) -> dict[str, Any]:
    fields = _short(verdict, "exact", "hardness", "parse_error")
    if isinstance(verdict, str):
        return fields
    partial = {}
    for name in COMPONENTS:
        gold, ours, _ = verdict.totals[name]
        right = int(verdict.right(name))
        partial[name] = {"acc": right, "rec": right, "f1": right, "label_total": gold, "pred_total": ours}
    return fields | {"partial": partial}


def _level(verdicts: Sequence[Verdict], level: str) -> dict[str, Any]:
    chosen = [verdict for verdict in verdicts if level in ("all", verdict.hardness)]
    partial = {name: _partial(chosen, name) for name in COMPONENTS}
    return {"count": len(chosen), "exact": _share([verdict.exact for verdict in chosen]), "partial": partial}


def _partial(chosen: Sequence[Verdict], name: str) -> dict[str, float]:
    """Precision over the predictions that have the component, recall over the gold queries that have it.

    An F1 of two zeros is printed as 1 by the official tool, and so it is here.
    """
    precision = _share([verdict.right(name) for verdict in chosen if verdict.totals[name][1] > 0])
    recall = _share([verdict.right(name) for verdict in chosen if verdict.totals[name][0] > 0])
    total = precision + recall
    return {"acc": precision, "rec": recall, "f1": 2 * precision * recall / total if total else float(bool(chosen))}


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else 0.0
