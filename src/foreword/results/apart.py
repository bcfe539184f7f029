"""Cells of one place of a table that differ in more than their seed, told apart in words; none is taken for a seed of another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import product

from foreword.results.cells import Cell, Coordinates
from foreword.util import phrases

AXES = ("part", "length", "init", "objective", "source", "setting")
Place = Callable[[Cell], Hashable]


def kinds(cells: Sequence[Cell], place: Place) -> dict[str, list[Cell]]:
    """The cells by what tells those of one place apart beside their seed, in words; all under "" where nothing does."""
    return _by(cells, differing(cells, place))


def differing(cells: Sequence[Cell], place: Place) -> tuple[str, ...]:
    """The coordinates in which cells of one place differ, beside their seed; the part of the grid only where the others leave two."""
    axes = tuple(axis for axis in AXES if _differ(cells, place, axis))
    rest = tuple(axis for axis in axes if axis != "part")
    return axes if _differ(cells, lambda cell: (place(cell), in_words(cell.at, rest)), "part") else rest


def titled(name: str, words: str) -> str:
    """A method's name with what tells its cells apart."""
    return f"{name} ({words})" if words else name


def counterparts(ours: Sequence[Cell], theirs: Sequence[Cell]) -> list[tuple[list[Cell], list[Cell]]]:
    """The kinds of two methods' cells that are held against each other: those of the same words, or each with the other's only one."""
    axes = differing([*ours, *theirs], lambda cell: cell.at.label)
    mine, others = _by(ours, axes), _by(theirs, axes)
    if len(mine) == 1 or len(others) == 1:
        return list(product(mine.values(), others.values()))
    return [(cells, others[words]) for words, cells in mine.items() if words in others]


def _by(cells: Sequence[Cell], axes: Sequence[str]) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(in_words(cell.at, axes), []).append(cell)
    return groups


def _differ(cells: Sequence[Cell], place: Place, axis: str) -> bool:
    there: dict[Hashable, str] = {}
    return any(there.setdefault(place(cell), value := str(getattr(cell.at, axis))) != value for cell in cells)


def in_words(at: Coordinates, axes: Sequence[str]) -> str:
    """Where a cell stands on these coordinates: `20 tokens, init vocab`."""
    words = {
        "part": f"part {at.part}",
        "length": "no soft prompt" if at.length is None else phrases.plural(at.length, "token"),
        "init": f"init {at.init}" if at.init else "",
        "objective": at.objective,
        "source": f"from {at.source}" if at.source else "",
        "setting": ", ".join(f"{name} {value}" for name, value in at.setting.items()),
    }
    return ", ".join(filter(None, (words[axis] for axis in axes)))
