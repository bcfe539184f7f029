"""WSC: whom or what does a pronoun mean; it refuses a pronoun that is not in its text.

Source: Levesque, Davis and Morgenstern 2012, in SuperGLUE, worded as T5 does: the text with the pronoun between stars, the
referent as target; trained on right referents only (259 of 554). The official dev split (104) is scored, as its test
answers are hidden, by whether the answer names the referent and whether it should: each example's label stands in its
facts. Train is the official `train.jsonl` where it is there, else 32 labelled rows of it; dev is 25 questions cut from
train by seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import HIDDEN, PART, File, pick
from foreword.util.errors import ForewordError

NAME = "wsc"
SUMMARY = "Whom or what a pronoun means (SuperGLUE WSC)"
LICENCE = "licence of the data not stated"
PLACE = "superglue/WSC"
HUB = ("aps/super_glue", "wsc.fixed")
GET = "train.jsonl and val.jsonl of SuperGLUE WSC from https://super.gluebenchmark.com (licence of the data not stated)"
METRICS = ("wsc",)
FILES = (
    File("train", "train.jsonl", {"rows": 554, "right": 259}),
    File("train", "dev32.jsonl", {"rows": 32, "right": 10}, kind=PART),
    File("dev", "val.jsonl", {"rows": 104, "right": 38}),
    File("test", "test.jsonl", {"rows": 146}, kind=HIDDEN),
)
UNITS = {"right": lambda rows: sum(bool(row["label"]) for row in rows)}
DEV = 25
TEMPLATE = Template(
    instruction="Name whom or what the pronoun between the stars means.",
    question="{text}\nanswer:",
)
SCORED = "Of the {whole} pairs of the scored split {right} have the right referent; train has right referents only."


def load(folder: Path | None) -> Task:
    """The task from its files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        path = pick(folder, FILES, "train")
        train, scored, origin = _read(path, "train"), _read(pick(folder, FILES, "dev"), "val"), path.name
    remaining, dev = parts.carved(_right(train), DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"SuperGLUE WSC, {LICENCE}; train from {origin}",
        notes=(
            parts.DEV_SCORED,
            SCORED.format(whole=len(scored), right=len(_right(scored))),
            parts.CARVED.format(size=len(dev)),
        ),
    )


def _right(examples: list[Example]) -> list[Example]:
    return [example for example in examples if example.facts["label"]]


def _read(path: Path, split: str) -> list[Example]:
    def make(row: Mapping[str, Any], number: int) -> Example:
        target = parts.get(row, "target", path, number)
        words = {key: parts.text(target, key, path, number) for key in ("span1_text", "span2_text")}
        place, label = parts.get(target, "span2_index", path, number), parts.get(row, "label", path, number)
        if not isinstance(place, int):
            raise ForewordError(
                f"The field 'span2_index' in row {number} of {path} is '{place}', not the place of a word; mend it."
            )
        if not isinstance(label, bool | int) or label not in (0, 1):
            raise ForewordError(
                f"The field 'label' in row {number} of {path} is '{label}', not true or false; mend it."
            )
        text = starred(parts.text(row, "text", path, number), words["span2_text"], place)
        if text is None:
            raise ForewordError(
                f"The pronoun '{words['span2_text']}' in row {number} of {path} is not in its field 'text'; mend it."
            )
        cluster = shared("text", parts.text(row, "text", path, number))
        return Example(f"{split}-{number}", {"text": text}, (words["span1_text"],), (), {"label": int(label)}, cluster)

    return parts.table(path, make)


def starred(text: str, pronoun: str, place: int) -> str | None:
    """The text with the pronoun between stars: the word of that number, else the nearest one that is or starts with it."""
    words = text.split(" ")
    order = sorted(range(len(words)), key=lambda k: (abs(k - place), k))
    for starts in (False, True):
        for k in order:
            suffix = words[k].removeprefix(pronoun)
            if words[k] == pronoun or (starts and suffix != words[k] and not suffix[0].isalnum()):
                star = [f"*{pronoun}*", suffix] if suffix else [f"*{pronoun}*"]
                return " ".join([*words[:k], *star, *words[k + 1 :]])
    return None


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    text = starred(row["text"].strip(), row["span2_text"], row["span2_index"])
    if text is None:
        raise ValueError(f"the pronoun '{row['span2_text']}' is not in row {number}")
    cluster = shared("text", row["text"].strip())
    return Example(f"{split}-{number}", {"text": text}, (row["span1_text"],), (), {"label": int(row["label"])}, cluster)
