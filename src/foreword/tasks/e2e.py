"""E2E NLG: say a restaurant's attributes in English; it refuses the test file without references.

Source: Novikova et al. 2017 (arXiv 1706.09254). One train example per row; dev and test have one example per
meaning representation with all its references. The train file is the official `trainset.csv` where it is there,
else the same rows with tokenised text, else 10,000 of those.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _e2e
from foreword.tasks._files import BESIDE, PART, REMADE, File, pick

NAME = "e2e"
SUMMARY = "Restaurant attributes to English text (E2E NLG)"
LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "e2e_nlg", ("e2e-dataset",)
GET = "trainset.csv, devset.csv and testset_w_refs.csv from https://github.com/tuetschek/e2e-dataset (CC BY-SA 4.0)"
METRICS, UNITS, TEMPLATE = _e2e.METRICS, _e2e.UNITS, _e2e.TEMPLATE
FILES = (
    File("train", "trainset.csv", {"rows": 42061, "meanings": 4862}),
    File("train", "trainset.from_aligned_tokenised.csv", {"rows": 42061, "meanings": 4862}, kind=REMADE),
    File("train", "trainset.compact10k.csv", {"rows": 10000}, kind=PART),
    File("dev", "devset.csv", {"rows": 4672, "meanings": 547}),
    File("test", "testset_w_refs.csv", {"rows": 4693, "meanings": 630}),
    File("test_inputs", "testset.csv", {"rows": 630}, kind=BESIDE),
)


def load(folder: Path | None) -> Task:
    """The task from its csv files (columns mr and ref)."""
    assert folder is not None
    train = pick(folder, FILES, "train")
    notes = (
        ()
        if train.name == "trainset.csv"
        else (f"Train is {train.name}: its text is tokenised, dev and test are not.",)
    )
    return Task(
        name=NAME,
        train=tuple(_e2e.read(train, "train")),
        dev=tuple(_e2e.read_merged(pick(folder, FILES, "dev"), "dev")),
        test=tuple(_e2e.read_merged(pick(folder, FILES, "test"), "test")),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"E2E NLG challenge, {LICENCE}; train from {train.name}",
        notes=notes,
    )
