"""Whole-or-nothing files: written beside their place, then renamed into it; it refuses to leave half a file behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from foreword.errors import ForewordError
from foreword.jsontext import parsed, shallow

if sys.platform != "win32":
    import fcntl

YOUNG = 1.0  # seconds within which a part may not be locked yet


def _refusal(path: Path, error: OSError) -> ForewordError:
    reason = error.strerror or str(error)
    return ForewordError(f"Cannot write {path}: {reason}; free some space or choose a folder you may write to.")


def writable_folder(path: Path) -> Path:
    """Make the folder and prove that a file can be written there, before any work is done. Raises ForewordError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _refusal(path, error) from error
    return path


def may_write(folder: Path) -> None:
    """Prove that the folder is there, or could be made, and that a file could be written there; leaves nothing behind. Raises
    ForewordError."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _refusal(folder, error) from error


def cache_folder() -> Path:
    """Where foreword may keep what it can compute again: the environment's FOREWORD_CACHE, else the platform's cache folder. It need
    not exist, nor be writable."""
    given = os.environ.get("FOREWORD_CACHE", "")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("foreword", appauthor=False))


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Marks a part as being written: the lock dies with its process, and `tidy` takes only what nobody holds."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(part, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _abandoned(part: Path) -> bool:
    """Whether the process that wrote this part is gone. Where locks do not work, nothing is taken for abandoned."""
    if sys.platform == "win32":
        return False
    try:
        if time.time() - part.stat().st_mtime < YOUNG:
            return False
        handle = os.open(part, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def tidy(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left of a half-written file or folder of this name, or of any name where the folder is all
    ours; what was being replaced is put back. Looks into this folder and not below it."""
    for old in folder.glob(f".{name}.*.old"):
        if _abandoned(old):
            for kept in old.iterdir():
                if not (folder / kept.name).exists():
                    kept.replace(folder / kept.name)
            shutil.rmtree(old, ignore_errors=True)
    for part in folder.glob(f".{name}.*.part"):
        if _abandoned(part):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it becomes `path` only when the block ends without an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        Path(name).chmod(0o666 & ~_umask())
    except OSError as error:
        raise _refusal(path, error) from error
    part = Path(name)
    try:
        with _locked(part):
            yield part
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it takes the place of `path` only when the block ends without an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        part.chmod(0o777 & ~_umask())
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        with _locked(part):
            yield part
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            with _locked(old):
                path.replace(old / path.name)
                part.replace(path)
                shutil.rmtree(old, ignore_errors=True)
        else:
            part.replace(path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spare spaces: the same value is always the same text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write the text whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, keys in sorted order, so the same value gives the same bytes) whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file that foreword or a peer wrote. Raises ForewordError naming the file when it is absent or damaged."""
    try:
        return shallow(parsed(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ForewordError(f"There is no {what} at {path}; check the path.") from error
    except (OSError, ValueError) as error:
        raise ForewordError(f"The {what} at {path} is damaged ({error}); write or download it again.") from error
