"""MRQA 2019 out of domain: six tasks that are trained on SQuAD and scored on another set's file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from foreword.data.task import Task
from foreword.tasks import _qa, squad
from foreword.tasks._entry import entry
from foreword.tasks._files import File, pick
from foreword.util.errors import ForewordError

LICENCE = "each set's own licence"
PLACE = "mrqa"
METRICS, TEMPLATE = _qa.METRICS, _qa.TEMPLATE
UNITS = {"questions": _qa.mrqa_questions}


def _known(name: str, questions: int) -> tuple[File, ...]:
    """Where the set's file may lie."""
    places = (f"{name}.jsonl.gz", f"dev/{name}.jsonl.gz", f"out_of_domain/{name}.jsonl.gz", f"{name}-dev.jsonl.gz")
    return tuple(File("test", place, {"questions": questions}) for place in places)


def _get(name: str) -> str:
    """What to download."""
    return (
        f"the out-of-domain development file {name}.jsonl.gz from https://github.com/mrqa/MRQA-Shared-Task-2019 "
        f"({LICENCE}), and SQuAD v1.1 for training,"
    )


def _read(folder: Path, name: str, known: tuple[File, ...]) -> Task:
    """The task whose train and dev are SQuAD's and whose test is the set's file. Raises ForewordError without SQuAD."""
    scored = _qa.mrqa(pick(folder, known, "test"), "test")
    home = next(
        (folder.parent / place for place in (squad.PLACE, *squad.ALSO) if (folder.parent / place).is_dir()), None
    )
    if home is None:
        raise ForewordError(
            f"The task '{name}' is trained on SQuAD, and there is no folder '{squad.PLACE}' beside '{PLACE}'; "
            f"download {squad.GET} and put the files there."
        )
    train, dev, _, origin, notes = squad.splits(home)
    return Task(
        name=name,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"MRQA 2019 out of domain, {LICENCE}; train and dev are SQuAD's, from {origin}",
        notes=(*notes[1:], "Train and dev are SQuAD's: this task measures the step to another domain."),
    )


def _scored_on(name: str, set_name: str, file: str, questions: int, about: str) -> ModuleType:
    """The entry of one of the sets. file: the name of its file, without the ending."""
    known = _known(file, questions)

    def load(folder: Path | None) -> Task:
        """The task from SQuAD's files and the set's gzipped JSON lines."""
        assert folder is not None
        return _read(folder, name, known)

    docstring = (
        f"MRQA out of domain, {set_name}: questions on {about}; it refuses to score without that file.\n\nTrained on SQuAD, scored on "
        f"the {questions:,} questions of MRQA 2019's development file (Fisch et al. 2019, arXiv 1910.09753), worded as T5 does.\n"
    )
    return entry(
        docstring,
        NAME=name,
        SUMMARY=f"Trained on SQuAD, scored on {about} (MRQA 2019, {set_name})",
        LICENCE=LICENCE,
        PLACE=PLACE,
        METRICS=METRICS,
        UNITS=UNITS,
        GET=_get(file),
        FILES=known,
        load=load,
    )


TASKS = (
    _scored_on("mrqa-bioasq", "BioASQ", "BioASQ", 1504, "biomedical articles"),
    _scored_on("mrqa-drop", "DROP", "DROP", 1503, "paragraphs that ask for counting and comparing"),
    _scored_on("mrqa-duorc", "DuoRC", "DuoRC.ParaphraseRC", 1501, "film plots"),
    _scored_on("mrqa-race", "RACE", "RACE", 674, "school examinations"),
    _scored_on(
        "mrqa-relation-extraction", "RelationExtraction", "RelationExtraction", 2948, "sentences on one relation"
    ),
    _scored_on("mrqa-textbookqa", "TextbookQA", "TextbookQA", 1503, "school textbooks"),
)
