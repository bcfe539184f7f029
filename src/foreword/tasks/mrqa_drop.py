"""MRQA out of domain, DROP: questions on paragraphs that ask for counting and comparing; it refuses to score without that file.

Trained on SQuAD, scored on the 1,503 questions of MRQA 2019's development file (Fisch et al. 2019, arXiv 1910.09753), worded as T5 does.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _mrqa

NAME = "mrqa-drop"
SUMMARY = "Trained on SQuAD, scored on paragraphs that ask for counting and comparing (MRQA 2019, DROP)"
LICENCE, PLACE, METRICS, UNITS = _mrqa.LICENCE, _mrqa.PLACE, _mrqa.METRICS, _mrqa.UNITS
GET, FILES = _mrqa.get("DROP"), _mrqa.files("DROP", 1503)


def load(folder: Path | None) -> Task:
    """The task from SQuAD's files and the set's gzipped JSON lines."""
    assert folder is not None
    return _mrqa.mrqa_task(folder, NAME, FILES)
