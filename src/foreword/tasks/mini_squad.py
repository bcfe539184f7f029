"""A question on a passage about a made-up thing to words of it, after SQuAD; generated, no file is needed.

Three kinds of things; a passage has three to five sentences, and the answer stands in it once.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-squad"
SUMMARY = "a question on a passage to words of it (generated, after SQuAD)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
