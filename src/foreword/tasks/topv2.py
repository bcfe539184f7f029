"""TOPv2: an utterance to its bracketed logical form, eight domains; it refuses a row without either.

Source: Chen et al. 2020 (arXiv 2010.03546), v1.1. The files of all eight domains are read where they are all
there, else the samples `train.compact10000.tsv`, `eval.compact2000.tsv` and `test.compact2000.tsv`. Rows of dev
and test that ask the same question are one example. Some utterances stand in train and in test: the notes count
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, merged
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, PART, File, chosen

NAME = "topv2"
SUMMARY = "Utterances of eight domains to bracketed logical forms (TOPv2)"
LICENCE = "CC BY-SA 4.0"
PLACE, ALSO = "topv2", ("TOPv2_Dataset",)
GET = "TOPv2_Dataset.zip ({domain}_{train,eval,test}.tsv) from https://fb.me/TOPv2Dataset (CC BY-SA 4.0)"
METRICS = ("exact_match", "mtop_tree")
DOMAINS = ("alarm", "event", "messaging", "music", "navigation", "reminder", "timer", "weather")
SIZES = {"train": 124597, "eval": 17160, "test": 38785}
SAMPLES = {"train": 10000, "eval": 2000, "test": 2000}
ALONE = {"reminder": {"eval": 2526, "test": 5767}, "weather": {"train": 23054, "eval": 2667, "test": 5682}}
FILES = (
    *(
        File(split, tuple(f"{domain}_{split}.tsv" for domain in DOMAINS), {"rows": size})
        for split, size in SIZES.items()
    ),
    *(File(split, f"{split}.compact{size}.tsv", {"rows": size}, kind=PART) for split, size in SAMPLES.items()),
    *(
        File(f"{domain} {split}", f"{domain}_{split}.tsv", {"rows": size}, kind=BESIDE)
        for domain, sizes in ALONE.items()
        for split, size in sizes.items()
    ),
)
TEMPLATE = Template(
    instruction="Write the logical form of the utterance.", question="Utterance: {input}\nLogical form:"
)


def load(folder: Path | None) -> Task:
    """The task from its tsv files."""
    assert folder is not None
    whole = all(file.here(folder) for file in FILES[: len(SIZES)])
    splits = {}
    for split in SIZES:
        known = [file for file in FILES if whole or file.kind == PART]
        file = chosen(folder, known, split)
        splits[split] = [example for name in file.names for example in _read(folder / name)]
    return Task(
        name=NAME,
        train=tuple(splits["train"]),
        dev=tuple(merged(splits["eval"])),
        test=tuple(merged(splits["test"])),
        template=TEMPLATE,
        metrics=METRICS,
        source=(
            f"TOPv2 v1.1, {LICENCE}; {'all eight domains' if whole else 'samples of 10,000, 2,000 and 2,000 rows'}"
        ),
    )


def _read(path: Path) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": parts.text(row, "utterance", path, number)}
        return Example(
            f"{path.stem}-{number}",
            fields,
            (parts.balanced(parts.text(row, "semantic_parse", path, number), path, number, "semantic_parse"),),
        )

    return parts.table(path, make, quoted=False)
