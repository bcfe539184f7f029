"""DART: say a set of triples in English; it refuses an entry without triples.

Source: Nan et al. 2021 (arXiv 2007.02871), v1.1.1. Input: `subject : relation : object | ...` with the relation
in lower case, as UnifiedSKG writes it. One train example per reference; dev and test have one example per entry
with all its references. The official train file is `dart-v1.1.1-full-train.json`; where it is absent an
approximate rebuilding from WebNLG and E2E (`dart-train.approx_rebuilt.json`) is taken, and source and notes say
so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreword.data import Example
from foreword.errors import ForewordError
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "dart"
SUMMARY = "Triples to English text (DART v1.1.1, MIT; holds WebNLG, CC BY-NC-SA 4.0, and E2E, CC BY-SA 4.0)"
PLACE = "dart"
GET = "dart-v1.1.1-full-{train,dev,test}.json from https://github.com/Yale-LILY/dart, folder data/v1.1.1 (MIT)"
OFFICIAL, REBUILT = "dart-v1.1.1-full-train.json", "dart-train.approx_rebuilt.json"
TEMPLATE = Template(
    instruction="Say all the facts in one or two English sentences.",
    question="Facts: {input}\nText:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON files."""
    assert folder is not None
    train = parts.first_file(folder, OFFICIAL, REBUILT)
    dev = parts.first_file(folder, "dart-v1.1.1-full-dev.json")
    test = parts.first_file(folder, "dart-v1.1.1-full-test.json", "dart-v1.1.1-full-test.from_xml.json")
    approximate = train.name == REBUILT
    note = "The official train file is absent: train is an approximate rebuilding from WebNLG and E2E train."
    return Task(
        name=NAME,
        train=tuple(one for entry in _read(train, "train") for one in _rows(entry)),
        dev=tuple(_read(dev, "dev")),
        test=tuple(_read(test, "test")),
        template=TEMPLATE,
        metrics=("bleu", "chrf", "rouge_l"),
        source=(f"DART v1.1.1, MIT; train from {train.name}{' (approximate, not official)' if approximate else ''}"),
        notes=(note,) if approximate else (),
    ).noted()


def _rows(entry: Example) -> list[Example]:
    return [Example(f"{entry.id}.{k}", entry.fields, (target,)) for k, target in enumerate(entry.targets, 1)]


def _read(path: Path, split: str) -> list[Example]:
    made = []
    for number, entry in enumerate(parts.read_list(path), 1):
        triples = parts.get(entry, "tripleset", path, number)
        texts = [parts.text(one, "text", path, number) for one in parts.get(entry, "annotations", path, number)]
        targets = tuple(" ".join(text.split()) for text in texts if text)
        if targets:
            made.append(Example(f"{split}-{number}", {"input": linear(triples, path, number)}, targets))
    return made


def linear(triples: Any, path: Path, number: int) -> str:
    """`subject : relation : object | ...`. Raises ForewordError naming the entry whose triples are not such."""
    whole = isinstance(triples, list) and triples and all(isinstance(one, list) and len(one) == 3 for one in triples)
    if not whole or not all(isinstance(part, str) for one in triples for part in one):
        raise ForewordError(
            f"The field 'tripleset' in row {number} of {path} is no list of triples; download the file again."
        )
    return " | ".join(f"{subject} : {relation.lower()} : {value}" for subject, relation, value in triples)
