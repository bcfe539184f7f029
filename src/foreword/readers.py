"""Reads a user's table (JSON, CSV, TSV, Parquet) as rows; it refuses to read a damaged file in part."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

from foreword.errors import ForewordError

Rows = list[dict[str, Any]]


def read_rows(path: Path | str, *, quoted: bool = True) -> Rows:
    """Every row of a .jsonl, .json, .csv, .tsv or .parquet file, as column name to value.

    Text is UTF-8; a byte-order mark and either kind of line end are taken as they come. quoted: whether a
    quotation mark at the start of a CSV or TSV cell opens a quoted cell (RFC 4180); without it every mark is a
    plain letter. Raises ForewordError naming the file, the line and what is wrong there; a file is read whole
    or not at all.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise ForewordError(f"Cannot tell the format of {path} by its ending '{path.suffix}'; use one of: {known}.")
    if path.is_dir():
        raise ForewordError(f"{path} is a folder where a file was expected; name the file inside it.")
    raw = read_bytes(path)
    if not raw.strip():
        raise ForewordError(f"{path} is empty; write at least one row.")
    rows = reader(raw, path, quoted)
    if not rows:
        raise ForewordError(f"{path} holds no rows; write at least one.")
    return rows


def readable(path: Path | str) -> bool:
    """Whether `read_rows` knows the ending of this path."""
    return Path(path).suffix.lower() in _READERS


def endings() -> list[str]:
    """The endings that `read_rows` knows."""
    return sorted(_READERS)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises ForewordError when it is not there or may not be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ForewordError(f"There is no file {path}; check the path.") from error
    except OSError as error:
        raise ForewordError(
            f"Cannot read {path}: {error.strerror or error}; check the file and its permissions."
        ) from error


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file without a byte-order mark. Raises ForewordError naming the line that is not in the
    encoding."""
    return _decoded(read_bytes(path), path, encoding)


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, without their ends; only line feeds and carriage returns end a line."""
    text = read_text(path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _decoded(raw: bytes, path: Path, encoding: str = "utf-8") -> str:
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ForewordError(f"Line {line} of {path} is not UTF-8 text; save the file in the encoding UTF-8.") from error


def _refuse(path: Path, line: int, wrong: str, todo: str, cause: BaseException | None = None) -> NoReturn:
    raise ForewordError(f"Line {line} of {path} {wrong}; {todo}.") from cause


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _parsed(text: str, path: Path, line: int) -> Any:
    """One JSON value, whose text starts on the given line of the file."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        at = f"{error.msg}, column {error.colno}"
        _refuse(path, line + error.lineno - 1, f"is not JSON ({at})", "mend that line", error)
    except UnicodeEncodeError as error:
        _refuse(path, line, "holds half of a surrogate pair, which is no character", "mend that line", error)
    except (ValueError, RecursionError) as error:
        _refuse(path, line, f"is not JSON that can be read ({error})", "mend that line", error)
    return value


def _json_lines(raw: bytes, path: Path, quoted: bool) -> Rows:
    rows: Rows = []
    for number, text in enumerate(_decoded(raw, path).split("\n"), 1):
        if text.strip():
            value = _parsed(text, path, number)
            if not isinstance(value, dict):
                wrong = f"holds a JSON {_kind(value)} where an object was expected"
                _refuse(path, number, wrong, 'write one object a line, e.g. {"input": "...", "target": "..."}')
            rows.append(value)
    return rows


def _json(raw: bytes, path: Path, quoted: bool) -> Rows:
    text = _decoded(raw, path)
    if not text.lstrip().startswith("["):
        return _json_lines(raw, path, quoted)
    value = _parsed(text, path, 1)
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise ForewordError(
                f"Item {number} of the list in {path} is a JSON {_kind(row)} where an object was expected; "
                f'write objects, e.g. {{"input": "...", "target": "..."}}.'
            )
    return list(value)


def _kind(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", int: "number", float: "number", dict: "object"}
    return names.get(type(value), "null")


@contextlib.contextmanager
def _any_cell_size() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _table(raw: bytes, path: Path, quoted: bool, delimiter: str) -> Rows:
    stream = io.StringIO(_decoded(raw, path), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] = []
    rows: Rows = []
    start = 1
    with _any_cell_size():
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                todo = "close and double the quotation marks inside cells, or write JSON lines"
                _refuse(path, start, f"starts a row that cannot be read ({error})", todo, error)
            if cells is None:
                return rows
            if not header:
                header = _header(cells, path, start)
            elif len(cells) == len(header):
                rows.append(dict(zip(header, cells, strict=True)))
            elif cells:
                wrong = f"has {len(cells)} cells where the header has {len(header)}"
                _refuse(
                    path,
                    start,
                    wrong,
                    "give every row as many cells as the header, in quotation marks where needed",
                )
            start = reader.line_num + 1


def _header(cells: list[str], path: Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    todo = "write a header line of distinct column names, e.g. input,target"
    if not all(names):
        _refuse(path, line, "is no header: a column has no name", todo)
    for name in names:
        if names.count(name) > 1:
            _refuse(path, line, f"is no header: it names the column '{name}' twice", todo)
    return names


def _parquet(raw: bytes, path: Path, quoted: bool) -> Rows:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(raw))
        rows: Rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ForewordError(f"{path} is not a whole Parquet file ({reason}); write or download it again.") from error
    names = table.column_names
    for name in names:
        if names.count(name) > 1:
            raise ForewordError(f"{path} has the column '{name}' twice; give every column its own name.")
    return rows


_READERS: dict[str, Callable[[bytes, Path, bool], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": lambda raw, path, quoted: _table(raw, path, quoted, ","),
    ".tsv": lambda raw, path, quoted: _table(raw, path, quoted, "\t"),
    ".parquet": _parquet,
}
