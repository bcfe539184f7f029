"""A question on a made-up database to SQL, after Spider; generated, no file is needed.

Six kinds of questions on one table; exact set match decides, as in the original, and it looks at no value: exact
match does.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-spider"
SUMMARY = "a question and a schema to SQL (generated, after Spider)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
