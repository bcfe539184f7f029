"""MultiRC: is an answer to a question on a paragraph right; it refuses a label that is not 0 or 1.

Source: Khashabi et al. 2018, in SuperGLUE, worded as T5 does: question, answer, paragraph, without its HTML marks. One
example per answer; the official dev split (953 questions, 4,848 answers) is scored, as its test answers are hidden. Train
is the official `train.jsonl` where it is there, else a labelled sample of 2,000 answers; dev is about 200 answers cut from
it by seed 0 with whole paragraphs. T5 scores F1 over all answers, and exact match over questions: the answers to one
question are one group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.readers import read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, HIDDEN, PART, File, pick
from foreword.util.errors import ForewordError

NAME = "multirc"
SUMMARY = "Is an answer to a question on a paragraph right (SuperGLUE MultiRC)"
LICENCE = "licence of the data not stated"
PLACE = "superglue/MultiRC"
HUB = ("aps/super_glue", "multirc")
GET = "train.jsonl and val.jsonl of SuperGLUE MultiRC from https://super.gluebenchmark.com (licence of the data not stated)"
METRICS = ("multirc_f1", "multirc_em")
FILES = (
    File("train", "train.jsonl", {"answers": 27243, "paragraphs": 456}),
    File("train", "olora_train_sample.json", {"rows": 2000}, kind=PART),
    File("dev", "val.jsonl", {"answers": 4848, "questions": 953, "paragraphs": 83}),
    File("test", "test.jsonl", {"answers": 9693}, kind=HIDDEN),
    File("dev32", "dev32.jsonl", {"paragraphs": 32}, kind=BESIDE),
)
UNITS = {
    "paragraphs": len,
    "questions": lambda rows: sum(len(row["passage"]["questions"]) for row in rows),
    "answers": lambda rows: sum(len(question["answers"]) for row in rows for question in row["passage"]["questions"]),
}
LABELS = ("False", "True")
DEV = 200
TEMPLATE = Template(
    instruction="Say whether the answer to the question is right: True or False.",
    question="question: {question} answer: {answer} paragraph: {paragraph}\nanswer:",
)


def load(folder: Path | None) -> Task:
    """The task from its files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train = _sample(path) if path.suffix == ".json" else _read(path, "train")
        scored, origin = _read(pick(folder, FILES, "dev"), "val"), path.name
    remaining, dev = parts.carved_whole(train, DEV, lambda example: example.fields["paragraph"])
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"SuperGLUE MultiRC, {LICENCE}; train from {origin}",
        notes=(parts.DEV_SCORED, parts.CARVED_WHOLE.format(size=len(dev), group="paragraph")),
    )


def _read(path: Path, split: str) -> list[Example]:
    examples: list[Example] = []
    for number, row in enumerate(read_rows(path), 1):
        passage = parts.get(row, "passage", path, number)
        paragraph = parts.text(passage, "text", path, number)
        for question in parts.listed(passage, "questions", path, number):
            question_text = parts.text(question, "question", path, number)
            for answer in parts.listed(question, "answers", path, number):
                label = parts.get(answer, "label", path, number)
                if label not in (0, 1):
                    raise ForewordError(
                        f"The field 'label' in row {number} of {path} is '{label}', not 0 or 1; mend it."
                    )
                fields = _fields(question_text, parts.text(answer, "text", path, number), paragraph)
                group = f"{number}.{question.get('idx', question_text)}"
                examples.append(_example(f"{split}-{len(examples) + 1}", fields, label, group))
    return examples


def _fields(question: str, answer: str, paragraph: str) -> dict[str, str]:
    return {"question": _plain(question), "answer": _plain(answer), "paragraph": _plain(paragraph)}


def _plain(text: str) -> str:
    """T5 reads `<br>` as a blank and leaves out `<b>` and `</b>`."""
    return " ".join(re.sub(r"</?b>", "", text.replace("<br>", " ")).split())


def _example(name: str, fields: Mapping[str, str], label: int, group: str) -> Example:
    cluster = shared("paragraph", fields["paragraph"])
    return Example(name, fields, (LABELS[label],), LABELS, {"group": group}, cluster)


def _sample(path: Path) -> list[Example]:
    examples: list[Example] = []
    for number, row in enumerate(parts.read_list(path), 1):
        whole = parts.text(row, "sentence", path, number).removeprefix("paragraph: ")
        paragraph, mark, tail = whole.partition("\nquestion: ")
        question, second, answer = tail.partition("\ncandidate answer: ")
        if not (mark and second):
            raise ForewordError(
                f"The field 'sentence' in row {number} of {path} has no question and candidate answer; mend it."
            )
        label = parts.text(row, "label", path, number)
        if label not in LABELS:
            raise ForewordError(
                f"The field 'label' in row {number} of {path} is '{label}', not True or False; mend it."
            )
        fields = _fields(question, answer, paragraph)
        examples.append(
            _example(f"train-{number}", fields, LABELS.index(label), fields["question"] + "\n" + fields["paragraph"])
        )
    return examples


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    fields = _fields(row["question"], row["answer"], row["paragraph"])
    group = f"{row['idx']['paragraph']}.{row['idx']['question']}"
    return _example(f"{split}-{number}", fields, int(row["label"]), group)
