"""COPA: which of two sentences is the cause or the effect of a third; it refuses a label that is not 0 or 1.

Source: Roemmele et al. 2011, in SuperGLUE, field names and labels as T5 words them. The official dev split
(100) is scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "copa"
SUMMARY = "The more plausible cause or effect (SuperGLUE COPA, BSD 2-Clause per its authors)"
PLACE = "superglue/COPA"
GET = "train.jsonl and val.jsonl of SuperGLUE COPA from https://super.gluebenchmark.com (BSD 2-Clause per its authors)"
LABELS = ("choice1", "choice2")
DEV = 50
TEMPLATE = Template(
    instruction="Say which choice is the cause or effect of the premise: choice1 or choice2.",
    question="choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files."""
    assert folder is not None
    path = parts.first_file(folder, "train.jsonl", "train.joined.jsonl")
    rest, dev = parts.carved(_read(path, "train"), DEV)
    return Task(
        name=NAME,
        train=tuple(rest),
        dev=tuple(dev),
        test=tuple(_read(parts.first_file(folder, "val.jsonl"), "val")),
        template=TEMPLATE,
        metrics=("accuracy",),
        source=f"COPA, BSD 2-Clause per its authors; train from {path.name}",
        notes=(parts.DEV_SCORED, parts.CARVED.format(size=DEV)),
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    names = ("choice1", "choice2", "premise", "question")

    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in names}
        label = parts.get(row, "label", path, number)
        return parts.choice(f"{split}-{number}", fields, {0: "choice1", 1: "choice2"}.get(label, str(label)), LABELS)

    return parts.table(path, make)
