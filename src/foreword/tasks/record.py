"""ReCoRD: which entity of a passage fills the gap of a query; it refuses an entity outside its passage.

Source: Zhang et al. 2018, in SuperGLUE, worded as T5 does: query, entities, passage, its `@highlight` marks read as ends of
sentences. One train example per gold answer (138,854 in the official file), one scored example per query with all its
answers. The official dev split (10,000) is scored, as its test answers are hidden; dev is 500 examples cut from train by
seed 0 with whole passages. Where only the 32 passages of `dev32.jsonl` are there, they are split 80/10/10 by passage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.readers import read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import HIDDEN, PART, File, pick
from foreword.util.errors import ForewordError

NAME = "record"
SUMMARY = "Which entity of a passage fills the gap (SuperGLUE ReCoRD)"
LICENCE = "licence of the data not stated"
PLACE = "superglue/ReCoRD"
HUB = ("aps/super_glue", "record")
GET = "train.jsonl and val.jsonl of SuperGLUE ReCoRD from https://super.gluebenchmark.com (licence of the data not stated)"
METRICS = ("token_f1", "squad_em")
FILES = (
    File("train", "train.jsonl", {"queries": 100730, "passages": 65709}),
    File("train", "dev32.jsonl", {"queries": 32, "passages": 32}, kind=PART),
    File("dev", "val.jsonl", {"queries": 10000, "passages": 7481}),
    File("dev", "dev32.jsonl", {"queries": 32, "passages": 32}, kind=PART),
    File("test", "test.jsonl", {"queries": 10000}, kind=HIDDEN),
)
UNITS = {"passages": len, "queries": lambda rows: sum(len(row["qas"]) for row in rows)}
DEV = 500
TEMPLATE = Template(
    instruction="Name the entity of the passage that stands at @placeholder in the query.",
    question="query: {query} entities: {entities} passage: {passage}\nanswer:",
)
SAMPLE = "The official files are absent: the 32 passages of dev32.jsonl were split 80/10/10 by passage and seed 0."


def load(folder: Path | None) -> Task:
    """The task from its files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train, origin = _read(path, "train"), path.name
        second = pick(folder, FILES, "dev")
        if second == path:
            train, scored = parts.carved_whole(train, max(1, len(train) // 10), _passage, seed=1)
        else:
            scored = _read(second, "val")
    sample = origin == "dev32.jsonl"
    remaining, dev = parts.carved_whole(train, max(1, len(train) // 9) if sample else DEV, _passage)
    note = SAMPLE if sample else parts.CARVED_WHOLE.format(size=len(dev), group="passage")
    return Task(
        name=NAME,
        train=tuple(row for query in remaining for row in _rows(query)),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"SuperGLUE ReCoRD, {LICENCE}; train from {origin}",
        notes=(note,) if sample else (parts.DEV_SCORED, note),
    )


def _passage(example: Example) -> str:
    return example.fields["passage"]


def _rows(query: Example) -> list[Example]:
    """T5 trains on one row per gold answer."""
    if len(query.targets) == 1:
        return [query]
    return [replace(query, id=f"{query.id}.{k}", targets=(target,)) for k, target in enumerate(query.targets, 1)]


def _read(path: Path, split: str) -> list[Example]:
    examples: list[Example] = []
    for number, row in enumerate(read_rows(path), 1):
        passage = parts.get(row, "passage", path, number)
        text = parts.get(passage, "text", path, number)  # as it stands: places are counted in it
        parts.text(passage, "text", path, number)
        try:
            names = [text[int(entity["start"]) : int(entity["end"]) + 1] for entity in passage["entities"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ForewordError(
                f"The field 'entities' in row {number} of {path} is no list of starts and ends; download the file again."
            ) from error
        if not all(names):
            raise ForewordError(
                f"The field 'entities' in row {number} of {path} names a place outside the passage; mend it."
            )
        for question in parts.listed(row, "qas", path, number):
            answers = [
                parts.text(answer, "text", path, number) for answer in parts.listed(question, "answers", path, number)
            ]
            if not answers:
                raise ForewordError(f"The field 'answers' in row {number} of {path} is empty; mend it.")
            query = parts.text(question, "query", path, number)
            examples.append(_example(f"{split}-{len(examples) + 1}", query, names, text, answers))
    return examples


def _example(name: str, query: str, entities: Sequence[str], passage: str, answers: Sequence[str]) -> Example:
    """Entities and answers once each, in the order of the alphabet, as the data set library of T5 gives them."""
    fields = {"query": query, "entities": ", ".join(sorted(set(entities))), "passage": flowing(passage)}
    return Example(name, fields, tuple(sorted(set(answers))), cluster=shared("passage", fields["passage"]))


def flowing(passage: str) -> str:
    """A passage without `@highlight` lines: a blank behind the end of a sentence, else a full stop in their place."""
    return re.sub(r"\n@highlight\n", ". ", re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", passage))


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return _example(f"{split}-{number}", row["query"], row["entities"], row["passage"], row["answers"])
