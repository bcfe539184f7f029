"""The log of requests: a JSON object a line, written in one piece before the answer's last byte goes out; it refuses to leave half a line,
and to keep what was said unless it is told to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foreword.util.errors import ForewordError

if sys.platform != "win32":
    import fcntl

SCHEME = 1  # of a line's names
BLOCK = 1 << 16


class LogError(ForewordError):
    """A line cannot be written: the disk is full, or gone."""


class RequestLog:
    """A log in one file. most: bytes after which it is put aside under the time's name and a new one begun. Every answer that a caller got
    whole has its line: a killed server loses at most a line whose answer nobody got whole. Raises ForewordError where another server writes
    there."""

    def __init__(self, path: Path, most: int = 100_000_000) -> None:
        self.path, self.most = path, most
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._opened()

    def write(self, values: dict[str, Any]) -> None:
        """Add a line. Raises LogError where that fails; what was written of the line is then cut off, and later lines are tried anew."""
        line = (json.dumps({"v": SCHEME} | values, ensure_ascii=False, allow_nan=False) + "\n").encode(
            "utf-8", "replace"
        )
        try:
            if self._size and self._size + len(line) > self.most:
                self._rotate()
            done = 0
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError as error:
            os.ftruncate(self._file, self._size)  # a log that stays whole
            raise LogError(
                f"The log {self.path} cannot be written ({error.strerror}), and no answer goes out without its line; free some space."
            ) from error
        self._size += len(line)

    def close(self) -> None:
        """Write nothing more."""
        os.close(self._file)

    def _opened(self) -> int:
        """The file, held against other servers, behind its last whole line."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        if sys.platform != "win32":
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                raise ForewordError(f"Another server writes the log {self.path}; give --log another file.") from error
        self._size = _mended(handle)
        return handle

    def _rotate(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
        self.path.replace(aside)
        full, size = self._file, self._size
        try:
            self._file = self._opened()
        except (OSError, ForewordError):
            aside.replace(self.path)
            self._size = size
            raise
        os.close(full)


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; one that is being written is left out."""
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _mended(handle: int) -> int:
    """The size of a log that ends in a whole line: what a kill left of a line is cut off."""
    size = os.fstat(handle).st_size
    end = size
    while end:
        start = max(0, end - BLOCK)
        at = os.pread(handle, end - start, start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return end
