"""Limits on the size of a file, checked before it is read into memory."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol

from foreword.util.errors import ForewordError

BYTES = 2**30  # of a file as it stands
UNPACKED = 2**29  # of what a packed file holds
ROWS = 2_000_000
LINES = 10_000_000
OBJECTS = 10_000_000  # lists and objects of one JSON value
CELL = 2**24  # letters
_SMALL = 2**24  # letters of a text whose lines and objects need no counting
_PIECE = 2**20


class Readable(Protocol):
    """What gives bytes piece by piece."""

    def read(self, size: int = ..., /) -> bytes:
        """At most so many of the next bytes; none at the end."""


def whole(path: Path) -> bytes:
    """The bytes of a file. Raises OSError, and ForewordError where they are more than BYTES."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        raw = at_most(stream, BYTES) if size <= BYTES else None
    if raw is None:
        amount = f"{size:,}" if size > BYTES else f"more than {BYTES:,}"
        raise ForewordError(
            f"{path} holds {amount} bytes, and foreword reads at most {BYTES:,}; write the rows you need to a smaller file."
        )
    return raw


def at_most(stream: Readable, most: int) -> bytes | None:
    """All that a stream holds; None where that is more than so many bytes, of which no more are taken."""
    held = io.BytesIO()
    while piece := stream.read(_PIECE):
        if held.tell() + len(piece) > most:
            return None
        held.write(piece)
    return held.getvalue()


def unpacked(size: int | None, path: Path) -> None:
    """Raises ForewordError where a packed file holds more than UNPACKED bytes (size None: it is known to)."""
    if size is None or size > UNPACKED:
        raise ForewordError(
            f"{path} unpacks to more than {UNPACKED:,} bytes, which is more than foreword reads; write the rows you need to a smaller file."
        )


def rows(count: int, path: Path) -> None:
    """Raises ForewordError where a table has more than ROWS rows."""
    if count > ROWS:
        raise ForewordError(
            f"{path} holds more than {ROWS:,} rows, which is more than foreword reads; write the rows you need to a smaller file."
        )


def cell(letters: int, what: str) -> None:
    """Raises ForewordError where a value (`what`, with its place) has more than CELL characters."""
    if letters > CELL:
        raise ForewordError(
            f"{what} holds {letters:,} letters, and no example may have more than {CELL:,}; check where its rows end, or shorten it."
        )


def lines(text: str, path: Path) -> None:
    """Raises ForewordError where a text has more than LINES lines."""
    if len(text) > _SMALL and text.count("\n") + text.count("\r") > 2 * LINES:
        raise ForewordError(
            f"{path} holds more than {LINES:,} lines, which is more than foreword reads; write the rows you need to a smaller file."
        )


def objects(text: str, path: Path) -> None:
    """Raises ForewordError where a JSON text has more than OBJECTS lists and objects."""
    if len(text) > _SMALL and text.count("{") + text.count("[") > OBJECTS:
        raise ForewordError(
            f"{path} holds more than {OBJECTS:,} lists and objects, which is more than foreword reads; write the rows you need to a "
            "smaller file."
        )
