"""CB: does the premise entail, contradict or leave open the hypothesis; it refuses a label not among the three.

Source: SuperGLUE (Wang et al. 2019), field names and labels as T5 words them. The official dev split (56) is
scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0. The metric here is
accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "cb"
SUMMARY = "Entailment, contradiction or neutral (SuperGLUE CB, licence of the data not stated)"
PLACE = "superglue/CB"
GET = "train.jsonl and val.jsonl of SuperGLUE CB from https://super.gluebenchmark.com (licence of the data not stated)"
LABELS = ("entailment", "contradiction", "neutral")
DEV = 50
TEMPLATE = Template(
    instruction="Say how the hypothesis stands to the premise: entailment, contradiction or neutral.",
    question="hypothesis: {hypothesis} premise: {premise}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files."""
    assert folder is not None
    train, scored = (_read(parts.first_file(folder, f"{name}.jsonl"), name) for name in ("train", "val"))
    rest, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(rest),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=("accuracy",),
        source="SuperGLUE CB, licence of the data not stated",
        notes=(parts.DEV_SCORED, parts.CARVED.format(size=DEV)),
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("hypothesis", "premise")}
        return parts.choice(f"{split}-{number}", fields, parts.text(row, "label", path, number), LABELS)

    return parts.table(path, make)
