"""WiC: has the word the same meaning in both sentences; it refuses a label that is not a truth value.

Source: Pilehvar and Camacho-Collados 2019, in SuperGLUE, field names and labels as T5 words them (the places of
the word are not shown). Train is the official `train.jsonl` where it is there, else 4,599 of its 5,428 rows;
dev is 400 questions cut from it by seed 0. The official dev split (638) is scored, as its test answers are
hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "wic"
SUMMARY = "Has a word the same meaning in two sentences (SuperGLUE WiC, CC BY-NC 4.0 per its authors)"
PLACE = "superglue/WiC"
GET = "train.jsonl and val.jsonl of SuperGLUE WiC from https://super.gluebenchmark.com (CC BY-NC 4.0 per its authors)"
LABELS = ("False", "True")
DEV = 400
TEMPLATE = Template(
    instruction="Say whether the word has the same meaning in both sentences: True or False.",
    question="sentence1: {sentence1} sentence2: {sentence2} word: {word}\nanswer:",
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
        source=f"WiC, CC BY-NC 4.0 per its authors; train from {path.name}",
        notes=(parts.DEV_SCORED, parts.CARVED.format(size=DEV)),
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("sentence1", "sentence2", "word")}
        return parts.choice(f"{split}-{number}", fields, str(parts.get(row, "label", path, number)), LABELS)

    return parts.table(path, make)
