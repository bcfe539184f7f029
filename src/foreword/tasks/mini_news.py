"""A question on a passage of made-up news to words of it, after MRQA's out-of-domain sets; generated, no file is needed.

The same task as mini-squad on text that a prompt trained there has not seen: events for things, other questions,
longer passages with sentences that nobody asks about. It has a training split of its own.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-news"
SUMMARY = "mini-squad's task on news (generated, after MRQA out of domain)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
