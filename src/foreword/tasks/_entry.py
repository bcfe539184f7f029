"""A task of a file that holds several: an entry with the names that a file of one task has."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def entry(told: str, **names: Any) -> ModuleType:
    """The entry. told: what its own docstring says. names: NAME, SUMMARY, METRICS, load and the others that `tasks.load` and
    `tasks.about` read."""
    module = ModuleType(f"{__package__}.{names['NAME']}", told)
    vars(module).update(names)
    return module
