"""QQP: do two questions ask the same; it refuses a label that is not a truth value.

Source: Quora question pairs as GLUE has them (`train.tsv` and `dev.tsv`, whose dev split is scored; also on the hub), else a
labelled sample of 2,000 train and 7,600 test rows; labels as T5 words them; dev is 200 questions cut from train by seed 0.
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
from foreword.tasks._files import BESIDE, HIDDEN, PART, File, pick
from foreword.util.errors import ForewordError

NAME = "qqp"
SUMMARY = "Do two questions ask the same (QQP)"
LICENCE = "Quora's terms of service"
PLACE, ALSO = "qqp", ("QQP",)
HUB = ("nyu-mll/glue", "qqp")
GET = "train.json and test.json of CL_Benchmark/QQP from https://github.com/cmnfriend/O-LoRA (data under Quora's terms)"
METRICS = ("accuracy", "qqp_f1")
FILES = (
    File("train", "train.tsv", {"rows": 363849}),
    File("train", "olora_qqp_train.json", {"rows": 2000}, kind=PART),
    File("train", "train.json", {"rows": 2000}, kind=PART),
    File("dev", "dev.tsv", {"rows": 40430}),
    File("dev", "olora_qqp_test.json", {"rows": 7600}, kind=PART),
    File("dev", "test.json", {"rows": 7600}, kind=PART),
    File("test", "test.tsv", {"rows": 390965}, kind=HIDDEN),
    File("pairs train", "quora_pairs.clean_train.tsv", {"rows": 80288}, kind=BESIDE),
    File("pairs dev", "quora_pairs.clean_dev.tsv", {"rows": 2001}, kind=BESIDE),
    File("pairs test", "quora_pairs.clean_test.tsv", {"rows": 3002}, kind=BESIDE),
)
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
        paths = pick(folder, FILES, "train"), pick(folder, FILES, "dev")
        train, test = (
            (_glue if path.suffix == ".tsv" else _read)(path, split)
            for path, split in zip(paths, ("train", "test"), strict=True)
        )
        notes = (parts.DEV_SCORED,) if paths[1].suffix == ".tsv" else ()
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"QQP, {LICENCE}",
        notes=(*notes, parts.CARVED.format(size=len(dev))),
    )


def _read(path: Path, split: str) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        whole = parts.text(row, "sentence", path, number)
        first, _, second = whole.removeprefix("first sentence: ").partition("\nsecond sentence: ")
        fields = {"question1": " ".join(first.split()), "question2": " ".join(second.split())}
        truth = parts.text(row, "label", path, number)
        label = {"False": LABELS[0], "True": LABELS[1]}.get(truth, truth)
        examples.append(parts.choice(f"{split}-{number}", fields, label, LABELS))
    return examples


def _glue(path: Path, split: str) -> list[Example]:
    """GLUE's tab-separated file; the few rows that have not six cells are left out, as its readers leave them out."""
    header, *lines = read_lines(path) or [""]
    names = header.split("\t")
    if not {"question1", "question2", "is_duplicate"} <= set(names):
        raise ForewordError(
            f"Line 1 of {path} is not the header of GLUE's QQP, which names question1, question2, is_duplicate."
        )
    examples = []
    for number, line in enumerate(lines, 2):
        row = dict(zip(names, line.split("\t"), strict=False))
        fields = {key: row.get(key, "").strip() for key in ("question1", "question2")}
        if len(line.split("\t")) != len(names) or not all(fields.values()):
            continue
        if row["is_duplicate"] not in ("0", "1"):
            raise ForewordError(
                f"The field 'is_duplicate' in line {number} of {path} is '{row['is_duplicate']}', not 0 or 1; mend it."
            )
        examples.append(parts.choice(f"{split}-{number}", fields, LABELS[int(row["is_duplicate"])], LABELS))
    return examples


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = {key: row[key].strip() for key in ("question1", "question2")}
    return parts.choice(f"{split}-{number}", fields, LABELS[row["label"]], LABELS)
