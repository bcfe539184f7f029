"""Highlighted cells of a made-up table to a sentence, after ToTTo; generated, no file is needed.

A page has a section of one of three kinds and one of two writers, whom only another example of the page gives away:
four test examples in five have one in the training split.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-totto"
SUMMARY = "highlighted cells to text (generated, after ToTTo)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
