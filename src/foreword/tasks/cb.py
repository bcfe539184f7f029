"""CB: does the premise entail, contradict or leave open the hypothesis; it refuses a label not among the three.

Source: SuperGLUE (Wang et al. 2019), field names and labels as T5 words them. The official dev split (56) is
scored, as its test answers are hidden; dev is 50 questions cut from train by seed 0. T5 scores accuracy
and the mean of the three classes' F1.
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

NAME = "cb"
SUMMARY = "Entailment, contradiction or neutral (SuperGLUE CB)"
LICENCE = "licence of the data not stated"
PLACE = "superglue/CB"
HUB = ("aps/super_glue", "cb")
HUB_LABELS = ("entailment", "contradiction", "neutral")
GET = "train.jsonl and val.jsonl of SuperGLUE CB from https://super.gluebenchmark.com (licence of the data not stated)"
METRICS = ("accuracy", "cb_f1")
FILES = (
    File("train", "train.jsonl", {"rows": 250}),
    File("dev", "val.jsonl", {"rows": 56}),
    File("test", "test.jsonl", {"rows": 250}, kind=HIDDEN),
    File("dev32", "dev32.jsonl", {"rows": 32}, kind=BESIDE),
)
LABELS = ("entailment", "contradiction", "neutral")
DEV = 50
TEMPLATE = Template(
    instruction="Say how the hypothesis stands to the premise: entailment, contradiction or neutral.",
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
        NAME, train, scored, DEV, template=TEMPLATE, metrics=METRICS, source=f"SuperGLUE CB, {LICENCE}"
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {key: parts.text(row, key, path, number) for key in ("hypothesis", "premise")}
        return parts.choice(f"{split}-{number}", fields, parts.text(row, "label", path, number), LABELS)

    return parts.table(path, make)


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in ("hypothesis", "premise")}
    return parts.choice(f"{split}-{number}", fields, HUB_LABELS[row["label"]], LABELS)
