"""The map of the house: rooms and floors, what they import, circles, the longest file and function, and how often names are used."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections import Counter

import walk
from test_house import FLOORS, INSIDE, below, files, functions, module, room, tree, where


def rooms() -> list[str]:
    """A line a room, the top floor first: how many files and lines it has, and which rooms it imports."""
    lines = []
    for floor, names in reversed(list(enumerate(FLOORS))):
        for name in names:
            mine = [path for path in files() if room(path) == name]
            length = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in mine)
            under = sorted({other.split(".")[0] for path in mine for other in below(path)} - {name})
            lines.append(f"{floor:>2}  {name:<10} {len(mine):>3} files {length:>6,} lines   {' '.join(under)}")
            lines += [f"      {level}  {row}" for level, row in reversed(list(enumerate(INSIDE.get(name, ()))))]
    return lines


def circles() -> list[str]:
    """Rooms, then files, that import each other in a circle, for the type checker alone or not."""
    between: dict[str, set[str]] = {}
    for path in files():
        between.setdefault(room(path), set()).update({name.split(".")[0] for name in below(path)} - {room(path)})
    hits = []
    for kind, graph in (("rooms", between), ("files", {module(path): set(below(path)) for path in files()})):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            hits.append(f"{kind}: {' -> '.join(error.args[1])}")
    return hits


def longest() -> list[str]:
    """The longest file and the longest function."""
    length, path = max((len(path.read_text(encoding="utf-8").splitlines()), path) for path in files())
    lines, name, place = max(
        ((function.end_lineno or 0) - function.lineno + 1, function.name, where(path))
        for path in files()
        for function in functions(path)
    )
    return [f"longest file: {where(path)}, {length} lines", f"longest function: {name} in {place}, {lines} lines"]


def names() -> Counter[str]:
    """How often each name stands in the code, as a variable, an argument, or a name that is bound."""
    return Counter(
        node.id if isinstance(node, ast.Name) else node.arg
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name | ast.arg)
    )


def main() -> int:
    """Print the map; 1 where there is a circle."""
    print("floor, room, size, the rooms that it imports; below it the floors inside the room\n")
    print("\n".join(rooms()))
    crooked = circles()
    print(f"\ncircles: {len(crooked)}", *crooked, sep="\n  " if crooked else "")
    print("\n".join(longest()))
    print("\n" + str(walk.walk()))
    print("\nmost used:", ", ".join(f"{name} {number:,}" for name, number in names().most_common(25)))
    return 1 if crooked else 0


if __name__ == "__main__":
    sys.exit(main())
