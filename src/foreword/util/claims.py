"""Claims on pieces of work that several processes share through a folder: made once, kept alive by a heartbeat, taken over from the dead;
they refuse to be held by two, and let one who wakes up late find out that it holds nothing any more."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foreword.util.files import unwritable
from foreword.util.locks import hold, taken

TRIES = 5  # at a folder that others remove as soon as it is empty
BEAT, PATIENCE = (
    2.0,
    30.0,
)  # seconds between two signs of life, and without one until a claim of another machine is taken over


@dataclass
class Claim:
    """A piece of work that this process has. turn: 1 for the first that claims it; one more for each that takes it over."""

    folder: Path
    name: str
    turn: int
    owner: str
    _handle: int

    @property
    def path(self) -> Path:
        """The file that says so."""
        return _file(self.folder, self.name, self.turn)

    def beat(self) -> None:
        """A sign of life."""
        with contextlib.suppress(OSError):  # taken over and removed
            os.utime(self.path)

    def lost(self) -> bool:
        """Whether another has taken it over, or it was given up for dead and is done."""
        return _owner(self.path) != self.owner or _last(self.folder, self.name) > self.turn

    def release(self) -> None:
        """Give it back: its files are removed where it is still held."""
        if not self.lost():
            for turn in range(1, self.turn + 1):
                _file(self.folder, self.name, turn).unlink(missing_ok=True)
        os.close(self._handle)


@dataclass
class Claims:
    """The claims of a folder as one worker sees them. patience: seconds without a sign of life, by this process's own clock, after
    which a claim of a process elsewhere, or of one that is stopped, is taken over; a process of this machine that has died is known by
    its lock at once."""

    folder: Path
    patience: float = PATIENCE
    beat: float = BEAT
    now: Callable[[], float] = time.monotonic
    _sightings: dict[str, tuple[object, float]] = field(default_factory=dict)

    def take(self, name: str) -> Claim | None:
        """The claim on a piece of work; None where another has it, or was quicker."""
        for _ in range(TRIES):
            turn = _last(self.folder, name)
            if turn and not self._dead(name, turn):
                return None
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                return self._make(name, turn + 1)
            except FileNotFoundError:  # another removed the folder, empty as it was, in between
                continue
            except OSError as error:
                raise unwritable(self.folder, error) from error
        return None

    def held(self) -> dict[str, int]:
        """The names that are claimed now, with their turns."""
        claimed: dict[str, int] = {}
        for path in self.folder.glob("*.claim"):
            name, _, turn = path.name.removesuffix(".claim").rpartition(".")
            if turn.isdigit():
                claimed[name] = max(claimed.get(name, 0), int(turn))
        return claimed

    def sweep(self) -> None:
        """Remove the claims of the dead, so that they are not counted any more."""
        for name in self.held():
            claim = self.take(name)
            if claim is not None:
                claim.release()

    @contextlib.contextmanager
    def alive(self, claim: Claim, also: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Signs of life while the block runs, and release at its end. also: called at each of them."""
        stop = threading.Event()

        def beating() -> None:
            while not stop.wait(self.beat):
                claim.beat()
                also()

        thread = threading.Thread(target=beating, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            claim.release()

    def _dead(self, name: str, turn: int) -> bool:
        path = _file(self.folder, name, turn)
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            sign: object = (about["owner"], path.stat().st_mtime_ns)
            here = about["host"] == _host()
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ):  # released meanwhile, or unreadable: its sign of life decides
            sign, here = "unreadable", False
        if here:
            with taken(path) as free:
                if free:
                    return True
        known, since = self._sightings.get(path.name, (None, 0.0))
        if sign != known:
            self._sightings[path.name] = (sign, self.now())
            return False
        return self.now() - since >= self.patience

    def _make(self, name: str, turn: int) -> Claim | None:
        """The claim's file appears with its lock held, or not at all: nobody sees one that looks dead."""
        owner = uuid.uuid4().hex
        part = self.folder / f".{name}.{owner}"
        part.write_text(json.dumps({"owner": owner, "host": _host(), "pid": os.getpid()}), encoding="utf-8")
        handle = hold(part)
        try:
            os.link(part, _file(self.folder, name, turn))
        except FileExistsError:
            os.close(handle)
            return None
        finally:
            part.unlink()
        return Claim(self.folder, name, turn, owner, handle)


@functools.cache
def _host() -> str:
    """This machine, since it was started: locks of its processes are seen by each other."""
    started = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {started.read_text().strip() if started.is_file() else ''}"


def _file(folder: Path, name: str, turn: int) -> Path:
    return folder / f"{name}.{turn}.claim"


def _last(folder: Path, name: str) -> int:
    """The highest turn of a name; 0 where nobody claims it."""
    turns = [path.name.removesuffix(".claim").rpartition(".")[2] for path in folder.glob(f"{name}.*.claim")]
    return max((int(turn) for turn in turns if turn.isdigit()), default=0)


def _owner(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["owner"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
