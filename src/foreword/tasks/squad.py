"""SQuAD v1.1: answer a question with words of a paragraph; it refuses a question without an answer.

Source: Rajpurkar et al. 2016 (arXiv 1606.05250), worded as T5 does. The official dev split (10,570) is scored, as its test
answers are hidden; dev is about 1,000 questions cut from train by seed 0 with whole paragraphs. Where neither official file
is there, the 1,190 questions of XQuAD English (240 paragraphs of SQuAD dev) are split 80/10/10 by paragraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.tasks import _parts as parts
from foreword.tasks import _qa
from foreword.tasks._files import PART, File, pick

NAME = "squad"
SUMMARY = "A question on a paragraph to words of it (SQuAD v1.1)"
LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "squad", ("squad_xquad_en",)
HUB = ("rajpurkar/squad", None)
GET = "train-v1.1.json and dev-v1.1.json from https://rajpurkar.github.io/SQuAD-explorer (CC BY-SA 4.0)"
METRICS, TEMPLATE = _qa.METRICS, _qa.TEMPLATE
FILES = (
    File("train", "train-v1.1.json", {"questions": 87599}),
    File("train", "xquad.en.json", {"questions": 1190}, kind=PART),
    File("dev", "dev-v1.1.json", {"questions": 10570}),
    File("dev", "xquad.en.json", {"questions": 1190}, kind=PART),
)
UNITS = {"questions": _qa.questions}
DEV = 1000
SAMPLE = "The official files are absent: XQuAD English was split 80/10/10 by paragraph and seed 0."


def load(folder: Path | None) -> Task:
    """The task from its JSON files, or from the hub."""
    train, dev, scored, origin, notes = splits(folder)
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"SQuAD v1.1, {LICENCE}; train from {origin}",
        notes=notes,
    )


def splits(folder: Path | None) -> tuple[list[Example], list[Example], list[Example], str, tuple[str, ...]]:
    """(train, dev, what is scored, the name of the train file, notes)."""
    if folder is None:
        hub_examples = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = hub_examples["train"], hub_examples["dev"], f"hub {HUB[0]}"
    else:
        path, second = pick(folder, FILES, "train"), pick(folder, FILES, "dev")
        train, origin = _qa.squad(path, "train"), path.name
        if second == path:
            remaining, scored = parts.carved_whole(train, len(train) // 10, _qa.passage, seed=1)
            remaining, dev = parts.carved_whole(remaining, len(train) // 10, _qa.passage)
            return remaining, dev, scored, origin, (SAMPLE,)
        scored = _qa.squad(second, "dev")
    remaining, dev = parts.carved_whole(train, DEV, _qa.passage)
    return (
        remaining,
        dev,
        scored,
        origin,
        (parts.DEV_SCORED, parts.CARVED_WHOLE.format(size=len(dev), group="paragraph")),
    )


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return _qa.example(f"{split}-{number}", row["question"], row["context"], row["answers"]["text"])
