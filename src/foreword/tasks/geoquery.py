"""GeoQuery: a question on US geography to its FunQL form; it refuses a row without an English question.

Source: Zelle and Mooney 1996, in the split of XSemPLR (548 / 49 / 277), whose FunQL (Kate et al. 2005) is the
target.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data import Example
from foreword.task import Task
from foreword.tasks import _parts as parts
from foreword.template import Template

NAME = "geoquery"
SUMMARY = "Questions on US geography to FunQL (GeoQuery, GPL 2.0 per XSemPLR)"
PLACE = "geoquery"
GET = (
    "dataset/mgeoquery/{train,dev,test}.json from https://github.com/psunlpgroup/XSemPLR (GPL 2.0 per its "
    "README), as xsemplr_mgeoquery_{train,dev,test}.json"
)
TEMPLATE = Template(instruction="Write the FunQL form of the question.", question="Question: {input}\nFunQL:")


def load(folder: Path | None) -> Task:
    """The task from XSemPLR's JSON files."""
    assert folder is not None
    names = ("train", "dev", "test")
    train, dev, test = (_read(parts.first_file(folder, f"xsemplr_mgeoquery_{s}.json", f"{s}.json"), s) for s in names)
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=("exact_match",),
        source="GeoQuery (XSemPLR), GPL 2.0 per its README",
    ).noted()


def _read(path: Path, split: str) -> list[Example]:
    made = []
    for number, row in enumerate(parts.read_list(path), 1):
        question = parts.text(parts.get(row, "question", path, number), "en", path, number)
        form = parts.text(parts.get(row, "mr", path, number), "funql", path, number)
        made.append(Example(f"{split}-{number}", {"input": question}, (form,)))
    return made
