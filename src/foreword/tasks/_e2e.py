"""E2E NLG's csv files (columns mr and ref) and the five scores of its challenge; the test file without references is refused.

A reference that stands twice in a scored file stays twice: NIST and CIDEr count it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, merged
from foreword.data.template import Template
from foreword.tasks import _parts as parts

METRICS = ("bleu_mteval", "nist_mteval", "meteor_coco", "rouge_l_coco", "cider_coco", "bleu", "chrf")
TEMPLATE = Template(
    instruction="Describe the restaurant in English from its attributes.",
    question="Attributes: {input}\nDescription:",
)


def meanings(rows: Sequence[Any]) -> int:
    """How many distinct meaning representations the rows hold."""
    return len({row.get("mr") for row in rows})


UNITS = {"meanings": meanings}


def read(path: Path, split: str) -> list[Example]:
    """One example per row. Raises ForewordError naming the row and the field that is not there."""

    def make(row: Mapping[str, Any], number: int) -> Example:
        fields = {"input": parts.text(row, "mr", path, number)}
        return Example(f"{split}-{number}", fields, (parts.text(row, "ref", path, number),))

    return parts.table(path, make)


def read_merged(path: Path, split: str) -> list[Example]:
    """One example per meaning representation with all its references."""
    return merged(read(path, split), once=False)
