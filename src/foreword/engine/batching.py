"""Which rows run together, and in which order an epoch visits them: index arithmetic over lengths alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from random import Random


def batches(lengths: Sequence[int], *, batch_size: int, token_budget: int | None = None) -> list[list[int]]:
    """Places 0..N-1 grouped so that rows of like length run together, longest first (so that a batch too big for the memory
    fails at once): at most `batch_size` rows, and padded at most `token_budget` tokens, but always at least one row."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    groups: list[list[int]] = []
    for place in order:
        current = groups[-1] if groups else []
        width = lengths[current[0]] if current else 0
        full = len(current) >= batch_size or (token_budget is not None and (len(current) + 1) * width > token_budget)
        if not current or full:
            groups.append([place])
        else:
            current.append(place)
    return groups


@functools.lru_cache(maxsize=4)
def order(size: int, *, seed: int, epoch: int) -> tuple[int, ...]:
    """The places 0..size-1 in the order in which this epoch visits them: a function of seed and epoch, of nothing else."""
    places = list(range(size))
    Random(f"{seed}/order/{epoch}").shuffle(places)
    return tuple(places)


def step_places(size: int, batch_size: int, step: int, *, seed: int) -> list[int]:
    """The places that training step `step` (from 0) sees. Epochs follow each other without a gap, so each step has a whole
    batch unless the data are smaller than one; which places a step sees depends on (seed, step) alone."""
    width = min(batch_size, size)
    first = step * width
    places: list[int] = []
    while len(places) < width:
        epoch, offset = divmod(first + len(places), size)
        places.extend(order(size, seed=seed, epoch=epoch)[offset : offset + width - len(places)])
    return places


def visited(size: int, batch_size: int, steps: int, *, seed: int) -> list[int]:
    """The places that a training of so many steps sees at all, in rising order."""
    if size and steps * min(batch_size, size) >= 2 * size:
        return list(range(size))
    return sorted({place for step in range(steps) for place in step_places(size, batch_size, step, seed=seed)})


def padding_share(lengths: Sequence[int], groups: Sequence[Sequence[int]]) -> float:
    """The part of all computed positions that is padding, 0 to 1."""
    computed = sum(len(group) * max(lengths[place] for place in group) for group in groups)
    return 1 - sum(lengths) / computed if computed else 0.0
