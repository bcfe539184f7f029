"""MR: is a sentence of a film review negative or positive; it refuses a line without a label.

Source: Pang and Lee 2005, in one piece of 10,662 lines (Latin-1 text); split 80/10/10 by question and seed 0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME = "mr"
SUMMARY = "Film review sentences, negative or positive (MR)"
LICENCE = "licence of the data not stated"
PLACE = "mr"
GET = "rt-polarity.all from https://github.com/harvardnlp/sent-conv-torch, folder data (licence of the data not stated)"
METRICS = ("accuracy",)
FILES = (File("all", "rt-polarity.all", {"rows": 10662}),)
LABELS = ("negative", "positive")
TEMPLATE = Template(
    instruction="Say whether the review is negative or positive.", question="Review: {input}\nSentiment:"
)


def load(folder: Path | None) -> Task:
    """The task from its one line file."""
    assert folder is not None
    path = pick(folder, FILES, "all")
    train, dev, test = parts.three(parts.labelled_lines(path, "row", LABELS, encoding="latin-1"))
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"MR (Pang and Lee 2005), {LICENCE}",
        notes=(parts.ONE_PIECE,),
    )
