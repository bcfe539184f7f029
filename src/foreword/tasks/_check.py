"""Which files of a task are there, and whether their sizes and digests are those on record."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
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
SCORED = (
    "test",
    "dev",
    "eval",
    "valid",
    "val",
)  # names of what is scored, the one that comes first where its answers are public
DEV = SCORED[1:]
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

    @property
    def name(self) -> str:
        """`dev` for all that sources call it; else the source's own name."""
        return "dev" if self.split in DEV else self.split


def scored_of(splits: Iterable[Held], split: str = "test") -> Held | None:
    """The one of these that is scored; see `tasks.scored`."""
    by_name = {split.split: split for split in splits if split.needed}
    scored = [by_name[name] for name in SCORED if name in by_name]
    return next(iter(scored if split == "test" else scored[1:]), None)


def held(task_module: ModuleType, folder: Path | None) -> tuple[Held, ...]:
    """Every split that the task reads, and those with hidden answers, from the table alone; nothing is opened."""
    files: tuple[File, ...] = getattr(task_module, "FILES", ())
    splits = []
    for split in dict.fromkeys(file.split for file in files if file.kind != BESIDE):
        known = [file for file in files if file.split == split and file.kind != BESIDE]
        official = next((file for file in known if file.kind in (OFFICIAL, HIDDEN)), None)
        here = next((file for file in known if folder is not None and file.here(folder)), None)
        unit, size = next(iter(official.counts.items()), ("rows", 0)) if official else ("rows", 0)
        hidden = all(file.kind == HIDDEN for file in known)
        kind = here.kind if here else HIDDEN if hidden else ""
        splits.append(Held(split, size, unit, here.label if here else "", kind, here.size if here else 0))
    return tuple(splits)


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


def checked(task_module: ModuleType, name: str, folder: Path | None) -> Checked:
    """Every file of the table that is there, counted and digested, then the task itself, read and searched for leaks."""
    where = "made here" if not hasattr(task_module, "PLACE") else str(folder or "")
    files = _looked(task_module, folder) if folder else ()
    bad = [file for file in files if not file.ok]
    others = _others(task_module, folder) if folder else ()
    absent = [split for split in held(task_module, folder) if split.needed and not split.file]
    if absent and where != "made here":
        lacking = ", ".join(dict.fromkeys(read_by_task(task_module.FILES, split.split)[0].label for split in absent))
        hub = f" It can be had from the hub as {task_module.HUB[0]}." if hasattr(task_module, "HUB") else ""
        place = f"into '{task_module.PLACE}' below the data folder"
        word = f"Missing: {lacking}. To have it, put {task_module.GET} {place}.{hub}"
        return Checked(name, where, files, (), (), _summary(bad, word), bool(bad), others)
    try:
        task = task_module.load(folder)
    except ForewordError as error:
        return Checked(name, where, files, (), (), str(error), True, others)
    parts = [
        f"{split.split} is {split.kind}"
        for split in held(task_module, folder)
        if split.needed and split.kind != OFFICIAL
    ]
    word = f"Present, but {'; '.join(parts)}." if parts else "Present and official." if files else "Made here."
    read = tuple(_read(task, split) for split in SPLITS)
    return Checked(name, where, files, read, task.remarks, _summary(bad, word), bool(bad), others)


def _others(task_module: ModuleType, folder: Path) -> tuple[str, ...]:
    """The files in the folder that no table names, licences and read-me files apart."""
    named = {name for file in task_module.FILES for name in file.names}
    named |= {key.removeprefix(f"{task_module.PLACE}/") for key in digests() if key.startswith(f"{task_module.PLACE}/")}
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    beside = (path for path in there if not Path(path).name.upper().startswith(("LICENSE", "README")))
    return tuple(
        path for path in beside if path not in named and not any(path.startswith(f"{name}/") for name in named)
    )


def _summary(bad: list[Looked], word: str) -> str:
    return " ".join([*(f"{file.name}: {file.word}." for file in bad), word])


def _looked(task_module: ModuleType, folder: Path) -> tuple[Looked, ...]:
    looked: list[Looked] = []
    files: tuple[File, ...] = task_module.FILES
    labels: set[str] = set()
    places = (task_module.PLACE, *getattr(task_module, "ALSO", ()))
    place = next((name for name in places if folder.as_posix().endswith(f"/{name}")), task_module.PLACE)
    for file in files:
        if not file.here(folder):
            alternatives = [other for other in files if other.split == file.split]
            first = alternatives[0] is file
            if file.kind == BESIDE or not first or any(other.here(folder) for other in alternatives):
                continue
            looked.append(Looked(file.split, file.label, file.kind, file.counts, word=MISSING))
        elif file.label not in labels:
            labels.add(file.label)
            known = digests().get(f"{place}/{'+'.join(file.names)}", "")
            looked.append(_examine(file, folder, getattr(task_module, "UNITS", {}), known))
    return tuple(looked)


def _examine(file: File, folder: Path, units: Mapping[str, Any], known: str) -> Looked:
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
    examples = task.split(split)
    digest = hashlib.sha256("".join(example.digest() for example in examples).encode()).hexdigest()[:16]
    leak_list = leaks(task.train, examples) if split != "train" else []
    how = Counter(leak.how for leak in leak_list)
    pairs = tuple((leak.how, leak.scored, leak.train) for leak in leak_list[:SHOWN])
    references = sum(len(example.targets) for example in examples)
    return Read(split, len(examples), references, digest, how["exact"], how["alike"], how["near"], pairs)
