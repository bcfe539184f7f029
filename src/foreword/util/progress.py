"""Progress of a long computation, passed to a function of the caller; nothing is printed here."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each step. what: one line naming the work. note: a figure worth seeing, such as the loss."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """Nobody listens."""
