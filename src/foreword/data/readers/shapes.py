"""Finds the rows in the shapes of JSON that people keep examples in: one object, objects under a key, columns; with several candidate
lists it refuses to guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.util.errors import ForewordError

Rows = list[dict[str, Any]]
# Names that people give to a question and its answer, where it is not `input` and `target`.
PAIRS = (
    ("prompt", "completion"), ("text", "label"), ("question", "answer"), ("question", "answers"), ("instruction", "output"),
    ("sentence", "label"), ("prompt", "response"), ("instruction", "response"), ("source", "target"), ("document", "summary"),
    ("query", "answer"), ("query", "response"), ("article", "highlights"), ("review", "label"), ("content", "label"),
    ("text", "summary"), ("input", "output"), ("input", "label"), ("text", "target"),
)  # fmt: skip
KNOWN = frozenset(name for pair in PAIRS for name in pair) | {
    "id",
    "idx",
    "index",
    "class",
    "category",
    "references",
    "choices",
}
_EXAMPLE = 'write a list of objects, e.g. [{"input": "...", "target": "..."}]'


def of_object(value: Mapping[str, Any], path: Path) -> Rows:
    """The rows that one JSON object holds: the objects of its only list of objects (`{"data": [...]}`; SQuAD's paragraphs one row a
    question), columns of equal length, columns by row number as pandas writes them, or itself. Raises ForewordError for an object
    that is none of these."""
    lists = [
        key for key, rows in value.items() if isinstance(rows, list) and rows and all(isinstance(r, dict) for r in rows)
    ]
    if len(lists) == 1:
        rows = list(value[lists[0]])
        return _questions(rows, path) if all("paragraphs" in row for row in rows) else rows
    if lists:
        names = " and ".join(f"'{name}'" for name in lists)
        raise ForewordError(
            f"{path} holds several lists of objects, {names}; write the one you mean to a file of its own."
        )
    columns = list(value.values())
    if columns and all(isinstance(column, list) for column in columns):
        if len({len(column) for column in columns}) > 1:
            sizes = ", ".join(f"{name} {len(column)}" for name, column in value.items())
            raise ForewordError(f"{path} holds columns of different lengths ({sizes}); {_EXAMPLE}.")
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if columns and all(isinstance(column, dict) and column for column in columns):
        if any(list(column) != list(columns[0]) for column in columns):
            raise ForewordError(f"{path} is an object of objects that are no columns of the same rows; {_EXAMPLE}.")
        return [{name: column[place] for name, column in value.items()} for place in columns[0]]
    return [dict(value)]


def _questions(articles: Sequence[Mapping[str, Any]], path: Path) -> Rows:
    """SQuAD's file: one row a question, its paragraph as `context`."""
    rows = []
    for number, article in enumerate(articles, 1):
        for paragraph in _objects(article["paragraphs"], f"'paragraphs' of article {number}", path):
            for question in _objects(paragraph.get("qas", []), f"'qas' of article {number}", path):
                rows.append({"context": paragraph.get("context")} | dict(question))
    return rows


def _objects(value: Any, what: str, path: Path) -> list[Mapping[str, Any]]:
    """A list of objects. Raises ForewordError for anything else."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ForewordError(f"{what} in {path} is no list of objects, as SQuAD's file has it; {_EXAMPLE}.")
    return value


def hint(names: Sequence[str]) -> str:
    """The flags that fit a table whose columns have other names than `input` and `target`; empty where nothing is known of them."""
    for question, answer in PAIRS:
        if question in names and answer in names:
            column = "--references-column" if answer == "answers" else "--target-column"
            flags = ("" if question == "input" else f"--input-column {question} ") + (
                "" if answer == "target" else f"{column} {answer}"
            )
            return f"; give {flags.strip()}"
    return ""
