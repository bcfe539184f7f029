"""SUBJ: is a sentence subjective or objective; it refuses a line without a label.

Source: Pang and Lee 2004, in one piece of 10,000 lines (Latin-1 text); split 80/10/10 by question and seed 0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME = "subj"
SUMMARY = "Sentences about films, subjective or objective (SUBJ)"
LICENCE = "CC BY 4.0 per the NLTK index"
PLACE = "subj"
GET = "subj.all from https://github.com/harvardnlp/sent-conv-torch, folder data (CC BY 4.0 per the NLTK index)"
METRICS = ("accuracy",)
FILES = (File("all", "subj.all", {"rows": 10000}),)
LABELS = ("subjective", "objective")
TEMPLATE = Template(
    instruction="Say whether the sentence is subjective or objective.", question="Sentence: {input}\nType:"
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
        source=f"SUBJ (Pang and Lee 2004), {LICENCE}",
        notes=(parts.ONE_PIECE,),
    )
