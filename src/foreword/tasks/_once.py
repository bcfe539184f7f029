"""A cache of one: a task whose files have not changed is read once in a process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from foreword.data.task import Task
from foreword.tasks._files import File

Load = Callable[[Path | None], Task]


def once(files: Sequence[File]) -> Callable[[Load], Load]:
    """Marks a `load(folder)` that reads only these files: it is called again when one of them has another size or time of
    change, is new or is gone, or for another folder."""

    def wrapped(load: Load) -> Load:
        @functools.lru_cache(maxsize=1)
        def cached(folder: Path | None, _: tuple[tuple[str, int, int], ...]) -> Task:
            return load(folder)

        @functools.wraps(load)
        def loading(folder: Path | None) -> Task:
            return cached(folder, tuple(_stamps(folder, files)) if folder else ())

        return loading

    return wrapped


def _stamps(folder: Path, files: Sequence[File]) -> Iterator[tuple[str, int, int]]:
    """(name, size, time of change in nanoseconds) of every file that is there, those of a folder included."""
    for name in dict.fromkeys(name for file in files for name in file.names):
        path = folder / name
        for each in sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []:
            known = each.stat()
            yield each.relative_to(folder).as_posix(), known.st_size, known.st_mtime_ns
