"""CommonGen: a sentence that uses all given concepts; it refuses files whose lines do not pair up.

Source: Lin et al. 2020 (arXiv 1911.03705). The files here are the first release (train 39,069 pairs); the hub
has v1.1 (train 67,389). One train example per sentence. The official dev split (993 concept sets, 992 by
their words, each with all its sentences) is scored, as the answers of test are withheld; dev is 500 concept sets cut from train by seed 0.
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
from foreword.tasks._files import BESIDE, File
from foreword.util.errors import ForewordError

NAME = "commongen"
SUMMARY = "A sentence that uses all given concepts (CommonGen)"
LICENCE = "MIT"
PLACE = "commongen"
HUB = ("allenai/common_gen", None)
GET = "commongen.{train,dev}.{src_alpha,tgt}.txt from https://github.com/INK-USC/CommonGen (MIT)"
METRICS = ("bleu", "cider_coco", "meteor_coco", "chrf", "rouge_l")
FILES = (
    File("train", "commongen.train.tgt.txt", {"rows": 39069}),
    File("train concepts", "commongen.train.src_alpha.txt", {"rows": 39069}),
    File("dev", "commongen.dev.tgt.txt", {"rows": 4018}),
    File("dev concepts", "commongen.dev.src_alpha.txt", {"rows": 4018}),
    File("train tags", "commongen.train.cs_str.txt", {"rows": 39069}, kind=BESIDE),
    File("dev tags", "commongen.dev.cs_str.txt", {"rows": 4018}, kind=BESIDE),
)
DEV = 500
TEMPLATE = Template(
    instruction="Write one sentence that uses all the concepts.", question="Concepts: {input}\nSentence:"
)


def load(folder: Path | None) -> Task:
    """The task from its paired text files, or from the hub."""
    if folder is None:
        splits = parts.from_hub(HUB, _hub_row, "train", "dev")
        train, scored, origin = splits["train"], splits["dev"], f"hub {HUB[0]}"
    else:
        train, scored, origin = _read(folder, "train"), _read(folder, "dev"), "first release"
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(merged(scored, once=False)),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"CommonGen, {LICENCE}; {origin}",
        notes=(parts.DEV_SCORED, parts.CARVED.format(size=len(dev))),
    )


def _read(folder: Path, split: str) -> list[Example]:
    concepts, sentences = (parts.first_file(folder, f"commongen.{split}.{kind}.txt") for kind in ("src_alpha", "tgt"))
    left, right = read_lines(concepts), read_lines(sentences)
    if len(left) != len(right):
        raise ForewordError(
            f"{concepts} has {len(left)} lines and {sentences} {len(right)}; they must pair up: download both again."
        )
    pairs = enumerate(zip(left, right, strict=True), 1)
    return [
        Example(f"{split}-{n}", _fields(words), (sentence.strip(),))
        for n, (words, sentence) in pairs
        if sentence.strip()
    ]


def _fields(words: str) -> dict[str, str]:
    return {"input": ", ".join(sorted(words.split()))}


def _hub_row(row: Mapping[str, Any], split: str, number: int) -> Example:
    return Example(f"{split}-{number}", _fields(" ".join(row["concepts"])), (row["target"].strip(),))
