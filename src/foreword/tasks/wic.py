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

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, HIDDEN, PART, File, pick

NAME = "wic"
SUMMARY = "Has a word the same meaning in two sentences (SuperGLUE WiC)"
LICENCE = "CC BY-NC 4.0 per its authors"
PLACE = "superglue/WiC"
HUB = ("aps/super_glue", "wic")
GET = "train.jsonl and val.jsonl of SuperGLUE WiC from https://super.gluebenchmark.com (CC BY-NC 4.0 per its authors)"
METRICS = ("accuracy",)
FILES = (
    File("train", "train.jsonl", {"rows": 5428}),
    File("train", "train.joined.jsonl", {"rows": 4599}, kind=PART),
    File("dev", "val.jsonl", {"rows": 638}),
    File("test", "test.jsonl", {"rows": 1400}, kind=HIDDEN),
    File("train_sample", "olora_train_sample.json", {"rows": 2000}, kind=BESIDE),
    File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
)
LABELS = ("False", "True")
DEV = 400
TEMPLATE = Template(
    instruction="Say whether the word has the same meaning in both sentences: True or False.",
    question="sentence1: {sentence1} sentence2: {sentence2} word: {word}\nanswer:",
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
        NAME, train, scored, DEV, template=TEMPLATE, metrics=METRICS, source=f"WiC, {LICENCE}; train from {origin}"
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("sentence1", "sentence2", "word")}
        return parts.choice(f"{split}-{number}", fields, str(parts.get(row, "label", path, number)), LABELS)

    return parts.table(path, make)


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in ("sentence1", "sentence2", "word")}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
