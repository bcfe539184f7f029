"""GeoQuery: a question on US geography to its FunQL form; it refuses a row without an English question.

Source: Zelle and Mooney 1996, in the split of XSemPLR (548 / 49 / 277), whose FunQL (Kate et al. 2005) is the
target.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, File, pick

NAME = "geoquery"
SUMMARY = "Questions on US geography to FunQL (GeoQuery)"
LICENCE = "GPL 2.0 per XSemPLR"
PLACE = "geoquery"
GET = (
    "dataset/mgeoquery/{train,dev,test}.json from https://github.com/psunlpgroup/XSemPLR (GPL 2.0 per its "
    "README), as xsemplr_mgeoquery_{train,dev,test}.json"
)
METRICS = ("exact_match",)
FILES = (
    File("train", "xsemplr_mgeoquery_train.json", {"rows": 548}),
    File("train", "train.json", {"rows": 548}),
    File("dev", "xsemplr_mgeoquery_dev.json", {"rows": 49}),
    File("dev", "dev.json", {"rows": 49}),
    File("test", "xsemplr_mgeoquery_test.json", {"rows": 277}),
    File("test", "test.json", {"rows": 277}),
    File("sql", "geography.json", {"sentences": 877}, kind=BESIDE),
    File("schema", "geography-schema.csv", {"rows": 38}, kind=BESIDE),
)
UNITS = {"sentences": lambda rows: sum(len(row["sentences"]) for row in rows)}
TEMPLATE = Template(instruction="Write the FunQL form of the question.", question="Question: {input}\nFunQL:")


def load(folder: Path | None) -> Task:
    """The task from XSemPLR's JSON files."""
    assert folder is not None
    train, dev, test = (_read(pick(folder, FILES, split), split) for split in SPLITS)
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"GeoQuery (XSemPLR), {LICENCE}",
    )


def _read(path: Path, split: str) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        question = parts.text(parts.get(row, "question", path, number), "en", path, number)
        form = parts.text(parts.get(row, "mr", path, number), "funql", path, number)
        examples.append(Example(f"{split}-{number}", {"input": question}, (form,)))
    return examples
