"""The page of findings, put together from what every study left in the folder of results; it refuses to fill in one that did not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foreword.results.record import Record
from foreword.util.files import read_json, write_json, write_text
from recipes.findings.lab import Lab
from recipes.findings.studies import STUDIES, Findings

HEAD = """# Findings on the reference models

Made by `python -m recipes.findings`; each part says when, on what and how. Scores are on a scale of 0 to 100: mean ± standard deviation
over seeds (95% interval over test examples and seeds; docs/statistics.md). A is above B where the whole interval of their difference is
above zero; * marks p < 0.05 of the same model, adjusted by Holm over the column (transfer: over the table).
Verdicts are counted from the tables under them.
"""


def keep(lab: Lab, name: str, findings: Findings, records: Sequence[Record]) -> None:
    """Write what a study found, with where its numbers come from, to the folder of results."""
    tables = [
        {"caption": table.caption, "head": table.head, "rows": [list(map(_plain, row)) for row in table.rows]}
        for table in findings.tables
    ]
    verdicts = [asdict(verdict) | {"sentence": str(verdict)} for verdict in findings.verdicts]
    missing = [model for model in STUDIES[name].models if not lab.there(model)]
    write_json(
        lab.out / f"{name}.json",
        {"verdicts": verdicts, "missing": missing, "tables": tables, "measured": _measured(lab, records)},
    )


def _measured(lab: Lab, records: Sequence[Record]) -> dict[str, Any]:
    """When, on what and how; the date is that of the last trial."""
    days = [(lab.out / "records" / f"{record.key}.json").stat().st_mtime for record in records]
    return {
        "date": [datetime.fromtimestamp(max(days), UTC).date().isoformat()] if days else [],
        "trials": len(records),
        "models": sorted({f"{record.backbone} ({record.fingerprints['backbone'][:12]})" for record in records}),
        "test examples": sorted({len(record.answers) for record in records}),
        "seeds": sorted({record.seed for record in records}),
        "limit": lab.limit,
        "max_new_tokens": sorted({record.spec["max_new_tokens"] for record in records}),
        **_tuning(records),
        "hours of training": round(sum(record.costs.train_seconds for record in records) / 3600, 2),
        "hardware": sorted({record.hardware for record in records}),
        "versions": sorted({f"{name} {version}" for record in records for name, version in record.versions.items()}),
    }


def _tuning(records: Sequence[Record]) -> dict[str, Any]:
    """The settings of tuning, all values that occur."""
    rows = [record.spec["tuning"] for record in records if record.spec["tuning"]]
    names = (
        "max_steps",
        "batch_size",
        "learning_rate",
        "prompt_length",
        "optimizer",
        "schedule",
        "warmup_steps",
        "patience",
    )
    return {name: sorted({row[name] for row in rows}) for name in names}


def _plain(cell: Any) -> dict[str, Any] | str | int:
    """A cell as its text, and its numbers where it has any."""
    if is_dataclass(cell) and not isinstance(cell, type):
        return asdict(cell) | {"text": str(cell)}
    return cell if isinstance(cell, int) else str(cell)


def write(lab: Lab, path: Path) -> None:
    """The page: of every study of which the folder holds results, these; a part about another stays as the page has it, for each part
    says when and on which models it was measured."""
    parts, before = [HEAD], _parts(path)
    for name, study in STUDIES.items():
        results = lab.out / f"{name}.json"
        if study.title in before and not results.is_file():
            parts.append(before[study.title])
            continue
        answers = _section(read_json(results, "finding")) if results.is_file() else ["Not run."]
        parts.append("\n\n".join([f"## {study.title}", study.how, *answers]) + "\n")
    write_text(path, "\n".join(parts))


def _parts(path: Path) -> dict[str, str]:
    """The parts of a page that is there already, by their titles."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    _, *parts = ("\n" + text).split("\n## ")
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def _section(finding: dict[str, Any]) -> list[str]:
    paragraphs, measured = (
        ["\n".join(f"- {verdict['sentence']}" for verdict in finding["verdicts"])],
        finding["measured"],
    )
    if finding["missing"]:
        paragraphs.append(f"Not shipped, so not run: {', '.join(finding['missing'])}.")
    if measured["limit"]:
        paragraphs.append(f"**A smoke run on {measured['limit']} examples: no finding.**")
    if not measured["trials"]:
        return paragraphs
    first = ("date", "models", "trials", "test examples", "seeds", "steps")
    names = sorted(measured, key=lambda name: first.index(name) if name in first else len(first))
    conditions = "; ".join(f"{name} {_listed(measured[name])}" for name in names if measured[name] is not None)
    return [*paragraphs, *map(_table, finding["tables"]), f"*{conditions}.*"]


def _table(table: dict[str, Any]) -> str:
    rows = [table["head"], ["---"] * len(table["head"]), *(map(_text, row) for row in table["rows"])]
    return f"{table['caption']}:\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _text(cell: Any) -> str:
    return cell["text"] if isinstance(cell, dict) else str(cell)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
