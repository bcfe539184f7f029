"""Triples about a made-up thing to a sentence, three references, after DART; generated, no file is needed.

Three kinds of things with four relations each, one to three of them in an example.
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task

NAME = "mini-dart"
SUMMARY = "triples to text, three references (generated, after DART)"
METRICS = FAMILIES[NAME].metrics


def load(folder: Path | None = None) -> Task:
    """The generated task; `folder` is not looked at."""
    return task(FAMILIES[NAME])
