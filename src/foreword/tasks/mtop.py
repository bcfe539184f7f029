"""MTOP (English): an utterance to its bracketed logical form; it refuses a line without utterance or parse.

Source: Li et al. 2021 (arXiv 2008.09335). The official layout (`{train,eval,test}.txt`, also below `en/`) is
read where it is there: input is the blank-joined tokens, as UnifiedSKG has it; the official eval split is dev.
Else the aligned English side of XSemPLR (`{dev,test}.en.compact.tsv`): its dev file becomes train and, by seed
0, 100 questions of dev; the notes say so. Test is scored (`mtop-dev` scores the eval split).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, merged
from foreword.data.readers import read_lines
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, REMADE, File, chosen, pick
from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed

NAME = "mtop"
SUMMARY = "English utterances to bracketed logical forms (MTOP)"
LICENCE = "CC BY-SA 4.0"
PLACE = "mtop"
GET = "mtop.zip (en/train.txt, en/eval.txt, en/test.txt) from https://fb.me/mtop_dataset (CC BY-SA 4.0)"
METRICS = ("mtop_em", "mtop_template", "mtop_tree", "exact_match")
SIZES = {"train": 15667, "eval": 2235, "test": 4386}
FILES = (
    *(File(split, f"{place}{split}.txt", {"rows": size}) for split, size in SIZES.items() for place in ("en/", "")),
    File("train", "dev.en.compact.tsv", {"rows": 859}, kind=REMADE),
    File("eval", "dev.en.compact.tsv", {"rows": 859}, kind=REMADE),
    File("test", "test.en.compact.tsv", {"rows": 1237}, kind=REMADE),
    File("xsemplr dev", "xsemplr_dev.json", {"rows": 859}, kind=BESIDE),
    File("xsemplr test", "xsemplr_test.json", {"rows": 1237}, kind=BESIDE),
)
DEV = 100
TEMPLATE = Template(
    instruction="Write the logical form of the utterance.", question="Utterance: {input}\nLogical form:"
)


def load(folder: Path | None) -> Task:
    """The task from its official files, else from the compact ones."""
    assert folder is not None
    official = chosen(folder, FILES, "train").kind != REMADE
    notes: tuple[str, ...] = ()
    if official:
        train, dev, test = (read_official(pick(folder, FILES, split), split) for split in SIZES)
        source = "official files"
    else:
        rows, test = (_compact(parts.first_file(folder, f"{s}.en.compact.tsv"), s) for s in ("dev", "test"))
        train, dev = parts.carved(rows, DEV)
        source = "dev.en.compact.tsv (XSemPLR)"
        notes = (
            (
                "The official train file is absent: train and dev are the aligned dev rows of XSemPLR, "
                "test its aligned test rows."
            ),
            parts.CARVED.format(size=len(dev)),
        )
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(merged(dev)),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"MTOP English, {LICENCE}; train from {source}",
        notes=notes,
    )


def _compact(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": parts.text(row, "utterance", path, number)}
        return Example(
            f"{split}-{number}",
            fields,
            (parts.balanced(parts.text(row, "parse", path, number), path, number, "parse"),),
        )

    return parts.table(path, make, quoted=False)


def read_official(path: Path, split: str) -> list[Example]:
    """The examples of one of MTOP's own files. Raises ForewordError for a line that is none."""
    examples = []
    for number, line in enumerate(read_lines(path), 1):
        cells = line.split("\t")
        try:
            tokens = parsed(cells[7])["tokens"]
            fields, parse = {"input": " ".join(tokens)}, cells[6].strip()
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ForewordError(
                f"Line {number} of {path} is no MTOP row of eight cells; download the file again."
            ) from error
        if not tokens or not parse:
            raise ForewordError(f"Line {number} of {path} has no tokens or no parse; download the file again.")
        examples.append(Example(f"{split}-{number}", fields, (parts.balanced(parse, path, number, "decoupled form"),)))
    return examples
