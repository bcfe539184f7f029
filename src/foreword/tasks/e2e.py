"""E2E NLG: say a restaurant's attributes in English; it refuses the test file without references.

Source: Novikova et al. 2017 (arXiv 1706.09254). One train example per row; dev and test have one example per
meaning representation with all its references. The train file is the official `trainset.csv` where it is there,
else the same rows with tokenised text, else 10,000 of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data import Example, merged
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "e2e"
SUMMARY = "Restaurant attributes to English text (E2E NLG, CC BY-SA 4.0)"
PLACE = "e2e_nlg"
GET = "trainset.csv, devset.csv and testset_w_refs.csv from https://github.com/tuetschek/e2e-dataset (CC BY-SA 4.0)"
TEMPLATE = Template(
    instruction="Describe the restaurant in English from its attributes.",
    question="Attributes: {input}\nDescription:",
)


def load(folder: Path | None) -> Task:
    """The task from its csv files (columns mr and ref)."""
    assert folder is not None
    train = parts.first_file(folder, "trainset.csv", "trainset.from_aligned_tokenised.csv", "trainset.compact10k.csv")
    notes = (
        ()
        if train.name == "trainset.csv"
        else (f"Train is {train.name}: its text is tokenised, dev and test are not.",)
    )
    return Task(
        name=NAME,
        train=tuple(_read(train, "train")),
        dev=tuple(merged(_read(parts.first_file(folder, "devset.csv"), "dev"))),
        test=tuple(merged(_read(parts.first_file(folder, "testset_w_refs.csv"), "test"))),
        template=TEMPLATE,
        metrics=("bleu", "chrf", "rouge_l"),
        source=f"E2E NLG challenge, CC BY-SA 4.0; train from {train.name}",
        notes=notes,
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": parts.text(row, "mr", path, number)}
        return Example(f"{split}-{number}", fields, (parts.text(row, "ref", path, number),))

    return parts.table(path, make)
