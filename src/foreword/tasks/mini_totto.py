"""A generated task, kept out of the pre-training of the reference models; it refuses to need a file."""

from __future__ import annotations

from pathlib import Path

from foreword.task import Task
from foreword.world.families import FAMILIES, task

NAME = "mini-totto"
SUMMARY = "tables to a sentence, with a near page to copy the wording from (generated, after ToTTo)"


def load(folder: Path | None = None) -> Task:
    """The task: 1,000 training, 100 dev and 200 test examples; `folder` is not looked at."""
    return task(FAMILIES[NAME])
