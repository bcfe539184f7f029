"""The page of tasks: each one's source, template and three examples, as Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import about, load, module
from foreword.tasks._files import HIDDEN

HEAD = """# Tasks

What each built-in task is, what its source holds, and three examples exactly as they are worded. The examples are made up:
they come from generated files in the layout of the real ones, of which nothing is kept here. `foreword show TASK` words the
examples of your own copy, `foreword tasks TASK --check` verifies it. A dev split cut from train is at most a quarter of it.
Made by `foreword tasks --examples` from those files (`python tests/lookalike.py`); a test keeps it current.
"""
EXAMPLES = 3


def page(names: Sequence[str], data_dir: Path | str | None = None) -> str:
    """The page of these tasks. Raises ForewordError for the first whose files are not here."""
    return "\n".join([HEAD, *(_task(name, data_dir) for name in names)])


def _task(name: str, data_dir: Path | str | None) -> str:
    known, task = about(name, data_dir), load(name, data_dir)
    description = (inspect.getdoc(module(name)) or "").strip()
    official = [
        f"{split.split} {split.official:,} {split.unit}"
        for split in known.splits
        if split.official and split.kind != HIDDEN
    ]
    lines = [f"## {name}", "", description, ""]
    if known.licence:
        lines += [f"- licence: {known.licence}"]
    lines += [f"- metrics: {', '.join(task.metrics)}"]
    if official:
        lines += [f"- official sizes: {', '.join(official)}"]
    if known.get:
        place = f"`{module(name).PLACE}`"
        lines += [f"- files: {known.get.rstrip(',')}; below the data folder in {place}"]
    if hasattr(module(name), "HUB"):
        lines += [f"- hub: `{module(name).HUB[0]}`"]
    return "\n".join([*lines, "", *_examples(task)])


def _examples(task: Task) -> list[str]:
    blocks = [task.template.instruction] if task.template.instruction else []
    for example in task.test[:EXAMPLES]:
        shown = task.template.ask(example) + task.template.reply(example.targets[0])
        blocks.append("\n".join([shown, *(f"    also accepted: {other}" for other in example.targets[1:])]))
    return ["```text", "\n\n".join(blocks), "```", ""]
