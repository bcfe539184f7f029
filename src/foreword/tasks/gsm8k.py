"""GSM8K: a word problem to its final number; it refuses an answer without `#### number`.

Source: Cobbe et al. 2021 (arXiv 2110.14168). The target is the number after `####`, without thousands commas:
the steps are not shown and not asked for. Dev is 500 questions cut from train by seed 0; test is the official
1,319.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, File, pick
from foreword.util.errors import ForewordError

NAME = "gsm8k"
SUMMARY = "Word problems to their final number (GSM8K)"
LICENCE = "MIT"
PLACE = "gsm8k"
HUB = ("openai/gsm8k", "main")
GET = "train.jsonl and test.jsonl from https://github.com/openai/grade-school-math (MIT)"
METRICS = ("exact_match",)
FILES = (
    File("train", "train.jsonl", {"rows": 7473}),
    File("test", "test.jsonl", {"rows": 1319}),
    File("socratic", "test_socratic.jsonl", {"rows": 1319}, kind=BESIDE),
)
DEV = 500
TEMPLATE = Template(instruction="Solve the problem and give the final number.", question="Problem: {input}\nAnswer:")


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "test")
        train, test = splits["train"], splits["test"]
    else:
        train, test = (_read(pick(folder, FILES, split), split) for split in ("train", "test"))
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"GSM8K, {LICENCE}; final numbers only",
        notes=(parts.CARVED.format(size=len(dev)),),
    )


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        question, answer = (parts.text(row, key, path, number) for key in ("question", "answer"))
        return _example(question, answer, split, number, str(path))

    return parts.table(path, make)


def _example(question: str, answer: str, split: str, number: int, origin: str) -> Example:
    _, mark, final = answer.rpartition("####")
    if not mark or not final.strip():
        raise ForewordError(f"The answer in row {number} of {origin} has no '#### number'; download the file again.")
    return Example(f"{split}-{number}", {"input": " ".join(question.split())}, (final.strip().replace(",", ""),))


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return _example(row["question"], row["answer"], split, number, HUB[0])
