"""Writes whole files or nothing: beside their place, then renamed into it; a place where a device, another folder or an input stands is
refused."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed, shallow
from foreword.util.locks import alone, taken

YOUNG = 1.0  # seconds within which a part may not be locked yet
STEM = 120  # bytes of a name that stand in the names of its parts; of a longer one, a digest
ADVICE = {
    "free some space or choose a folder elsewhere": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "choose a folder you may write to": (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST),
    "give a shorter name": (errno.ENAMETOOLONG,),
    "give another name": (errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP),
    "something removed its folder meanwhile, so run the command again": (errno.ENOENT, errno.ESTALE),
}


def unwritable(path: Path, error: OSError) -> ForewordError:
    """The refusal of a place that the system refused."""
    reason = error.strerror or str(error)
    advice = next((words for words, codes in ADVICE.items() if error.errno in codes), None)
    return ForewordError(
        f"Cannot write {path}: {reason}; {advice or 'free some space or choose a folder you may write to'}."
    )


def writable_folder(path: Path) -> Path:
    """Make the folder and prove that a file can be written there, before any work is done. Raises ForewordError."""
    may_write(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def may_write(folder: Path) -> None:
    """Prove that the folder is there, or could be made, and that a file could be written there; leaves nothing behind. Raises
    ForewordError."""
    try:
        there = Path(os.path.realpath(folder))
        missing = []
        while not os.path.lexists(there) and there != there.parent:
            missing.append(there.name)
            there = there.parent
        with tempfile.TemporaryFile(dir=there):  # without a name where the system can, so that no kill leaves it
            longest = os.pathconf(there, "PC_NAME_MAX")
        if any(len(os.fsencode(name)) > longest for name in missing):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except (OSError, ValueError) as error:
        raise unwritable(folder, error if isinstance(error, OSError) else OSError(str(error))) from error


def may_write_file(path: Path) -> None:
    """Prove that a file could be written there, or that what stands there takes what is written to it; leaves nothing behind. Raises
    ForewordError."""
    target, through = _target(path)
    if not through:
        may_write(target.parent)
        try:
            target.lstat()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise unwritable(path, error) from error


def refuse_input(out: Path, inputs: Mapping[str, str]) -> None:
    """Raises ForewordError where the place to be written is itself one of the inputs (a path by the flag that names it), or is a file
    inside one."""
    for flag, path in inputs.items():
        if not path or not os.path.exists(path) or not os.path.exists(out):  # noqa: PTH110 - false also for a text that is no path
            continue
        inside = out.is_file() and Path(os.path.realpath(path)) in Path(os.path.realpath(out)).parents
        if os.path.samefile(path, out) or (inside and flag in ("--model", "--prompt")):  # noqa: PTH121
            what = f"lies inside {flag} {path}" if inside else f"is what {flag} names"
            raise ForewordError(f"--out {out} {what}, and would be written over; give --out another name.")


def _target(path: Path) -> tuple[Path, bool]:
    """Where a file is to stand, links followed, and whether what stands there is written through and not replaced: a terminal, a pipe,
    a device of characters, and whatever this process's own output goes to. Raises ForewordError for what no file can stand for."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return Path(os.path.realpath(path)), False
    except (OSError, ValueError) as error:
        raise unwritable(path, error if isinstance(error, OSError) else OSError(str(error))) from error
    if stat.S_ISCHR(about.st_mode) or stat.S_ISFIFO(about.st_mode) or _stream(about) is not None:
        return path, True
    if not stat.S_ISREG(about.st_mode):
        kind = "folder" if stat.S_ISDIR(about.st_mode) else "socket" if stat.S_ISSOCK(about.st_mode) else "device"
        raise ForewordError(f"Cannot write {path}: it is a {kind}; give the name of a file.")
    return Path(os.path.realpath(path)), False


def _stream(about: os.stat_result) -> int | None:
    """The one of this process's own outputs that goes there."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), about):
                return descriptor
    return None


def is_output(path: Path) -> bool:
    """Whether what is written there goes where standard output goes."""
    try:
        return _stream(path.stat()) == 1
    except OSError:
        return False


def _pour(part: Path, path: Path) -> None:
    """Write a finished part through what stands at the path."""
    descriptor = _stream(path.stat())
    if descriptor is not None:
        (sys.stdout if descriptor == 1 else sys.stderr).flush()
    destination: Any = path if descriptor is None else os.dup(descriptor)
    with part.open("rb") as source, open(destination, "wb") as sink:  # noqa: PTH123 - a path, or a descriptor
        shutil.copyfileobj(source, sink)


def cache_folder() -> Path:
    """Where foreword may keep what it can compute again: the environment's FOREWORD_CACHE, else the platform's cache folder. It need
    not exist, nor be writable."""
    folder = os.environ.get("FOREWORD_CACHE", "")
    return Path(folder).expanduser() if folder else Path(platformdirs.user_cache_dir("foreword", appauthor=False))


def tidy(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of a half-written file or folder of this name, or of any name where the folder is all
    ours; what was being replaced is put back. Looks into this folder and not below it."""
    stem = glob.escape(_stem(name)) if name else "*"
    for old in sorted(folder.glob(f".{stem}.*.old")):
        with _abandoned(old) as left, contextlib.suppress(FileNotFoundError):
            if left:
                for entry in old.iterdir():
                    if not (folder / entry.name).exists():
                        entry.replace(folder / entry.name)
                shutil.rmtree(old, ignore_errors=True)
    for part in sorted(folder.glob(f".{stem}.*.part")):
        with _abandoned(part) as left:
            if left:
                shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


@contextlib.contextmanager
def _abandoned(part: Path) -> Iterator[bool]:
    """Whether the process that wrote this part is gone; it is held in the block. Where locks do not work, nothing is taken for
    abandoned. A date in the future says nothing about age."""
    try:
        young = abs(time.time() - part.stat().st_mtime) < YOUNG
    except OSError:
        young = True
    if young:
        yield False
        return
    with taken(part) as free:
        yield free and sys.platform != "win32"


def _stem(name: str) -> str:
    """What of a name stands in the names of its parts."""
    raw = os.fsencode(name)
    return name if len(raw) <= STEM else hashlib.sha256(raw).hexdigest()[:40]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of the block; what killed processes left of theirs is removed first."""
    above = Path(tempfile.gettempdir())
    tidy(above, "foreword")
    with _part(above / "foreword", folder=True) as part:
        yield part


@contextlib.contextmanager
def _part(path: Path, *, folder: bool) -> Iterator[Path]:
    """A file or folder beside `path`, held until the block ends, and then removed where it still stands there."""
    prefix = f".{_stem(path.name)}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            if folder:
                part = Path(tempfile.mkdtemp(".part", prefix, path.parent))
            else:
                handle, name = tempfile.mkstemp(".part", prefix, path.parent)
                os.close(handle)
                part = Path(name)
            part.chmod((0o777 if folder else 0o666) & ~_umask())
            hold = taken(part)
            hold.__enter__()
            if part.exists():  # else another took it for abandoned before it was held
                break
            hold.__exit__(None, None, None)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield part
    finally:
        hold.__exit__(None, None, None)
        shutil.rmtree(part, ignore_errors=True) if folder else part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, links followed; it becomes `path` only when the block ends without an error. What is no
    file (a pipe, a terminal) is written through then. What was there before passes on who may read it. Raises ForewordError."""
    target, through = _target(path)
    try:
        with _part(Path(tempfile.gettempdir()) / "foreword" if through else target, folder=False) as part:
            yield part
            if through:
                _pour(part, path)
                return
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            _as_before(part, target)
            part.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error


def _as_before(part: Path, target: Path) -> None:
    """Give a part the owner, as far as this process may, and the permissions of the file whose place it takes."""
    with contextlib.suppress(FileNotFoundError):
        before = target.stat()
        for owner, group in ((before.st_uid, before.st_gid), (-1, before.st_gid)):
            with contextlib.suppress(PermissionError, AttributeError):  # another's file; a system without owners
                os.chown(part, owner, group)
                break
        part.chmod(stat.S_IMODE(before.st_mode))


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, links followed; it takes the place of `path` only when the block ends without an error.
    Raises ForewordError."""
    target = Path(os.path.realpath(path))
    if target.is_file():
        raise ForewordError(f"Cannot write {path}: a file stands there; give the name of a folder.")
    try:
        with _part(target, folder=True) as part:
            yield part
            _swap(part, target)
    except OSError as error:
        raise unwritable(path, error) from error


def _swap(part: Path, target: Path) -> None:
    """Put a finished folder in its place, one writer after the other; what stood there is beside it until then, where `tidy` finds it
    after a kill."""
    turn = target.parent / f".{_stem(target.name)}.turn.part"
    with alone(turn, waiting=lambda: None):
        try:
            if not target.exists():
                part.replace(target)
                return
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{_stem(target.name)}.", suffix=".old"))
            with alone(target, waiting=lambda: None), taken(old):
                target.replace(old / target.name)
                try:
                    part.replace(target)
                finally:
                    if target.exists():
                        shutil.rmtree(old, ignore_errors=True)
        finally:
            remove_empty(turn)


@contextlib.contextmanager
def held(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """`locks.alone`, its folder made where it is missing; raises ForewordError where it cannot be."""
    with contextlib.ExitStack() as stack:
        try:
            free = stack.enter_context(alone(folder, waiting))
        except OSError as error:
            raise unwritable(folder, error) from error
        yield free


def remove_empty(*folders: Path) -> None:
    """Remove these folders, in this order, as far as they are there and nothing stands in them."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def stands(name: str | Path, *, folder: bool = False) -> bool:
    """Whether there is a file or folder (a folder) of this name; a name that no disk can hold has none."""
    try:
        return Path(name).is_dir() if folder else Path(name).exists()
    except (OSError, ValueError):  # too long, or a zero byte in it
        return False


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


def write_json_once(path: Path, value: Any) -> bool:
    """`write_json` where nothing stands there yet: whoever comes second changes nothing. False for the second."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with _part(path, folder=False) as part:
        part.write_text(text, encoding="utf-8")
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise unwritable(path, error) from error
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, keys in sorted order, so the same value gives the same bytes) whole or not at all."""
    write_text(path, json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file that foreword or a peer wrote. Raises ForewordError naming the file when it is absent or damaged."""
    try:
        return shallow(parsed(path.read_text(encoding="utf-8")), finite=True)
    except FileNotFoundError as error:
        raise ForewordError(f"There is no {what} at {path}; check the path.") from error
    except (OSError, ValueError) as error:
        raise ForewordError(f"The {what} at {path} is damaged ({error}); write or download it again.") from error


def read_object(path: Path, what: str) -> dict[str, Any]:
    """`read_json` of a file that holds one JSON object. Raises ForewordError where it holds something else."""
    value = read_json(path, what)
    if not isinstance(value, dict):
        raise ForewordError(f"The {what} at {path} is damaged (it holds no JSON object); write or download it again.")
    return value
