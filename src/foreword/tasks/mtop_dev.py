"""MTOP (English), scored on its official eval split: as `mtop` otherwise; it refuses to run without MTOP's own files.

Sun et al. 2023 scored these 2,235 utterances, as the counts of their bins say. Train is the official train split less 500
questions, cut from it by seed 0, which are dev. The official test split is not read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _parts as parts
from foreword.tasks import mtop
from foreword.tasks._files import BESIDE, REMADE, pick

NAME = "mtop-dev"
SUMMARY = "English utterances to bracketed logical forms, scored on the eval split (MTOP)"
LICENCE, PLACE, METRICS, TEMPLATE = mtop.LICENCE, mtop.PLACE, mtop.METRICS, mtop.TEMPLATE
GET = "mtop.zip (en/train.txt, en/eval.txt) from https://fb.me/mtop_dataset (CC BY-SA 4.0)"
FILES = tuple(
    replace(file, kind=BESIDE) if file.split == "test" or file.kind == REMADE else file for file in mtop.FILES
)
DEV = 500


def load(folder: Path | None) -> Task:
    """The task from MTOP's own files."""
    assert folder is not None
    train, scored = (mtop.read_official(pick(folder, FILES, split), split) for split in ("train", "eval"))
    remaining, dev = parts.carved(train, DEV)
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"MTOP English, {LICENCE}; the official eval split is the test split here",
        notes=("The official eval split is what is scored, as in Sun et al. 2023.", parts.CARVED.format(size=len(dev))),
    )
