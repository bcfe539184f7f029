"""Locks on files and folders that end with their process and need no file of their own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

TRIES = 100  # at a folder that others remove as soon as it is made


@contextlib.contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Hold a file or folder that is there, without waiting. Yields False where another holds it, where it is gone, and where locks do
    not work: it is then not to be removed."""
    handle = None
    with contextlib.suppress(OSError):
        handle = _lock(path, wait=False)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def hold(path: Path) -> int:
    """A handle that holds the lock of a file that nobody else knows of; a plain handle where locks do not work."""
    try:
        handle = _lock(path, wait=False)
    except OSError:
        handle = None
    return os.open(path, os.O_RDONLY) if handle is None else handle


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Make the folder where it is missing, and hold it: no other process or thread has it within the block, in which it may be removed.

    waiting: called once before this waits for another; without it nothing is waited for, and False is yielded where another has it.
    Where locks do not work, all go on. Raises OSError where the folder cannot be made.
    """
    handle, works = _own(folder, waiting)
    try:
        yield handle is not None or not works
    finally:
        if handle is not None:
            os.close(handle)


def _own(folder: Path, waiting: Callable[[], None] | None) -> tuple[int | None, bool]:
    """A handle that holds the folder's lock, None where another has it; and whether locks work."""
    for attempt in range(TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = _lock(folder, wait=False)
            if handle is None and waiting is not None:
                waiting()
                handle = _lock(folder, wait=True)
            return handle, True
        except (FileNotFoundError, FileExistsError):  # who had it has removed it meanwhile
            if attempt == TRIES - 1:
                raise
        except OSError:
            if not folder.is_dir():
                raise
            break
    return None, False


def _lock(path: Path, *, wait: bool) -> int | None:
    """A handle that holds the lock until it is closed; None where another has it. Raises OSError where nothing is there, or where locks
    do not work."""
    while True:
        handle = os.open(path, os.O_RDONLY)
        try:
            if sys.platform != "win32":
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:  # whatever it is, Ctrl-C too, it goes on; the handle is closed first
            os.close(handle)
            raise
        os.close(handle)  # what it was has been removed or replaced meanwhile
