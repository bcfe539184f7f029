"""QQP: do two questions ask the same; it refuses a label that is not a truth value.

Source: Quora question pairs as GLUE has them, in a labelled sample of 2,000 train and 7,600 test rows, labels
as T5 words them; dev is 200 questions cut from train by seed 0. On the hub the whole of GLUE QQP, whose dev
split is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "qqp"
SUMMARY = "Do two questions ask the same (QQP, Quora's terms of service)"
PLACE = "qqp"
HUB = ("nyu-mll/glue", "qqp")
GET = "train.json and test.json of CL_Benchmark/QQP from https://github.com/cmnfriend/O-LoRA (data under Quora's terms)"
LABELS = ("not_duplicate", "duplicate")
DEV = 200
TEMPLATE = Template(
    instruction="Say whether the two questions are duplicate or not_duplicate.",
    question="question1: {question1} question2: {question2}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON files, or from the hub."""
    notes: tuple[str, ...] = ()
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, test, notes = splits["train"], splits["dev"], (parts.DEV_SCORED,)
    else:
        train, test = (
            _read(parts.first_file(folder, f"olora_qqp_{split}.json", f"{split}.json"), split)
            for split in ("train", "test")
        )
    rest, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(rest),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=("accuracy",),
        source="QQP, Quora's terms of service",
        notes=(*notes, parts.CARVED.format(size=DEV)),
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    made = []
    for number, row in enumerate(parts.read_list(path), 1):
        whole = parts.text(row, "sentence", path, number)
        first, _, second = whole.removeprefix("first sentence: ").partition("\nsecond sentence: ")
        fields = {"question1": " ".join(first.split()), "question2": " ".join(second.split())}
        truth = parts.text(row, "label", path, number)
        label = {"False": LABELS[0], "True": LABELS[1]}.get(truth, truth)
        made.append(parts.choice(f"{split}-{number}", fields, label, LABELS))
    return made


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in ("question1", "question2")}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
