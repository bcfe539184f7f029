"""WebNLG: say a set of DBpedia triples in English; it refuses a triple that has not three parts.

Source: Gardent et al. 2017, in the enriched version 1.6. Input: `subject : predicate : object | ...`,
underscores read as blanks. One train example per reference; dev and test have one example per entry with all
its references; a test entry is of the subset `seen` where train has entries of its category, else `unseen`, as in the
challenge of 2017. The XML folders of the distribution are read where they are there, else one line per entry as JSON.
Sacrebleu over all references decides; `webnlg_bleu` and `webnlg_meteor` are those of the challenge's own script.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foreword.data.examples import Example
from foreword.data.readers import read_rows
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, REMADE, File, pick
from foreword.tasks._xml import entries
from foreword.util.errors import ForewordError

NAME = "webnlg"
SUMMARY = "DBpedia triples to English text (enriched WebNLG v1.6)"
LICENCE = "CC BY-NC-SA 4.0, not for commercial use"
PLACE = "webnlg"
GET = "the folder data/v1.6/en (train, dev, test) from https://github.com/ThiagoCF05/webnlg (CC BY-NC-SA 4.0)"
METRICS = ("bleu", "webnlg_bleu", "webnlg_meteor", "chrf", "rouge_l")
SIZES = {"train": (6940, 18102), "dev": (872, 2262), "test": (1862, 4928)}
FILES = (
    *(
        File(split, f"{place}{split}", {"entries": size})
        for split, (size, _) in SIZES.items()
        for place in ("", "data/v1.6/en/")
    ),
    *(
        File(split, f"{split}.compact.jsonl", {"entries": size, "texts": texts}, kind=REMADE)
        for split, (size, texts) in SIZES.items()
    ),
    File("challenge", "challenge2017_testdata_with_lex.xml", {"entries": 1862, "xml texts": 4928}, kind=BESIDE),
)
UNITS = {
    "texts": lambda rows: sum(len(row["refs"]) for row in rows),
    "xml texts": lambda rows: sum(len(row.findall("lex")) for row in rows),
}
TEMPLATE = Template(
    instruction="Say all the facts in one or two English sentences.",
    question="Facts: {input}\nText:",
)


def load(folder: Path | None) -> Task:
    """The task from its XML folders or its JSON-lines files."""
    assert folder is not None
    train, dev, test = (_read(pick(folder, FILES, split), split) for split in SPLITS)
    train_categories = {category for _, category in train}
    return Task(
        name=NAME,
        train=tuple(Example(f"{e.id}.{k}", e.fields, (t,)) for e, _ in train for k, t in enumerate(e.targets, 1)),
        dev=tuple(example for example, _ in dev),
        test=tuple(_with_subset(example, category, train_categories) for example, category in test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"WebNLG enriched v1.6, {LICENCE}",
    )


def _with_subset(example: Example, category: str, train_categories: set[str]) -> Example:
    return (
        replace(example, facts={"subset": "seen" if category in train_categories else "unseen"})
        if category
        else example
    )


def _read(path: Path, split: str) -> list[tuple[Example, str]]:
    """The examples with their categories, empty where a file names none."""
    examples = []
    records = _folder(path) if path.is_dir() else _lines(path)
    for number, (triples, texts, category) in enumerate(records, 1):
        targets = tuple(" ".join(text.split()) for text in texts if text.strip())
        if targets:
            fields = {"input": " | ".join(" : ".join(_tidy(cell) for cell in triple) for triple in triples)}
            examples.append((Example(f"{split}-{number}", fields, targets), category))
    return examples


def _folder(path: Path) -> list[tuple[list[list[str]], list[str], str]]:
    files = sorted(path.rglob("*.xml"))
    if not files:
        raise ForewordError(f"The folder {path} holds no XML file; put those of data/v1.6/en there.")
    return [entry for file in files for entry in entries(file)]


def _lines(path: Path) -> list[tuple[list[list[str]], list[str], str]]:
    records = []
    for number, row in enumerate(read_rows(path), 1):
        triples = [_triple(triple, path, number) for triple in parts.listed(row, "triples", path, number)]
        texts = [str(ref) for ref in parts.listed(row, "refs", path, number)]
        records.append((triples, texts, str(row.get("category", ""))))
    return records


def _triple(triple: object, path: Path, number: int) -> list[str]:
    cells = str(triple).split(" | ")
    if len(cells) != 3:
        raise ForewordError(f"The triple '{triple}' in row {number} of {path} has {len(cells)} parts, not 3; mend it.")
    return cells


def _tidy(cell: str) -> str:
    return cell.replace("_", " ").strip('" ')
