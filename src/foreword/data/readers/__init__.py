"""Reads a user's table (JSON, CSV, TSV, Parquet, Excel) as rows; a damaged file is refused, never read in part."""

from __future__ import annotations

import codecs
import functools
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from foreword.data.readers import binary, limits
from foreword.data.readers.delimited import table
from foreword.data.readers.form import OPTIONS, Form
from foreword.data.readers.shapes import hint, of_object
from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed

__all__ = [
    "Form",
    "Rows",
    "endings",
    "hint",
    "limits",
    "options_of",
    "read_bytes",
    "read_lines",
    "read_rows",
    "read_text",
    "readable",
    "unzipped",
]

Rows = list[dict[str, Any]]
STDIN = "-"
BINARY = (".parquet", ".xlsx")
_HALVES = re.compile("[\ud800-\udfff]")


def read_rows(
    path: Path | str, *, quoted: bool | None = None, form: Form | None = None, as_written: bool = False
) -> Rows:
    """Every row of a .jsonl, .ndjson, .json, .csv, .tsv, .parquet or .xlsx file, packed as .gz or not, or of stdin (`-`), as column
    name to value.

    Text is UTF-8 unless the form says otherwise; a byte-order mark and either kind of line end are taken as they come. Names of
    columns are stripped. form: how a table of text is written. quoted: its quoting alone, standard or none. as_written: numbers of
    JSON files stay the text that stands there; of Parquet files see `binary.parquet`. Raises ForewordError naming the file,
    the line and what is wrong there, and for more bytes, rows or characters than `limits` allows; a file is read whole or not at all.
    """
    form = form or Form("auto" if quoted is None else "standard" if quoted else "none")
    if str(path) == STDIN:
        return _from_stdin(form, as_written)
    path = Path(path)
    ending = _ending(path)
    reader = _READERS.get(ending)
    if reader is None:
        known = ", ".join(endings())
        raise ForewordError(f"Cannot tell the format of {path} by its ending '{ending}'; use one of: {known}.")
    if path.is_dir():
        raise ForewordError(f"{path} is a folder where a file was expected; name the file inside it.")
    try:
        raw = _unpacked(path)
        if not raw or raw.isspace():
            raise ForewordError(f"{path} is empty; write at least one row.")
        return _checked(reader(raw, path, form, as_written), path)
    except MemoryError as error:
        raise ForewordError(
            f"The memory here is not enough to read {path}; write the rows you need to a smaller file."
        ) from error


def _checked(rows: Rows, path: Path) -> Rows:
    if not rows:
        raise ForewordError(f"{path} holds no rows; write at least one.")
    limits.rows(len(rows), path)
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            if isinstance(value, str) and len(value) > limits.CELL:
                limits.cell(len(value), f"The column '{name[:60]}' in row {number} of {path}")
    if all(name == name.strip() for row in rows for name in row):
        return rows
    stripped = [{name.strip(): value for name, value in row.items()} for row in rows]
    for number, (row, before) in enumerate(zip(stripped, rows, strict=True), 1):
        if len(row) < len(before):
            raise ForewordError(
                f"Row {number} of {path} has two columns whose names differ in blanks only; give every column its own name."
            )
    return stripped


def _from_stdin(form: Form, as_written: bool) -> Rows:
    """Rows from the standard input: JSON lines or JSON where it begins as such, else a table with a header line."""
    path = Path("<stdin>")
    raw = limits.at_most(sys.stdin.buffer, limits.BYTES)
    if raw is None:
        raise ForewordError(
            f"The standard input holds more than {limits.BYTES:,} bytes, which is more than foreword reads; give it the rows you need."
        )
    head = raw.removeprefix(codecs.BOM_UTF8).lstrip()
    if not head:
        raise ForewordError("The standard input is empty; write at least one row to it, or name a file.")
    reader = (
        _READERS[".json"]
        if head[:1] in (b"{", b"[")
        else _READERS[".tsv" if b"\t" in head.split(b"\n", 1)[0] else ".csv"]
    )
    return _checked(reader(raw, path, form, as_written), path)


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes[-1:]) if suffixes[-1:] != [".gz"] else "".join(suffixes[:-1])


def readable(path: Path | str) -> bool:
    """Whether `read_rows` knows the ending of this path."""
    return _ending(Path(path)) in _READERS


def options_of(path: Path | str) -> frozenset[str]:
    """Which options of a Form the reader of this path heeds."""
    ending = _ending(Path(path))
    if str(path) == STDIN or ending in (".csv", ".tsv"):
        return frozenset(OPTIONS)
    return frozenset({"encoding"} if ending in _READERS and ending not in BINARY else ())


def endings() -> list[str]:
    """The endings that `read_rows` knows; each may have .gz behind it."""
    return sorted(_READERS)


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, of one that ends in .gz those that it holds."""
    raw = read_bytes(path)
    if path.suffix.lower() != ".gz":
        return raw
    try:
        return unzipped(raw, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ForewordError(f"{path} is not a whole gzip file ({error}); write or download it again.") from error


def unzipped(raw: bytes, path: Path) -> bytes:
    """What a gzip file holds. Raises OSError, EOFError and zlib.error where it is damaged, ForewordError where it is too much."""
    with gzip.open(io.BytesIO(raw)) as packed:
        content = limits.at_most(packed, limits.UNPACKED)
    if content is None:
        limits.unpacked(None, path)
    return content or b""


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises ForewordError when it is not there, may not be read, or holds too much."""
    try:
        return limits.whole(path)
    except FileNotFoundError as error:
        raise ForewordError(f"There is no file {path}; check the path.") from error
    except ValueError as error:
        raise ForewordError(f"No file can have the name {str(path)!r} ({error}); check the path.") from error
    except OSError as error:
        raise ForewordError(
            f"Cannot read {path}: {error.strerror or error}; check the file and its permissions."
        ) from error


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, packed as .gz or not, without a byte-order mark. Raises ForewordError naming the line that is not in the
    encoding."""
    return _decoded(_unpacked(path), path, encoding)


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, without their ends; only line feeds and carriage returns end a line."""
    text = read_text(path, encoding)
    limits.lines(text, path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _decoded(raw: bytes, path: Path, encoding: str = "utf-8") -> str:
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode(encoding)
        if _HALVES.search(text):  # some encodings can write half of a surrogate pair
            text.encode()
        return text
    except UnicodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else 1
        raise ForewordError(
            f"Line {line} of {path} is not {encoding.upper()} text; save the file in the encoding UTF-8, or give its own, such as "
            "--encoding latin-1, where the command takes one."
        ) from error


def _refuse(path: Path, line: int, wrong: str, todo: str, cause: BaseException | None = None) -> NoReturn:
    raise ForewordError(f"Line {line} of {path} {wrong}; {todo}.") from cause


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are distinct."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' stands twice in one object")
    return row


def _parsed(text: str, path: Path, line: int, as_written: bool) -> Any:
    """One JSON value, whose text starts on the given line of the file."""
    numbers: dict[str, Any] = {"parse_float": str, "parse_int": str} if as_written else {}
    limits.objects(text, path)
    try:
        value = parsed(text, parse_constant=_no_constant, object_pairs_hook=_once, **numbers)
    except json.JSONDecodeError as error:
        at = f"{error.msg}, column {error.colno}"
        _refuse(path, line + error.lineno - 1, f"is not JSON ({at})", "mend that line", error)
    except ValueError as error:
        _refuse(path, line, f"is not JSON that can be read ({error})", "mend that line", error)
    return value


def _json_lines(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    return _lines(_decoded(raw, path, form.encoding), path, as_written)


def _lines(text: str, path: Path, as_written: bool) -> Rows:
    rows: Rows = []
    limits.lines(text, path)
    for number, line in enumerate(text.split("\n"), 1):
        limits.cell(len(line), f"Line {number} of {path}")
        if line.strip():
            limits.rows(len(rows) + 1, path)
            value = _parsed(line, path, number, as_written)
            if not isinstance(value, dict):
                wrong = f"holds a JSON {_kind(value)} where an object was expected"
                _refuse(path, number, wrong, 'write one object a line, e.g. {"input": "...", "target": "..."}')
            rows.append(value)
    return rows


def _json(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    text = _decoded(raw, path, form.encoding)
    begins = text.lstrip()[:1]
    if begins not in ("[", "{"):
        return _lines(text, path, as_written)
    if begins == "{" and _several(text):
        return _lines(text, path, as_written)
    value = _parsed(text, path, 1, as_written)
    if isinstance(value, dict):
        return of_object(value, path)
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise ForewordError(
                f"Item {number} of the list in {path} is a JSON {_kind(row)} where an object was expected; "
                f'write objects, e.g. {{"input": "...", "target": "..."}}.'
            )
    return list(value)


def _several(text: str) -> bool:
    """Whether a text is JSON lines: its first line is a value by itself, and another line follows."""
    first, _, others = text.strip().partition("\n")
    if not others or others.isspace():
        return False
    try:
        parsed(first)
    except ValueError:
        return False
    return True


def _kind(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", int: "number", float: "number", dict: "object"}
    return names.get(type(value), "null")


def _table(raw: bytes, path: Path, form: Form, as_written: bool, *, tab: bool) -> Rows:
    return table(_decoded(raw, path, form.encoding), path, form, tab=tab)


_READERS: dict[str, Callable[[bytes, Path, Form, bool], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": functools.partial(_table, tab=False),
    ".tsv": functools.partial(_table, tab=True),
    ".parquet": binary.parquet,
    ".xlsx": binary.excel,
}
