"""A StudyPage is everything that the page of one study says, as plain values; it refuses to hold a model or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foreword.results.cells import Answered, Cell


@dataclass(frozen=True)
class StudyPage:
    """name: of the preset, or of the user's own study. title: what it answers. scale: smoke, small or full. command: that runs it again.
    cells: of the whole grid, the unfinished too. answers: what each question gave. decisions: what foreword does where the paper is
    silent, by the points of `Paper.silent`. notes: whole sentences. date: of the last cell that ended, as in 2026-01-31."""

    name: str
    title: str
    scale: str
    command: str
    cells: Sequence[Cell]
    answers: Mapping[str, Sequence[Answered]]
    decisions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    date: str = ""
