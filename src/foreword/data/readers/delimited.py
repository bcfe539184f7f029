"""Reads the text of a CSV or TSV file as rows; a quoted cell that has swallowed rows is refused."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from foreword.data.readers import limits
from foreword.data.readers.form import Form
from foreword.data.readers.shapes import KNOWN
from foreword.util.errors import ForewordError

Rows = list[dict[str, Any]]
_OTHERS = (";", "\t", "|")
_NAME = re.compile(r"[^\W\d][\w.-]*(?: [\w.-]+)?")
_NO_QUOTES = "or give --quoting none where quotation marks are plain letters"


def table(text: str, path: Path, form: Form, *, tab: bool) -> Rows:
    """The rows of a table. tab: a TSV file, whose cells are parted by TABs and need no quotation marks.

    A first line `sep=;` names the delimiter; a first column without a name that counts the rows, as pandas writes it, is left out.
    Raises ForewordError naming the file, the physical line and what is wrong there.
    """
    limits.lines(text, path)
    lines = list(io.StringIO(text, newline=""))
    skipped = 0
    first = lines[0].strip() if lines else ""
    if first.lower().startswith("sep=") and len(first) == 5:
        form = form if form.delimiter else replace(form, delimiter=first[4])
        lines, skipped = lines[1:], 1
    delimiter = form.delimiter or ("\t" if tab else _delimiter(lines))
    if form.quoting != "auto":
        return _rows(lines, path, form, delimiter, form.quoting == "standard", skipped, sure=True)
    try:
        return _rows(lines, path, form, delimiter, True, skipped, sure=False)
    except ForewordError:
        if not tab or (lines and lines[0].startswith('"')):
            raise
        with contextlib.suppress(ForewordError):  # neither way: the first refusal says what is wrong
            plain = _rows(lines, path, form, delimiter, False, skipped, sure=True)
            if not any(_quoted(cell) for row in plain for cell in row.values()):
                return plain
        raise


def _delimiter(lines: Sequence[str]) -> str:
    """A comma, unless the first line has none and has another delimiter."""
    with contextlib.suppress(csv.Error, StopIteration):
        for delimiter in (",", *_OTHERS):
            if len(next(csv.reader(iter(lines), delimiter=delimiter))) > 1:
                return delimiter
    return ","


def _refuse(path: Path, line: int, wrong: str, todo: str, cause: BaseException | None = None) -> NoReturn:
    raise ForewordError(f"Line {line} of {path} {wrong}; {todo}.") from cause


@contextlib.contextmanager
def _any_cell_size() -> Iterator[None]:
    before = csv.field_size_limit(2 * limits.CELL)  # a longer one is an error of the table
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(
    lines: Sequence[str], path: Path, form: Form, delimiter: str, quoted: bool, skipped: int, *, sure: bool
) -> Rows:
    """sure: the user says how the file is quoted, so that no cell is suspected of having swallowed rows."""
    header = list(form.header)
    records = [(start, cells) for start, cells in _records(lines, path, delimiter, quoted, skipped) if cells]
    if records and not header:
        start, cells = records.pop(0)
        header = _header(cells, path, start, indexed=_counts([row[0] for _, row in records]))
    if len(form.header) > 1 and records:
        _no_header_line(records, path)
    width = len(header)
    for start, cells in records:
        if len(cells) != width:
            wrong = f"has {len(cells)} cells where the header has {width}"
            todo = "give every row as many cells as the header, in quotation marks where needed"
            _refuse(path, start, wrong, f"{todo}, {_NO_QUOTES}" if quoted and '"' in "".join(lines) else todo)
    if quoted and not sure:
        _no_swallowed_rows(lines, records, path, delimiter, width, skipped)
    rows = [dict(zip(header, cells, strict=True)) for _, cells in records]
    if "" in header:
        for row in rows:
            del row[""]
    return rows


def _records(
    lines: Sequence[str], path: Path, delimiter: str, quoted: bool, skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first physical line."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(iter(lines), delimiter=delimiter, quoting=quoting, strict=True)
    start = 1 + skipped
    with _any_cell_size():
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                todo = f"close and double the quotation marks inside cells, write JSON lines, {_NO_QUOTES}"
                _refuse(path, start, f"starts a row that cannot be read ({error})", todo, error)
            if cells is None:
                return
            yield start, cells
            start = reader.line_num + 1 + skipped


def _no_swallowed_rows(
    lines: Sequence[str], records: Sequence[tuple[int, list[str]]], path: Path, delimiter: str, width: int, skipped: int
) -> None:
    """Refuses a row of several physical lines each of which is a whole row by itself: a stray quotation mark at the start of one row
    and one at the end of a cell of another would make one row of all between them."""
    if not records or width < 2 or lines[0].startswith('"'):
        return  # a file whose header is quoted was written by a program that quotes
    ends = [start for start, _ in records[1:]] + [len(lines) + 1 + skipped]
    known = {cells[-1] for (start, cells), end in zip(records, ends, strict=True) if end - start == 1}
    for (start, _), end in zip(records, ends, strict=True):
        inside = [line.rstrip("\r\n") for line in lines[start - 1 - skipped : end - 1 - skipped]]
        inside = [line for line in inside if line.strip()]
        if len(inside) < 2 or not all(_whole(line, delimiter, width) for line in inside):
            continue
        if len(inside) > 2 or inside[0].split(delimiter)[-1] in known:
            wrong = f"opens a quoted cell that holds {len(inside)} lines, each of which could be a row"
            todo = "double a stray quotation mark, or give --quoting none (plain letters) or standard (the cell is meant so)"
            _refuse(path, start, wrong, todo)


def _quoted(cell: str) -> bool:
    """Whether only a program that quotes would have written a cell so: in quotation marks, with doubled ones inside."""
    return len(cell) > 3 and cell[0] == cell[-1] == '"' and '""' in cell[1:-1]


def _whole(line: str, delimiter: str, width: int) -> bool:
    """Whether a line by itself could be a row: as many cells as the header, none blank, none behind a blank as in a sentence."""
    cells = line.split(delimiter)
    return len(cells) == width and all(cell.strip() and not cell.startswith(" ") for cell in cells)


def _no_header_line(records: Sequence[tuple[int, list[str]]], path: Path) -> None:
    """Refuses a first row that looks like a header line: names that columns are known to have, or names of which one is another than the
    values of its column, each of which stands there several times."""
    start, first = records[0]
    names = [cell.strip().lower() for cell in first]
    looks = all(_NAME.fullmatch(name) for name in names) and len(set(names)) == len(names)
    columns = [Counter(column[1:]) for column in zip(*(cells for _, cells in records), strict=False)]
    labels = any(
        len(counts) > 1 and min(counts.values()) > 1 and first[k] not in counts for k, counts in enumerate(columns)
    )
    if set(names) <= KNOWN or (looks and labels):
        wrong = f"looks like a header line ({', '.join(first)[:80]}), and --header names the columns as of a file without one"
        todo = "leave --header out and name columns by --input-column and --target-column, or delete that line (an example: move it down)"
        _refuse(path, start, wrong, todo)


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells count rows: distinct whole numbers."""
    return bool(cells) and all(cell.strip().isdecimal() for cell in cells) and len(set(cells)) == len(cells)


def _header(cells: list[str], path: Path, line: int, *, indexed: bool) -> list[str]:
    """The names of the columns; "" for a first column of row numbers."""
    names = [cell.strip() for cell in cells]
    todo = "write a header line of distinct column names, e.g. input,target, or name the columns with --header input,target"
    named = names[1:] if indexed and len(names) > 1 and not names[0] else names
    if not all(named):
        _refuse(path, line, "is no header: a column has no name", todo)
    twice = next((name for name, again in itertools.groupby(sorted(named)) if len(list(again)) > 1), None)
    if twice is not None:
        _refuse(path, line, f"is no header: it names the column '{twice}' twice", todo)
    return names
