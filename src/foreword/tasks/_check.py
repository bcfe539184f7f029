"""What of a task is here, and whether it is right; it refuses to call right what differs from the sizes and digests on record."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

from foreword.data.task import SPLITS, Task
from foreword.tasks._files import BESIDE, HIDDEN, OFFICIAL, File, examined, read_by_task
from foreword.tasks._leaks import leaks
from foreword.util.errors import ForewordError

RIGHT, MISSING = "right", "missing"
SHOWN = 3  # leaked pairs that a report names


@dataclass(frozen=True)
class Held:
    """One split of the source. official: its size (0 where not known), in `unit`. file: what stands for it here, empty where
    nothing does; kind: what that is; size: what it should hold."""

    split: str
    official: int
    unit: str
    file: str
    kind: str
    size: int

    @property
    def needed(self) -> bool:
        """Whether the task cannot be read without it."""
        return self.kind != HIDDEN


def held(found: ModuleType, folder: Path | None) -> tuple[Held, ...]:
    """Every split that the task reads, and those with hidden answers, from the table alone; nothing is opened."""
    files: tuple[File, ...] = getattr(found, "FILES", ())
    made = []
    for split in dict.fromkeys(one.split for one in files if one.kind != BESIDE):
        known = [one for one in files if one.split == split and one.kind != BESIDE]
        official = next((one for one in known if one.kind in (OFFICIAL, HIDDEN)), None)
        here = next((one for one in known if folder is not None and one.here(folder)), None)
        unit, size = next(iter(official.counts.items()), ("rows", 0)) if official else ("rows", 0)
        hidden = all(one.kind == HIDDEN for one in known)
        kind = here.kind if here else HIDDEN if hidden else ""
        made.append(Held(split, size, unit, here.label if here else "", kind, here.size if here else 0))
    return tuple(made)


@dataclass(frozen=True)
class Looked:
    """One file of the source. word: `right`, `missing`, or what is wrong with it."""

    split: str
    name: str
    kind: str
    expected: Mapping[str, int]
    counts: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    word: str = RIGHT

    @property
    def ok(self) -> bool:
        """Whether it is right, or not there."""
        return self.word in (RIGHT, MISSING)


@dataclass(frozen=True)
class Read:
    """One split as the task reads it, with a digest of its examples, and what of it also stands in train."""

    split: str
    examples: int
    references: int
    digest: str
    exact: int = 0
    alike: int = 0
    near: int = 0
    pairs: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Checked:
    """A task after the check. word: one sentence on the whole; wrong: whether anything present is not right. others: files in
    the task's folder that are not on record."""

    name: str
    where: str
    files: tuple[Looked, ...]
    splits: tuple[Read, ...]
    notes: tuple[str, ...]
    word: str
    wrong: bool
    others: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@functools.cache
def digests() -> Mapping[str, str]:
    """The digests on record: the file below the data folder, in its layout of one folder a task, to its digest."""
    text = resources.files(__package__).joinpath("digests.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(text)
    return known


def checked(found: ModuleType, name: str, folder: Path | None) -> Checked:
    """Every file of the table that is there, counted and digested, then the task itself, read and searched for leaks."""
    where = "made here" if not hasattr(found, "PLACE") else str(folder or "")
    files = _looked(found, folder) if folder else ()
    bad = [one for one in files if not one.ok]
    others = _others(found, folder) if folder else ()
    absent = [one for one in held(found, folder) if one.needed and not one.file]
    if absent and where != "made here":
        lacking = ", ".join(dict.fromkeys(read_by_task(found.FILES, one.split)[0].label for one in absent))
        hub = f" It can be had from the hub as {found.HUB[0]}." if hasattr(found, "HUB") else ""
        place = f"into '{found.PLACE}' below the data folder"
        word = f"Missing: {lacking}. To have it, put {found.GET} {place}.{hub}"
        return Checked(name, where, files, (), (), _told(bad, word), bool(bad), others)
    try:
        task = found.load(folder)
    except ForewordError as error:
        return Checked(name, where, files, (), (), str(error), True, others)
    parts = [f"{one.split} is {one.kind}" for one in held(found, folder) if one.needed and one.kind != OFFICIAL]
    word = f"Present, but {'; '.join(parts)}." if parts else "Present and official." if files else "Made here."
    read = tuple(_read(task, one) for one in SPLITS)
    return Checked(name, where, files, read, task.remarks, _told(bad, word), bool(bad), others)


def _others(found: ModuleType, folder: Path) -> tuple[str, ...]:
    """The files in the folder that no table names, licences and read-me files apart."""
    named = {name for one in found.FILES for name in one.names}
    named |= {key.removeprefix(f"{found.PLACE}/") for key in digests() if key.startswith(f"{found.PLACE}/")}
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    beside = (one for one in there if not Path(one).name.upper().startswith(("LICENSE", "README")))
    return tuple(one for one in beside if one not in named and not any(one.startswith(f"{name}/") for name in named))


def _told(bad: list[Looked], word: str) -> str:
    return " ".join([*(f"{one.name}: {one.word}." for one in bad), word])


def _looked(found: ModuleType, folder: Path) -> tuple[Looked, ...]:
    made: list[Looked] = []
    files: tuple[File, ...] = found.FILES
    seen: set[str] = set()
    places = (found.PLACE, *getattr(found, "ALSO", ()))
    place = next((one for one in places if folder.as_posix().endswith(f"/{one}")), found.PLACE)
    for one in files:
        if not one.here(folder):
            alternatives = [other for other in files if other.split == one.split]
            first = alternatives[0] is one
            if one.kind == BESIDE or not first or any(other.here(folder) for other in alternatives):
                continue
            made.append(Looked(one.split, one.label, one.kind, one.counts, word=MISSING))
        elif one.label not in seen:
            seen.add(one.label)
            known = digests().get(f"{place}/{'+'.join(one.names)}", "")
            made.append(_one(one, folder, getattr(found, "UNITS", {}), known))
    return tuple(made)


def _one(file: File, folder: Path, units: Mapping[str, Any], known: str) -> Looked:
    try:
        counts, digest = examined(file, folder, units)
    except ForewordError as error:
        return Looked(file.split, file.label, file.kind, file.counts, word=f"damaged: {str(error).rstrip('.')}")
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError, OverflowError) as error:
        reason = f"its rows are not as expected ({type(error).__name__}: {error})"
        return Looked(file.split, file.label, file.kind, file.counts, word=f"damaged: {reason}")
    wrong = [
        f"{counts[unit]:,} {unit} where {size:,} are expected"
        for unit, size in file.counts.items()
        if counts[unit] != size
    ]
    word = RIGHT
    if wrong:
        word = "; ".join(wrong)
    elif known and digest != known:
        word = f"the counts are right, but its content differs from the copy on record (digest {digest}, not {known})"
    return Looked(file.split, file.label, file.kind, file.counts, counts, digest, word)


def _read(task: Task, split: str) -> Read:
    given = task.split(split)
    digest = hashlib.sha256("".join(one.digest() for one in given).encode()).hexdigest()[:16]
    found = leaks(task.train, given) if split != "train" else []
    how = Counter(one.how for one in found)
    pairs = tuple((one.how, one.scored, one.train) for one in found[:SHOWN])
    references = sum(len(one.targets) for one in given)
    return Read(split, len(given), references, digest, how["exact"], how["alike"], how["near"], pairs)
