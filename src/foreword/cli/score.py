"""`foreword score`: a file of cases by an official tool or any metric, case for case; it refuses a case that lacks what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import print_json, print_table, say


def score(
    metric: Annotated[
        str,
        typer.Argument(
            metavar="METRIC",
            help="An official tool (blec, spider_match, mtop, totto, ...), a metric as `--metrics` takes it (json_fields, bleu, ...), or "
            "my_metric.py:score.",
        ),
    ],
    cases: Annotated[
        Path, typer.Argument(metavar="CASES.jsonl", help="One case a line; files that it needs stand beside it.")
    ],
    as_json: o.Json = False,
) -> None:
    """Score a file of answers, every case and all of them as one set: as the official tool of a metric does, or by a metric.

    A metric reads lines of {"output": TEXT, "target": TEXT} (or "targets": a list); a line that lacks a field is told all of them.

    Examples:

      foreword score json_fields answers.jsonl

      foreword score mtop cases.jsonl --json
    """
    from foreword.metrics import scorers

    scores = scorers.score(metric, cases)
    if as_json:
        print_json(scores)
        return
    errors = sum("error" in case["out"] for case in scores["per_example"])
    say(f"{metric}: {len(scores['per_example']):,} cases", style="bold")
    print_table("", ("score", "value"), _rows(scores["corpus"]), left=["score"])
    if errors:
        say(f"{errors:,} of them the official tool cannot score; they are left out. --json names them.")


def _rows(scores: dict[str, Any], above: str = "") -> list[list[str]]:
    """Nested scores as rows, `level / part`."""
    rows = []
    for name, value in scores.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{above}{name} / ")
        else:
            rows.append([f"{above}{name}", f"{value:.4f}" if isinstance(value, float) else str(value)])
    return rows
