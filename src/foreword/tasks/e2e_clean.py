"""E2E NLG cleaned: attributes that the text really says, to English text; it refuses files without the column ref.

Source: Dušek, Howcroft and Rieser 2019 (arXiv 1911.03905): the meaning representations were mended to fit the texts. One
train example per row; dev and test have one example per meaning representation with all its references. Where the cleaned
train file is absent, the original one of `e2e` is taken, less those rows whose attributes stand in cleaned dev or test, and
source and notes say so.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _e2e, e2e
from foreword.tasks._files import REMADE, File, chosen, pick

NAME = "e2e-clean"
SUMMARY = "Restaurant attributes to English text, attributes mended (cleaned E2E NLG)"
LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "e2e_nlg", ("e2e-cleaning",)
GET = (
    "train-fixed.no-ol.csv, devel-fixed.no-ol.csv and test-fixed.csv from https://github.com/tuetschek/e2e-cleaning, folder "
    "cleaned-data (CC BY-SA 4.0)"
)
METRICS, UNITS, TEMPLATE = _e2e.METRICS, _e2e.UNITS, _e2e.TEMPLATE
SOURCES = {
    "train": ("train-fixed.no-ol.csv", {"rows": 33525}),
    "dev": ("devel-fixed.no-ol.csv", {"rows": 4299}),
    "test": ("test-fixed.csv", {"rows": 4693}),
}
FILES = (
    *(
        File(split, f"{place}{name}", counts)
        for split, (name, counts) in SOURCES.items()
        for place in ("cleaned/", "cleaned-data/", "")
    ),
    *(File("train", file.name, file.counts, REMADE) for file in e2e.FILES if file.split == "train"),
)


def load(folder: Path | None) -> Task:
    """The task from its csv files (columns mr and ref)."""
    assert folder is not None
    file = chosen(folder, FILES, "train")
    train = _e2e.read(folder / file.names[0], "train")
    dev, test = (_e2e.read_merged(pick(folder, FILES, split), split) for split in ("dev", "test"))
    notes = []
    if file.kind == REMADE:
        scored = {example.exact for example in (*dev, *test)}
        unscored = [example for example in train if example.exact not in scored]
        notes.append(
            f"The cleaned train file is absent: train is the original {file.label}, less {len(train) - len(unscored):,} rows "
            "whose attributes stand in cleaned dev or test."
        )
        train = unscored
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"Cleaned E2E NLG, {LICENCE}; train from {file.label}{' (not cleaned)' if file.kind == REMADE else ''}",
        notes=tuple(notes),
    )
