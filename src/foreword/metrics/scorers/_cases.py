"""Cases: the rows of a file to be scored, each with its line number; a row that lacks a field of its metric is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.data.readers import read_rows, read_text
from foreword.util.errors import ForewordError
from foreword.util.phrases import listed

Kind = tuple[str, Callable[[Any], bool]]

TEXT: Kind = ("a text", lambda value: isinstance(value, str))
TEXT_OR_NONE: Kind = ("a text or null", lambda value: value is None or isinstance(value, str))
TEXTS: Kind = (
    "a list of texts, at least one",
    lambda value: isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value),
)
LIST: Kind = ("a list", lambda value: isinstance(value, list))
NUMBER: Kind = ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))


class Case(dict[str, Any]):
    """One row; `id` is its name and `where` its place, `Line 3 of cases.jsonl`."""

    id: str
    where: str

    def but(self, **fields: Any) -> Case:
        """The same case with other values in some fields."""
        other = Case({**self, **fields})
        other.id, other.where = self.id, self.where
        return other

    def checked(self, fields: Mapping[str, Kind], others: Sequence[str] = ()) -> None:
        """Raises ForewordError for the first of these fields that is missing or of another kind; the sentence has them all (an
        `id` may be left out of all rows). others: more that a row holds, in words."""
        for field, (words, fits) in fields.items():
            if field not in self:
                whole = listed([*(f"{name} ({kind})" for name, (kind, _) in fields.items() if name != "id"), *others])
                raise self.refusal(field, "there is no such field", f"write {words} there; a line holds {whole}")
            if not fits(self[field]):
                raise self.refusal(field, f"{_short(self[field])} stands where {words} is expected")

    def refusal(self, field: str, fault: str, todo: str = "mend that line") -> ForewordError:
        """The sentence to raise when a field of this row cannot be scored."""
        return ForewordError(f"{self.where}, field '{field}': {fault}; {todo}.")


def cases(path: Path, fields: Mapping[str, Kind], others: Sequence[str] = ()) -> list[Case]:
    """Every row of a JSON-lines file as a Case. fields: what each row must hold, and of which kind. others: see `Case.checked`.

    A file none of whose rows has an `id` is numbered from 1. Raises ForewordError naming file, line and field.
    """
    rows = read_rows(path)
    lines = [number for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if len(lines) != len(rows):
        raise ForewordError(f"{path} is not JSON lines; write one case, a JSON object, a line.")
    named = any("id" in row for row in rows)
    by_id: dict[str, Case] = {}
    for number, row in zip(lines, rows, strict=True):
        case = Case(row)
        case.where = f"Line {number} of {path}"
        if not named:
            case["id"] = str(len(by_id) + 1)
        case.checked({"id": TEXT, **fields}, others)
        case.id = case["id"]
        if case.id in by_id:
            raise case.refusal("id", f"'{case.id}' stands in an earlier line too", "give every case its own id")
        by_id[case.id] = case
    return list(by_id.values())


def side(folder: Path, name: str, fields: Mapping[str, Kind], key: str) -> dict[str, Case]:
    """The rows of a file that stands beside the cases, by the text in their field `key`; checked as `cases` does."""
    path = folder / name
    if not path.is_file():
        raise ForewordError(f"This metric reads the file {name} beside the cases, and {folder} has none; put it there.")
    rows = cases(path, {key: TEXT, **fields})
    by_key: dict[str, Case] = {}
    for row in rows:
        if row[key] in by_key:
            raise row.refusal(key, f"'{row[key]}' stands in an earlier line too", "keep one of the two lines")
        by_key[row[key]] = row
    return by_key


def beside(case: Case, field: str, known: Mapping[str, Case], name: str) -> Case:
    """The row of the side file `name` that a case names in `field`. Raises ForewordError when there is none."""
    if case[field] not in known:
        raise case.refusal(field, f"{name} has no '{case[field]}'", "name one that stands there")
    return known[case[field]]


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."
