"""WebNLG: say a set of DBpedia triples in English; it refuses a triple that has not three parts.

Source: Gardent et al. 2017, in the enriched version 1.6. Input: `subject : predicate : object | ...`,
underscores read as blanks. One train example per reference; dev and test have one example per entry with all
its references.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data import Example
from foreword.errors import ForewordError
from foreword.readers import read_rows
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "webnlg"
SUMMARY = "DBpedia triples to English text (WebNLG, CC BY-NC-SA 4.0, not for commercial use)"
PLACE = "webnlg"
GET = (
    "the enriched WebNLG v1.6 English files from https://github.com/ThiagoCF05/webnlg (CC BY-NC-SA 4.0), as "
    "{train,dev,test}.compact.jsonl with the fields triples and refs"
)
TEMPLATE = Template(
    instruction="Say all the facts in one or two English sentences.",
    question="Facts: {input}\nText:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files."""
    assert folder is not None
    train, dev, test = (_read(parts.first_file(folder, f"{s}.compact.jsonl"), s) for s in ("train", "dev", "test"))
    return Task(
        name=NAME,
        train=tuple(Example(f"{e.id}.{k}", e.fields, (t,)) for e in train for k, t in enumerate(e.targets, 1)),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=("bleu", "chrf", "rouge_l"),
        source="WebNLG enriched v1.6, CC BY-NC-SA 4.0",
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    made = []
    for number, row in enumerate(read_rows(path), 1):
        triples = [_triple(one, path, number) for one in parts.get(row, "triples", path, number)]
        refs = [str(ref).strip() for ref in parts.get(row, "refs", path, number)]
        targets = tuple(" ".join(ref.split()) for ref in refs if ref)
        if targets:
            made.append(Example(f"{split}-{number}", {"input": " | ".join(triples)}, targets))
    return made


def _triple(triple: object, path: Path, number: int) -> str:
    cells = str(triple).split(" | ")
    if len(cells) != 3:
        raise ForewordError(f"The triple '{triple}' in row {number} of {path} has {len(cells)} parts, not 3; mend it.")
    return " : ".join(cell.replace("_", " ").strip('" ') for cell in cells)
