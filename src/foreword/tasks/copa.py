"""COPA: which of two sentences is the cause or the effect of a third; it refuses a label that is not 0 or 1.

Source: Roemmele et al. 2011, in SuperGLUE, field names and labels as T5 words them. The official dev split
(100) is scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, HIDDEN, REMADE, File, pick

NAME = "copa"
SUMMARY = "The more plausible cause or effect (SuperGLUE COPA)"
LICENCE = "BSD 2-Clause per its authors"
PLACE = "superglue/COPA"
HUB = ("aps/super_glue", "copa")
GET = "train.jsonl and val.jsonl of SuperGLUE COPA from https://super.gluebenchmark.com (BSD 2-Clause per its authors)"
METRICS = ("accuracy",)
FILES = (
    File("train", "train.jsonl", {"rows": 400}),
    File("train", "train.joined.jsonl", {"rows": 400}, kind=REMADE),
    File("dev", "val.jsonl", {"rows": 100}),
    File("test", "test.jsonl", {"rows": 500}, kind=HIDDEN),
    File("train_sample", "olora_train_sample.json", {"rows": 400}, kind=BESIDE),
    File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
)
LABELS = ("choice1", "choice2")
KEYS = ("choice1", "choice2", "premise", "question")
DEV = 50
TEMPLATE = Template(
    instruction="Say which choice is the cause or effect of the premise: choice1 or choice2.",
    question="choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train, scored, origin = _read(path, "train"), _read(pick(folder, FILES, "dev"), "val"), path.name
    return parts.dev_scored(
        NAME, train, scored, DEV, template=TEMPLATE, metrics=METRICS, source=f"COPA, {LICENCE}; train from {origin}"
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in KEYS}
        label = str(parts.get(row, "label", path, number))
        return parts.choice(f"{split}-{number}", fields, {"0": "choice1", "1": "choice2"}.get(label, label), LABELS)

    return parts.table(path, make)


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in KEYS}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
