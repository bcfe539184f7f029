"""An utterance to a bracketed parse, after MTOP; generated, no file is needed.

Five intents with three slots each, one to three of them in an utterance, none inside another.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-mtop"
SUMMARY = "an utterance to a bracketed parse (generated, after MTOP)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
