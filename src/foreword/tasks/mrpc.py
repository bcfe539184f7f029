"""MRPC: do two sentences say the same; it refuses a label that is not 0 or 1.

Source: Dolan and Brockett 2005 (msr_paraphrase_{train,test}.txt, tab-separated without quoting), field names
and labels as T5 words them. Dev is 400 questions cut from train by seed 0; test is the official 1,725.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.readers import read_lines
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick
from foreword.util.errors import ForewordError

NAME = "mrpc"
SUMMARY = "Do two sentences say the same (MRPC)"
LICENCE = "Microsoft Research licence"
PLACE = "mrpc"
HUB = ("nyu-mll/glue", "mrpc")
GET = (
    "msr_paraphrase_train.txt and msr_paraphrase_test.txt of the Microsoft Research Paraphrase Corpus (its own licence)"
)
METRICS = ("accuracy", "mrpc_f1")
FILES = (
    File("train", "msr_paraphrase_train.txt", {"rows": 4076}),
    File("test", "msr_paraphrase_test.txt", {"rows": 1725}),
)
UNITS = {"rows": lambda lines: len(lines) - 1}
LABELS = ("not_equivalent", "equivalent")
DEV = 400
TEMPLATE = Template(
    instruction="Say whether the two sentences are equivalent or not_equivalent.",
    question="sentence1: {sentence1} sentence2: {sentence2}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its two text files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "test")
        train, test = splits["train"], splits["test"]
    else:
        files = {split: pick(folder, FILES, split) for split in ("train", "test")}
        train, test = (_read(path, split) for split, path in files.items())
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"MRPC, {LICENCE}",
        notes=(parts.CARVED.format(size=len(dev)),),
    )


def _read(path: Path, split: str) -> list[Example]:
    examples = []
    for number, line in enumerate(read_lines(path)[1:], 2):
        cells = line.split("\t")
        if len(cells) != 5 or cells[0] not in ("0", "1"):
            raise ForewordError(
                f"Line {number} of {path} is not a label 0 or 1, two ids and two sentences between tabs; "
                "download it again."
            )
        fields = {"sentence1": cells[3].strip(), "sentence2": cells[4].strip()}
        examples.append(parts.choice(f"{split}-{number - 1}", fields, LABELS[int(cells[0])], LABELS))
    return examples


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in ("sentence1", "sentence2")}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
