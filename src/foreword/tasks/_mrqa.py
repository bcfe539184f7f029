"""MRQA 2019 out of domain: trained on SQuAD, scored on one of six other sets."""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _qa, squad
from foreword.tasks._files import File, pick
from foreword.util.errors import ForewordError

LICENCE = "each set's own licence"
PLACE = "mrqa"
METRICS, TEMPLATE = _qa.METRICS, _qa.TEMPLATE
UNITS = {"questions": _qa.mrqa_questions}


def files(name: str, questions: int) -> tuple[File, ...]:
    """Where the set's file may lie."""
    places = (f"{name}.jsonl.gz", f"dev/{name}.jsonl.gz", f"out_of_domain/{name}.jsonl.gz", f"{name}-dev.jsonl.gz")
    return tuple(File("test", place, {"questions": questions}) for place in places)


def get(name: str) -> str:
    """What to download."""
    return (
        f"the out-of-domain development file {name}.jsonl.gz from https://github.com/mrqa/MRQA-Shared-Task-2019 "
        f"({LICENCE}), and SQuAD v1.1 for training,"
    )


def mrqa_task(folder: Path, name: str, known: tuple[File, ...]) -> Task:
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
