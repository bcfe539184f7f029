"""A task of a file that holds several: an entry with the names that a file of one task has."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def entry(docstring: str, **names: Any) -> ModuleType:
    """The entry. docstring: of its own. names: NAME, SUMMARY, METRICS, load and the others that `tasks.load` and
    `tasks.about` read."""
    module = ModuleType(f"{__package__}.{names['NAME']}", docstring)
    vars(module).update(names)
    return module
