"""TREC: what does a question ask for, six classes; it refuses a line without a label.

Source: Li and Roth 2002 (TREC.{train,test}.all: Latin-1 lines of `label text`). Dev is 500 questions cut from
train by seed 0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME = "trec"
SUMMARY = "What a question asks for, six classes (TREC)"
LICENCE = "licence of the data not stated"
PLACE = "trec"
GET = (
    "TREC.train.all and TREC.test.all from https://github.com/harvardnlp/sent-conv-torch "
    "(licence of the data not stated)"
)
METRICS = ("accuracy",)
FILES = (
    File("train", "TREC.train.all", {"rows": 5452}),
    File("test", "TREC.test.all", {"rows": 500}),
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
    train_file, test_file = (pick(folder, FILES, split) for split in ("train", "test"))
    train, dev = parts.carved(parts.labelled_lines(train_file, "train", LABELS, "latin-1"), DEV)
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(parts.labelled_lines(test_file, "test", LABELS, "latin-1")),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"TREC question classes (Li and Roth 2002), {LICENCE}",
        notes=(parts.CARVED.format(size=len(dev)),),
    )
