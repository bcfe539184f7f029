"""The shelf of questions: functions of a study's cells to tables, curves, matrices, bins and tests; it refuses two of one name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from foreword.results.cells import Answered, Cell, Test
from foreword.study.preset import Preset
from foreword.util.errors import ForewordError, unknown

__all__ = ["QUESTIONS", "Question", "answers", "known_questions"]

Question = Callable[[Sequence[Cell], Preset, Path], tuple[Answered, ...]]


def _shelf() -> dict[str, Question]:
    entries: dict[str, Question] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for name, question in getattr(importlib.import_module(f"{__name__}.{module}"), "QUESTIONS", {}).items():
            if name in entries:
                raise ValueError(f"Two questions are called '{name}'; the second is in questions/{module}.py.")
            entries[name] = question
    return entries


QUESTIONS: Mapping[str, Question] = MappingProxyType(_shelf())


def answers(
    cells: Sequence[Cell], preset: Preset, out: Path, only: Sequence[str] = ()
) -> dict[str, tuple[Answered, ...]]:
    """What the questions of a preset (or some of them) are answered by its cells, whatever of them is done. A question that refuses its
    cells is answered by why it does, and the others are answered."""
    chosen = [name for name in known_questions(preset).questions if not only or name in only]
    return {name: _answer(name, cells, preset, out) for name in chosen}


def known_questions(preset: Preset) -> Preset:
    """The preset. Raises ForewordError for a question that is not on the shelf."""
    for question in preset.questions:
        if question not in QUESTIONS:
            raise unknown("question", question, QUESTIONS)
    return preset


def _answer(name: str, cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    try:
        return QUESTIONS[name](cells, preset, out)
    except ForewordError as error:
        return (Test(f"The question {name} can be answered", None, note=str(error)),)
