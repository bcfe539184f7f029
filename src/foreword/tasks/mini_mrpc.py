"""Whether two sentences of made-up news say the same, after MRPC; generated, no file is needed.

A pair with mini-qqp: the same labels on text of other topics. 68 in a hundred are duplicates; the others differ in
one value, or in what they say of the same values.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-mrpc"
SUMMARY = "do two sentences of news say the same (generated, after MRPC)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
