"""AG News: world, sports, business or technology; it refuses a row whose class is not one of the four.

Source: Zhang, Zhao and LeCun 2015. Train is the official `train.csv` where it is there, else a labelled sample
of 4,000 rows; dev is 500 of them, cut by seed 0; test is the official 7,600.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, PART, File, pick
from foreword.util.errors import ForewordError

NAME = "ag-news"
SUMMARY = "News items in four classes (AG News)"
LICENCE = "licence of the data not stated"
PLACE, ALSO = "ag_news", ("ag_news_csv",)
HUB = ("fancyzhx/ag_news", None)
GET = "train.csv and test.csv of AG News (columns Class Index, Title, Description; licence of the data not stated)"
METRICS = ("accuracy",)
FILES = (
    File("train", "train.csv", {"rows": 120000}),
    File("train", "olora_train_sample.json", {"rows": 4000}, kind=PART),
    File("test", "test.csv", {"rows": 7600}),
    File("classes", "classes.txt", {"lines": 1}, kind=BESIDE),
)
LABELS = ("world", "sports", "business", "technology")
SAMPLE = {"World": "world", "Sports": "sports", "Business": "business", "Science or Technology": "technology"}
DEV = 500
TEMPLATE = Template(
    instruction="Say what the news item is about: world, sports, business or technology.",
    question="News: {input}\nTopic:",
)


def load(folder: Path | None) -> Task:
    """The task from its files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "test")
        train, test, origin = splits["train"], splits["test"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train = _sample(path) if path.suffix == ".json" else _csv(path, "train")
        test, origin = _csv(pick(folder, FILES, "test"), "test"), path.name
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"AG News, {LICENCE}; train from {origin}",
        notes=(parts.CARVED.format(size=len(dev)),),
    )


def _csv(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        title, body = (parts.text(row, key, path, number) for key in ("Title", "Description"))
        label = parts.text(row, "Class Index", path, number)
        if label not in ("1", "2", "3", "4"):
            raise ForewordError(
                f"The field 'Class Index' in row {number} of {path} is '{label}', not 1, 2, 3 or 4; mend it."
            )
        return parts.choice(f"{split}-{number}", _fields(title, body), LABELS[int(label) - 1], LABELS)

    return parts.table(path, make)


def _sample(path: Path) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        title, _, body = parts.text(row, "sentence", path, number).removeprefix("Title: ").partition("\nText: ")
        label = SAMPLE.get(parts.text(row, "label", path, number), "")
        examples.append(parts.choice(f"train-{number}", _fields(title, body), label, LABELS))
    return examples


def _fields(title: str, body: str) -> dict[str, str]:
    return {"input": " ".join(f"{title}. {body}".replace("\\", " ").split())}


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return parts.choice(
        f"{split}-{number}", {"input": " ".join(str(row["text"]).split())}, LABELS[row["label"]], LABELS
    )
