"""CR: is a sentence of a product review negative or positive; it refuses a line without a label.

Source: Hu and Liu 2004, in one piece of 3,775 lines, one of which is empty; split 80/10/10 by question and seed
0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME = "cr"
SUMMARY = "Product review sentences, negative or positive (CR)"
LICENCE = "licence of the data not stated"
PLACE = "cr"
GET = "custrev.all from https://github.com/harvardnlp/sent-conv-torch, folder data (licence of the data not stated)"
METRICS = ("accuracy",)
FILES = (File("all", "custrev.all", {"rows": 3775}),)
LABELS = ("negative", "positive")
TEMPLATE = Template(
    instruction="Say whether the review is negative or positive.", question="Review: {input}\nSentiment:"
)


def load(folder: Path | None) -> Task:
    """The task from its one line file."""
    assert folder is not None
    path = pick(folder, FILES, "all")
    train, dev, test = parts.three(parts.labelled_lines(path, "row", LABELS, encoding="utf-8"))
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"CR (Hu and Liu 2004), {LICENCE}",
        notes=(parts.ONE_PIECE,),
    )
