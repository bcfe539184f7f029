"""Places for the names beside the points of a chart, in pixels, without overlap while there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LINE = 15.0  # height of a name
CHARACTER = 7.6  # width of a character, on the wide side: the reader's font is not known here
POINT = 11.0  # half the side of the square that a point and its ring take


@dataclass(frozen=True)
class Place:
    """x, y: the end of the name that faces its point, at half height. align: left where the name runs on to the right."""

    x: float
    y: float
    align: str
    far: bool


Box = tuple[float, float, float, float]


def places(points: Sequence[tuple[float, float]], names: Sequence[str], width: float, height: float) -> list[Place]:
    """A place for each name, the ones with least room first; among equally free places the nearest to the point."""
    blocks = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    place_of: dict[int, Place] = {}
    taken: list[Box] = []
    crowd = [sum(_overlap(_grown(block), _grown(other)) > 0 for other in blocks) for block in blocks]
    for n in sorted(range(len(points)), key=lambda n: (-crowd[n], points[n][1], n)):
        others = blocks[:n] + blocks[n + 1 :]

        def cost(place: Place, name: str = names[n], others: list[Box] = others) -> float:
            box = _box(place, name)
            outside = max(0.0, -box[0], box[2] - width, -box[1], box[3] - height)
            return (
                20 * sum(_overlap(box, neighbour) for neighbour in taken)
                + sum(_overlap(box, neighbour) for neighbour in others)
                + 400 * outside
            )

        place_of[n] = min(_candidates(*points[n]), key=cost)
        taken.append(_box(place_of[n], names[n]))
    return [place_of[n] for n in range(len(points))]


def _candidates(x: float, y: float) -> list[Place]:
    """Beside the point first, then ever further up and down."""
    candidates = []
    for step in range(9):
        for down in (-step * LINE, step * LINE) if step else (0.0,):
            for side, align in ((1, "left"), (-1, "right")):
                candidates.append(Place(x + side * (POINT + 4), y + down, align, step > 1))
    return candidates


def _box(place: Place, name: str) -> Box:
    long = CHARACTER * len(name)
    left = place.x if place.align == "left" else place.x - long
    return left, place.y - LINE / 2, left + long, place.y + LINE / 2


def _grown(box: Box) -> Box:
    return box[0] - 40, box[1] - LINE, box[2] + 40, box[3] + LINE


def _overlap(first: Box, second: Box) -> float:
    """The area that two boxes share."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, across) * max(0.0, down)
