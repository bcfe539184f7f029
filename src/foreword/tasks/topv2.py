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

from foreword.data import Example, merged
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "topv2"
SUMMARY = "Utterances of eight domains to bracketed logical forms (TOPv2, CC BY-SA 4.0)"
PLACE = "topv2"
GET = "TOPv2_Dataset.zip ({domain}_{train,eval,test}.tsv) from https://fb.me/TOPv2Dataset (CC BY-SA 4.0)"
DOMAINS = ("alarm", "event", "messaging", "music", "navigation", "reminder", "timer", "weather")
SAMPLES = {"train": "train.compact10000.tsv", "eval": "eval.compact2000.tsv", "test": "test.compact2000.tsv"}
TEMPLATE = Template(
    instruction="Write the logical form of the utterance.", question="Utterance: {input}\nLogical form:"
)


def load(folder: Path | None) -> Task:
    """The task from its tsv files."""
    assert folder is not None
    whole = all((folder / f"{domain}_{split}.tsv").is_file() for domain in DOMAINS for split in SAMPLES)
    splits = {}
    for split, sample in SAMPLES.items():
        files = (
            [folder / f"{domain}_{split}.tsv" for domain in DOMAINS] if whole else [parts.first_file(folder, sample)]
        )
        splits[split] = [example for path in files for example in _read(path)]
    return Task(
        name=NAME,
        train=tuple(splits["train"]),
        dev=tuple(merged(splits["eval"])),
        test=tuple(merged(splits["test"])),
        template=TEMPLATE,
        metrics=("exact_match",),
        source=(
            f"TOPv2 v1.1, CC BY-SA 4.0; {'all eight domains' if whole else 'samples of 10,000, 2,000 and 2,000 rows'}"
        ),
    ).noted()


def _read(path: Path) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": parts.text(row, "utterance", path, number)}
        return Example(f"{path.stem}-{number}", fields, (parts.text(row, "semantic_parse", path, number),))

    return parts.table(path, make, quoted=False)
