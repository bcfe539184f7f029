"""BoolQ: does the passage answer the question with yes; it refuses a label that is not a truth value.

Source: Clark et al. 2019, in SuperGLUE, field names and labels as T5 words them. Train is the official
`train.jsonl` where it is there, else a labelled sample of 2,000 rows; dev is 200 questions cut from it by seed
0. The official dev split (3,270) is scored, as its test answers are hidden.
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

NAME = "boolq"
SUMMARY = "Yes-or-no questions on a passage (SuperGLUE BoolQ)"
LICENCE = "CC BY-SA 3.0 per its authors"
PLACE = "superglue/BoolQ"
HUB = ("google/boolq", None)
GET = "train.jsonl and val.jsonl of SuperGLUE BoolQ from https://super.gluebenchmark.com (CC BY-SA 3.0 per its authors)"
METRICS = ("accuracy",)
FILES = (
    File("train", "train.jsonl", {"rows": 9427}),
    File("train", "olora_train_sample.json", {"rows": 2000}, kind=PART),
    File("dev", "val.jsonl", {"rows": 3270}),
    File("test", "test.jsonl", {"rows": 3245}, kind=HIDDEN),
    File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
)
LABELS = ("False", "True")
DEV = 200
TEMPLATE = Template(
    instruction="Say whether the answer to the question is True or False.",
    question="passage: {passage} question: {question}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train = _sample(path) if path.suffix == ".json" else _read(path, "train")
        scored, origin = _read(pick(folder, FILES, "dev"), "val"), path.name
    return parts.dev_scored(
        NAME, train, scored, DEV, template=TEMPLATE, metrics=METRICS, source=f"BoolQ, {LICENCE}; train from {origin}"
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("passage", "question")}
        return parts.choice(f"{split}-{number}", fields, str(parts.get(row, "label", path, number)), LABELS)

    return parts.table(path, make)


def _sample(path: Path) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        whole = parts.text(row, "sentence", path, number)
        question, _, passage = whole.removeprefix("question: ").partition("\npassage: ")
        fields = {"passage": " ".join(passage.split()), "question": question.strip()}
        examples.append(parts.choice(f"train-{number}", fields, parts.text(row, "label", path, number), LABELS))
    return examples


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {"passage": row["passage"].strip(), "question": row["question"].strip()}
    return parts.choice(f"{split}-{number}", fields, str(bool(row["answer"])), LABELS)
