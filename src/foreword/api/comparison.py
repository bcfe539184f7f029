"""A Comparison is what `compare` gives back: the table, the recommendation with its reason, the records, the report."""

from __future__ import annotations

import html
import importlib
import importlib.util
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreword.results.record import Record
from foreword.results.rows import MethodRow, Summary
from foreword.results.summary import as_json
from foreword.study.compare import Outcome
from foreword.util import phrases
from foreword.util.errors import ForewordError

HEADS = (
    "method",
    "score",
    "± over seeds",
    "95 % interval",
    "trainable parameters",
    "training",
    "tokens before",
    "per answer",
)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison. outcome: what the study left."""

    outcome: Outcome

    @property
    def summary(self) -> Summary:
        """Rows, tests and recommendation, as values."""
        return self.outcome.summary

    @property
    def records(self) -> tuple[Record, ...]:
        """One finished trial each, with every answer."""
        return self.outcome.records

    @property
    def best(self) -> str | None:
        """The recommended method's label; None where nothing is recommended (`reason` says why)."""
        return self.summary.recommendation.method or None

    @property
    def reason(self) -> str:
        """The recommendation in words."""
        return self.summary.recommendation.reason

    @property
    def failed(self) -> list[str]:
        """A sentence for each trial that could not be finished, with its cause; its method has no row."""
        return [failure.sentence() for failure in self.summary.failures]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores should know, as the command line prints it below the table: how the data were read and split, say."""
        return self.summary.notes

    @property
    def report(self) -> Path:
        """The page."""
        return self.outcome.report

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table as dicts, one a method: scores 0 to 100 (or as the metric has it), times in seconds."""
        return [_values(row, row.method == self.best) for row in self.summary.rows]

    @property
    def table(self) -> Any:
        """The table as a pandas DataFrame, else as a polars one. Raises ForewordError where neither is installed; `rows` needs
        neither."""
        for library in ("pandas", "polars"):
            if importlib.util.find_spec(library) is not None:
                return importlib.import_module(library).DataFrame(self.rows)
        raise ForewordError(
            "The table as a data frame needs pandas or polars: pip install pandas (`rows` needs neither)."
        )

    def as_dict(self) -> dict[str, Any]:
        """The document of compare.json."""
        return as_json(self.summary, str(self.report))

    def open_report(self) -> bool:
        """Show the page in the browser; whether one was found."""
        return webbrowser.open(self.report.resolve().as_uri())

    def __str__(self) -> str:
        lines = [f"{row.method}: {_score(row)} ({phrases.between(*row.ci95)})" for row in self.summary.rows]
        return "\n".join([*lines, self.reason, *self.failed, *self.notes])

    def _repr_html_(self) -> str:
        """For notebooks: the table, the recommendation and the notes."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in HEADS)
        body = "".join(_line(row, row.method == self.best) for row in self.summary.rows)
        title = html.escape(f"{self.summary.task} on {self.summary.backbone}, {phrases.title(self.summary.metric)}")
        below = "".join(f"<p>{html.escape(text)}</p>" for text in (" ".join([self.reason, *self.failed]), *self.notes))
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>{below}"


def _score(row: MethodRow) -> str:
    return phrases.score(row.mean) + (
        f" ± {phrases.score(row.std)}" if len(row.seeds) > 1 and not row.deterministic else ""
    )


def _values(row: MethodRow, best: bool) -> dict[str, Any]:
    return {
        "method": row.method,
        row.metric: row.mean,
        "std": row.std,
        "ci95_low": row.ci95[0],
        "ci95_high": row.ci95[1],
        "seeds": len(row.seeds),
        "trainable_parameters": row.trainable_parameters,
        "train_seconds": row.train_seconds,
        "prefix_tokens": row.prefix_tokens,
        "seconds_per_answer": row.seconds_per_answer,
        "recommended": best,
    }


def _line(row: MethodRow, best: bool) -> str:
    spread = phrases.score(row.std) if len(row.seeds) > 1 and not row.deterministic else ""
    trained = phrases.duration(row.train_seconds) if row.train_seconds else "none"
    cells = (
        row.method, phrases.score(row.mean), spread, phrases.between(*row.ci95), phrases.whole(row.trainable_parameters), trained,
        f"{row.prefix_tokens:.0f}", phrases.duration(row.seconds_per_answer),
    )  # fmt: skip
    mark = "b" if best else "span"
    return "<tr>" + "".join(f"<td><{mark}>{html.escape(cell)}</{mark}></td>" for cell in cells) + "</tr>"
