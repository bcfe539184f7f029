"""RTE: does the premise entail the hypothesis; it refuses a label that is not one of the two.

Source: SuperGLUE (Wang et al. 2019), field names and labels as T5 words them. The official dev split (277) is
scored, as its test answers are hidden; dev is 250 questions cut from train by seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, HIDDEN, File, pick

NAME = "rte"
SUMMARY = "Does a premise entail a hypothesis (SuperGLUE RTE)"
LICENCE = "licence of the data not stated"
PLACE = "superglue/RTE"
HUB = ("nyu-mll/glue", "rte")
GET = "train.jsonl and val.jsonl of SuperGLUE RTE from https://super.gluebenchmark.com (licence of the data not stated)"
METRICS = ("accuracy",)
FILES = (
    File("train", "train.jsonl", {"rows": 2490}),
    File("dev", "val.jsonl", {"rows": 277}),
    File("test", "test.jsonl", {"rows": 3000}, kind=HIDDEN),
    File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
)
LABELS = ("entailment", "not_entailment")
DEV = 250
TEMPLATE = Template(
    instruction="Say whether the premise entails the hypothesis: entailment or not_entailment.",
    question="hypothesis: {hypothesis} premise: {premise}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored = splits["train"], splits["dev"]
    else:
        train, scored = (
            _read(pick(folder, FILES, split), name) for split, name in (("train", "train"), ("dev", "val"))
        )
    return parts.dev_scored(
        NAME, train, scored, DEV, template=TEMPLATE, metrics=METRICS, source=f"SuperGLUE RTE, {LICENCE}"
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("hypothesis", "premise")}
        return parts.choice(f"{split}-{number}", fields, parts.text(row, "label", path, number), LABELS)

    return parts.table(path, make)


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {"hypothesis": row["sentence2"].strip(), "premise": row["sentence1"].strip()}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
