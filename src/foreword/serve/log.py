"""The log of requests: a JSON object a line, written in one piece before the answer's last byte goes out; it refuses to leave half a line,
and to keep what was said unless it is told to."""

from __future__ import annotations

import contextlib
import errno
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
BEGIN = b'{"v": '  # of every line
BLOCK = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, or of a user's share of it


class LogError(ForewordError):
    """A line cannot be written: the disk is full or gone, or another server writes there."""


class RequestLog:
    """A log in one file. most: bytes after which it is put aside under the time's name and a new one begun; one that was moved or deleted
    is begun anew, too. Every answer that a caller got whole has its line: a killed server loses at most a line whose answer nobody got
    whole. Raises LogError where another server writes there, and where the file is no log."""

    def __init__(self, path: Path, most: int = 100_000_000) -> None:
        self.path, self.most = path, most
        self._file = self._opened()

    def write(self, values: dict[str, Any]) -> None:
        """Add a line. Raises LogError where that fails; what was written of the line is then cut off, and later lines are tried anew."""
        line = (json.dumps({"v": SCHEME} | values, ensure_ascii=False, allow_nan=False) + "\n").encode(
            "utf-8", "replace"
        )
        begun: int | None = None  # the size before the line
        try:
            size = self._size_in_place()
            if size is None:
                self._renew()
            elif size and size + len(line) > self.most:
                self._rotate()
            done, begun = 0, os.fstat(self._file).st_size
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError as error:
            if begun is not None:
                os.ftruncate(self._file, begun)  # a log that stays whole
            cure = "free some space" if error.errno in FULL else "check that its folder can be written to"
            raise LogError(
                f"The log {self.path} cannot be written ({error.strerror}), and no answer goes out without its line; {cure}."
            ) from error

    def close(self) -> None:
        """Write nothing more."""
        os.close(self._file)

    def _size_in_place(self) -> int | None:
        """The size of the file that is written; None where it is no longer the one of this name."""
        held = os.fstat(self._file)
        try:
            return held.st_size if os.path.samestat(self.path.stat(), held) else None
        except FileNotFoundError:
            return None

    def _opened(self) -> int:
        """The file, held against other servers, behind its last whole line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            _hold(handle, self.path)
            _refuse_other(handle, self.path)
            _mend(handle)
        except (OSError, LogError):
            os.close(handle)
            raise
        return handle

    def _renew(self) -> None:
        """Go on in the file of this name, made where there is none; in the old one where that fails."""
        before, self._file = self._file, self._opened()
        os.close(before)

    def _rotate(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
        with contextlib.suppress(FileNotFoundError):  # moved or deleted meanwhile
            self.path.replace(aside)
        try:
            self._renew()
        except (OSError, LogError):
            with contextlib.suppress(FileNotFoundError):
                aside.replace(self.path)
            raise


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; one that is being written is left out."""
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _hold(handle: int, path: Path) -> None:
    """Keep other servers out. Raises LogError where one is in."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LogError(f"Another server writes the log {path}; give --log another file.") from error


def refuse_other(path: Path) -> None:
    """Raises LogError where something else than a log of requests is in the file: nothing of it is to be cut off or added to."""
    if path.is_file():
        with path.open("rb") as stream:
            _refuse_other(stream.fileno(), path)


def _refuse_other(handle: int, path: Path) -> None:
    begin = os.pread(handle, BLOCK, 0)
    first = BEGIN[: len(begin)]  # of a log whose first line was cut short, too
    if begin[: len(first)] != first:
        raise LogError(
            f"{path} is there and is no log of requests; give --log a new file, or the log of an earlier server."
        )


def _mend(handle: int) -> None:
    """Cut off what a kill left of a log's last line."""
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
