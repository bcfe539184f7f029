"""The shelf of questions: functions of a study's cells to tables, curves, matrices, bins and tests; it refuses two of one name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from foreword.results.cells import Answered, Cell
from foreword.study.preset import Preset

__all__ = ["QUESTIONS", "Question", "answers"]

Question = Callable[[Sequence[Cell], Preset, Path], tuple[Answered, ...]]


def _shelf() -> dict[str, Question]:
    entries: dict[str, Question] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for name, question in getattr(importlib.import_module(f"{__name__}.{module}"), "ASKED", {}).items():
            if name in entries:
                raise ValueError(f"Two questions are called '{name}'; the second is in questions/{module}.py.")
            entries[name] = question
    return entries


QUESTIONS: Mapping[str, Question] = MappingProxyType(_shelf())


def answers(
    cells: Sequence[Cell], preset: Preset, out: Path, only: Sequence[str] = ()
) -> dict[str, tuple[Answered, ...]]:
    """What the questions of a preset (or some of them) are answered by its cells, whatever of them is done."""
    return {name: QUESTIONS[name](cells, preset, out) for name in preset.questions if not only or name in only}
