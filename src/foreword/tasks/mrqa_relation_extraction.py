"""MRQA out of domain, RelationExtraction: questions on sentences on one relation; it refuses to score without that file.

Trained on SQuAD, scored on the 2,948 questions of MRQA 2019's development file (Fisch et al. 2019, arXiv 1910.09753), worded as T5 does.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _mrqa

NAME = "mrqa-relation-extraction"
SUMMARY = "Trained on SQuAD, scored on sentences on one relation (MRQA 2019, RelationExtraction)"
LICENCE, PLACE, METRICS, UNITS = _mrqa.LICENCE, _mrqa.PLACE, _mrqa.METRICS, _mrqa.UNITS
GET, FILES = _mrqa.get("RelationExtraction"), _mrqa.files("RelationExtraction", 2948)


def load(folder: Path | None) -> Task:
    """The task from SQuAD's files and the set's gzipped JSON lines."""
    assert folder is not None
    return _mrqa.mrqa_task(folder, NAME, FILES)
