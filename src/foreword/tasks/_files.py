"""The files of a task's source, with their sizes and digests on record.

A task's module lists them as FILES, the official file of a split first, then what may stand in for it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from foreword.data.readers import limits, read_bytes, read_lines, read_rows, read_text, unzipped
from foreword.util.errors import ForewordError
from foreword.util.files import canonical
from foreword.util.jsontext import parsed

OFFICIAL = "official"
PART = "part of the official rows"
REMADE = "made from other files"
HIDDEN = "answers hidden"
BESIDE = "not read by the task"
SCORED_OR_SHOWN = (OFFICIAL, PART, REMADE)

Units = Mapping[str, Callable[[Sequence[Any]], int]]


@dataclass(frozen=True)
class File:
    """One file, or several that are one (the names of a tuple), or a folder of files.

    split: the source's own split, or what else the file holds (`tables`). name: below the task's folder. counts: how
    many of what it holds, `rows` or a unit of the task's UNITS; the first is the size of a listing. kind: what it is to
    the task.
    """

    split: str
    name: str | tuple[str, ...]
    counts: Mapping[str, int]
    kind: str = OFFICIAL

    @property
    def names(self) -> tuple[str, ...]:
        """The names, one or several."""
        return (self.name,) if isinstance(self.name, str) else self.name

    @property
    def label(self) -> str:
        """How a listing calls it."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} and {len(self.names) - 1} more"

    @property
    def size(self) -> int:
        """The number that stands for it in a listing."""
        return next(iter(self.counts.values()), 0)

    def here(self, folder: Path) -> bool:
        """Whether all of it is in the folder."""
        return all((folder / name).exists() for name in self.names)


def read_by_task(files: Sequence[File], split: str) -> list[File]:
    """The files that a task would read as this split, the one that comes first first."""
    return [file for file in files if file.split == split and file.kind in SCORED_OR_SHOWN]


def chosen(folder: Path, files: Sequence[File], split: str) -> File:
    """The first of the split's files that is there. Raises ForewordError naming all of them."""
    known = read_by_task(files, split)
    for file in known:
        if file.here(folder):
            return file
    labels = " or ".join(file.label for file in known)
    raise ForewordError(f"The folder {folder} has no {labels}; put the file there.")


def pick(folder: Path, files: Sequence[File], split: str) -> Path:
    """The path of the first of the split's files that is there. Raises ForewordError naming all of them."""
    return folder / chosen(folder, files, split).names[0]


def examined(file: File, folder: Path, units: Units) -> tuple[dict[str, int], str]:
    """What a file holds: how many of each of its units, and its digest. Raises ForewordError where it is damaged.

    The digest is the first 16 hexadecimal digits of the SHA-256 of its content: JSON by its values, other text without
    its byte-order mark and with line feeds alone, so that the same rows written in another way have the same one.
    """
    rows: list[Any] = []
    digest = hashlib.sha256()
    for name in file.names:
        path = folder / name
        if path.is_dir():
            return {unit: sum(1 for _ in path.iterdir()) for unit in file.counts}, ""
        parsed, content = _content(path)
        rows.extend(parsed)
        for piece in content:
            digest.update(piece.encode())
    counts = {unit: units[unit](rows) if unit in units else len(rows) for unit in file.counts}
    return counts, digest.hexdigest()[:16]


def _content(path: Path) -> tuple[list[Any], Iterable[str]]:
    """(rows, the pieces of text that its digest is made of)."""
    name = path.name.lower()
    if name.endswith(".jsonl.gz"):
        rows = json_lines_gz(path)
    elif name.endswith(".jsonl"):
        rows = list(read_rows(path))
    elif name.endswith(".json"):
        rows = items(json_value(path))
    else:
        lines = read_text(path, _encoding(path)).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
        if name.endswith(".xml"):
            return list(_root(lines, path).iter("entry")), (lines,)
        if name.endswith(".csv"):
            return list(read_rows(path)), (lines,)
        if name.endswith(".tsv"):
            return lines.split("\n")[1:], (lines,)
        return [line for line in lines.split("\n") if line.strip()], (lines,)
    return rows, (canonical(row) + "\n" for row in rows)


def items(value: Any) -> list[Any]:
    """The rows of a JSON value: of a list its members, of an object under `data` likewise, else of an object its pairs."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    return list(value) if isinstance(value, list) else [list(pair) for pair in value.items()]


def _encoding(path: Path) -> str:
    try:
        read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def json_value(path: Path) -> Any:
    """The list or object that a JSON file holds. Raises ForewordError naming the file and the line that is damaged."""
    try:
        text = read_text(path)
        limits.objects(text, path)
        value = parsed(text)
    except json.JSONDecodeError as error:
        raise ForewordError(
            f"Line {error.lineno} of {path} is not JSON ({error.msg}, column {error.colno}); download the file again."
        ) from error
    except ValueError as error:
        raise ForewordError(f"{path} is no JSON that can be read ({error}); download the file again.") from error
    if not isinstance(value, list | dict):
        raise ForewordError(f"{path} holds neither a JSON list nor an object; download the file again.")
    return value


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, row) of a JSON-lines file, one at a time. Raises ForewordError naming the file and the damaged line."""
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield number, _row(line, path, number)


def _row(line: str, path: Path, number: int) -> Any:
    try:
        return parsed(line)
    except json.JSONDecodeError as error:
        raise ForewordError(
            f"Line {number} of {path} is not JSON ({error.msg}, column {error.colno}); download the file again."
        ) from error
    except ValueError as error:
        raise ForewordError(
            f"Line {number} of {path} is no JSON that can be read ({error}); download the file again."
        ) from error


def json_lines_gz(path: Path) -> list[Any]:
    """The rows of a gzipped JSON-lines file. Raises ForewordError naming the file and the line that is damaged."""
    try:
        text = unzipped(read_bytes(path), path).decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ForewordError(f"{path} is not a whole gzip file of text ({error}); download the file again.") from error
    limits.lines(text, path)
    return [_row(line, path, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def xml_root(path: Path) -> ElementTree.Element:
    """The root of an XML file. Raises ForewordError naming the file and the line where it breaks off."""
    return _root(read_text(path), path)


def _root(text: str, path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text.encode())
    except (ValueError, LookupError) as error:  # of an encoding that its head names
        raise ForewordError(f"{path} is not XML in UTF-8 ({error}); download the file again.") from error
    except ElementTree.ParseError as error:
        line, column = error.position
        reason = str(error).split(":")[0]
        raise ForewordError(
            f"Line {line} of {path} is not XML ({reason}, column {column + 1}); download the file again."
        ) from error
