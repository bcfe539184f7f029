"""Whether two questions ask the same, after QQP; generated, no file is needed.

A pair with mini-mrpc: the same labels on text of other topics. 37 in a hundred are duplicates; the others differ in
one value, or in what they ask of the same values.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-qqp"
SUMMARY = "do two questions ask the same (generated, after QQP)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
