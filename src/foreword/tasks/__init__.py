"""The shelf of tasks: a file each, or several in a file, and those of other packages; where data are not here, it says what to download."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from foreword.data.examples import Columns
from foreword.data.readers import STDIN, Form, readable
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks._check import Checked, Held, checked, held, scored_of
from foreword.tasks._own import task_from_files, task_from_hub
from foreword.tasks._splits import saved
from foreword.util.errors import ForewordError, nearest
from foreword.util.files import stands
from foreword.util.plugins import Plugin, Shelf

__all__ = [
    "About",
    "Checked",
    "about",
    "check",
    "load",
    "load_task",
    "module",
    "names",
    "place",
    "scored",
    "task_from_files",
    "task_from_hub",
]

DATA = "FOREWORD_DATA"
SEVERAL = "_tasks"  # how the name of a file ends that holds several


@dataclass(frozen=True)
class About:
    """A task's entry in a listing. where: the folder here, `hub`, `made here`, or empty when it must be
    downloaded. splits: the splits of its source with their official sizes and what of them is here, from a table:
    no file is opened. get: what to download. ready: whether all that the task reads is here, or made here."""

    name: str
    summary: str
    where: str
    licence: str = ""
    metrics: tuple[str, ...] = ()
    splits: tuple[Held, ...] = ()
    get: str = ""

    @property
    def ready(self) -> bool:
        """Whether the task can be read without a download."""
        return self.where == "made here" or all(split.file for split in self.splits if split.needed)


@functools.cache
def _files() -> Mapping[str, str]:
    """The file of each task. A file is named after its task; one that ends in `_tasks` holds several, and is read to know their
    names."""
    files = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    several = {entry.NAME: file for file in files if file.endswith(SEVERAL) for entry in _read(file).TASKS}
    return {file.replace("_", "-"): file for file in files if not file.endswith(SEVERAL)} | several


def _read(file: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{file}")


def _own(name: str) -> ModuleType:
    entry = _read(_files()[name])
    if not hasattr(entry, "TASKS"):
        return entry
    several: dict[str, ModuleType] = {task.NAME: task for task in entry.TASKS}
    return several[name]


def _accept(brought: Any, plugin: Plugin) -> ModuleType:
    lacks = [key for key in ("NAME", "SUMMARY", "load") if not hasattr(brought, key)]
    if lacks:
        raise plugin.fault(f"has no {lacks[0]}; a task is a module with NAME, SUMMARY and load(folder)")
    if plugin.point.name != brought.NAME:
        raise plugin.fault(f"calls itself '{brought.NAME}'")
    entry: ModuleType = brought
    return entry


TASKS: Shelf[ModuleType] = Shelf("task", lambda: _files(), _own, _accept)


def names() -> list[str]:
    """The names on the shelf; of other packages nothing is imported."""
    return sorted(TASKS)


def module(name: str) -> ModuleType:
    """The module of a task; `-` and `_` in its name are the same. Raises ForewordError with the nearest known
    name."""
    return TASKS.named(shelf_name(name))


def shelf_name(name: str) -> str:
    """The name as the shelf has it."""
    tidy = name.strip().lower().replace("_", "-")
    return tidy if tidy in TASKS else name.strip()


def place(name: str, data_dir: Path | str | None = None) -> Path | None:
    """The task's folder below data_dir, else below the folder FOREWORD_DATA names; None where there is none."""
    below = getattr(module(name), "PLACE", None)
    root = data_dir or os.environ.get(DATA)
    if below is None or not root:
        return None
    if not Path(root).is_dir():
        raise ForewordError(f"The data folder {root} is not there; check --data-dir or {DATA}.")
    known = (below, *getattr(module(name), "ALSO", ()))
    return next((Path(root) / relative for relative in known if (Path(root) / relative).is_dir()), None)


def load(name: str, data_dir: Path | str | None = None) -> Task:
    """A task of the shelf, from its folder, else from the hub where it has an id there.

    Raises ForewordError: an unknown name; no folder and no hub id (the sentence says what to download, from
    where, under what licence, and where to put it); a damaged file.
    """
    task_module = module(name)
    folder = place(name, data_dir)
    if folder is None and hasattr(task_module, "PLACE") and not hasattr(task_module, "HUB"):
        root = data_dir or os.environ.get(DATA)
        lacks = (
            f"{root} has no folder '{task_module.PLACE}'"
            if root
            else f"neither --data-dir nor {DATA} names a data folder"
        )
        raise ForewordError(
            f"The data of the task '{name}' are not here: {lacks}; download {task_module.GET} and put the files "
            f"into '{task_module.PLACE}' below the data folder."
        )
    if folder is None and hasattr(task_module, "PLACE"):
        return _checked(task_module, _from_hub(task_module))
    return _checked(task_module, task_module.load(folder))


def _checked(task_module: ModuleType, task: Any) -> Task:
    """The task that an entry gave. Raises ForewordError where another package's gives none, or one whose wording is code."""
    plugin = TASKS.plugin(task_module.NAME) if task_module.NAME in TASKS else None
    if plugin is not None and (type(task) is not Task or type(task.template) is not Template):
        raise plugin.fault("gives no foreword.Task with a foreword.Template")
    whole: Task = task
    return whole


def _from_hub(task_module: ModuleType) -> Task:
    try:
        task: Task = task_module.load(None)
    except ForewordError as error:
        raise ForewordError(
            f"{str(error).rstrip('.')}. Without the hub: download {task_module.GET} and put the files into '{task_module.PLACE}' "
            f"below the folder that --data-dir or {DATA} names."
        ) from error
    return task


def about(name: str, data_dir: Path | str | None = None) -> About:
    """One line of a listing: name, summary with licence, and where the data are."""
    task_module = module(name)
    folder = place(name, data_dir)
    if folder is not None:
        where = str(folder)
    elif not hasattr(task_module, "PLACE"):
        where = "made here"
    else:
        where = "hub" if hasattr(task_module, "HUB") else ""
    licence = str(getattr(task_module, "LICENCE", ""))
    summary = f"{task_module.SUMMARY}; {licence}" if licence else str(task_module.SUMMARY)
    metrics = tuple(task_module.METRICS) if hasattr(task_module, "METRICS") else load(name).metrics
    return About(
        name, summary, where, licence, metrics, held(task_module, folder), str(getattr(task_module, "GET", ""))
    )


def scored(name: str, folder: Path | None = None, split: str = "test") -> Held | None:
    """The official split that a task is scored on, with what of it the folder has: test, or dev where test is not there or its answers
    are hidden. None where its source has neither, and of a task that is made here. split: `dev` asks for the official split that is the
    task's dev; None where that is cut from train."""
    return scored_of(held(module(name), folder), split)


def check(name: str, data_dir: Path | str | None = None) -> Checked:
    """The files of a task that are here against the sizes and digests on record, and the task as it is read from them."""
    return checked(module(name), name, place(name, data_dir))


def load_task(
    spec: str | Path,
    *,
    data_dir: Path | str | None = None,
    dev: Path | str | None = None,
    test: Path | str | None = None,
    input_column: str = "input",
    target_column: str = "target",
    references_column: str | None = None,
    id_column: str | None = None,
    choices_column: str | None = None,
    target_index: int | None = None,
    cluster_column: str | None = None,
    form: Form | None = None,
    template: Template | None = None,
    metrics: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    seed: int = 0,
    dev_share: float = 0.1,
    test_share: float | None = None,
    pooled: bool = False,
) -> Task:
    """The task that a user means: a name of the shelf, a data file, a folder of split files, or a hub id.

    A Path is never a name of the shelf. `-` is the standard input. A hub id is `owner/name`, `owner/name:config` or `hub:name`.
    choices: the word `none` alone makes answers free text where few short targets would be taken as choices. choices_column,
    target_index, cluster_column: see `Columns`. form: how a table of text is written. seed cuts the splits that are not given; test_share
    None: see `_own.test_questions`. pooled: nothing is cut, every row is in test. A task of the shelf takes template and metrics alone.
    """
    columns = Columns(
        input_column, target_column, references_column, id_column, choices_column, target_index, cluster_column
    )
    text = str(spec)
    if not isinstance(spec, Path) and shelf_name(text) in TASKS:
        own = {"columns": columns != Columns(), "choices": choices, "dev or test files": dev or test}
        for what, value in own.items():
            if value:
                raise ForewordError(
                    f"The task '{text}' of the shelf has its own {what}; leave them out, or use your own data."
                )
        return _reworded(load(text, data_dir), template, metrics)
    options: dict[str, Any] = {
        "columns": columns, "template": template, "metrics": metrics, "choices": choices,
        "seed": seed, "dev_share": dev_share, "test_share": test_share, "pooled": pooled,
    }  # fmt: skip
    path = Path(text).expanduser()
    if text == STDIN:
        return task_from_files("stdin", text, dev, test, form=form, **options)
    if stands(path, folder=True) and saved(path):
        _refuse_beside(text, dev, test)
        return task_from_hub(str(path), name=path.resolve().stem, **options)
    if stands(path) or readable(path):
        return task_from_files(path.resolve().stem, path, dev, test, form=form, **options)
    if text.startswith("hub:") or text.count("/") == 1:
        _refuse_beside(text, dev, test)
        dataset, _, config = text.removeprefix("hub:").partition(":")
        return task_from_hub(dataset, config or None, **options)
    raise ForewordError(
        f"There is no file, folder or task '{text}'; for the hub's dataset of that name give hub:{text}{nearest(text, names())}"
    )


def _refuse_beside(dataset: str, dev: Path | str | None, test: Path | str | None) -> None:
    """Raises ForewordError for a dev or test file beside a dataset, whose splits are its own."""
    beside = next((f"--{split} {path}" for split, path in (("dev", dev), ("test", test)) if path), None)
    if beside is not None:
        raise ForewordError(
            f"{beside} is given beside the dataset {dataset}, whose splits are its own or are cut from it; leave it out, or give a train "
            "file beside it."
        )


def _reworded(task: Task, template: Template | None, metrics: Sequence[str] | None) -> Task:
    if template is not None:
        for example in (*task.train[:1], *task.dev[:1], *task.test[:1]):
            template.ask(example)
        task = replace(task, template=template)
    return replace(task, metrics=tuple(metrics)) if metrics else task
