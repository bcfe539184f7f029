"""Which requests to label next: the most unlike the reference and the least certain, in turn; it refuses to draw by chance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from foreword.monitor.observations import Observation
from foreword.monitor.windows import Reference

NEIGHBOUR = 5  # the distance to the nearest of this rank is what makes a request unlike


@dataclass(frozen=True)
class ToLabel:
    """A request whose truth would tell most. why: unlike or uncertain. value: the distance, or the log-probability in nats a token."""

    id: str
    time: str
    why: str
    value: float
    text: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the text only where the log keeps it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def label_next(
    observations: Sequence[Observation], reference: Reference, count: int, known: Collection[str] = ()
) -> list[ToLabel]:
    """`count` requests without truth, in turn the one most unlike and the one least certain that is left: unlike by the distance of its
    vector to the 5th nearest of the reference, where there are no vectors by how far its length lies from the reference's median; certain
    by its answer's log-probability a token. Ties break by position."""
    unlabelled = [observation for observation in observations if observation.id not in known]
    orders = [_order(unlabelled, _unlike(unlabelled, reference), "unlike")]
    orders.append(
        _order(
            unlabelled,
            [None if observation.logprob is None else -observation.logprob for observation in unlabelled],
            "uncertain",
        )
    )
    chosen: dict[str, ToLabel] = {}
    turns = [order for order in orders if order]
    while len(chosen) < count and turns:
        for order in list(turns):
            while order and order[0].id in chosen:
                order.pop(0)
            if not order:
                turns.remove(order)
            elif len(chosen) < count:
                first = order.pop(0)
                chosen[first.id] = first
    return list(chosen.values())


def _order(observations: Sequence[Observation], values: Sequence[float | None], why: str) -> list[ToLabel]:
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    ordered = [(value, observations[place]) for value, place in sorted(known, key=lambda pair: (-pair[0], pair[1]))]
    sign = -1.0 if why == "uncertain" else 1.0
    return [
        ToLabel(observation.id, observation.time, why, round(sign * value, 4), observation.text)
        for value, observation in ordered
    ]


def _unlike(observations: Sequence[Observation], reference: Reference) -> list[float | None]:
    if "input vectors" in reference and any(observation.vector is not None for observation in observations):
        there = np.asarray(reference["input vectors"], np.float64)  # [M, D]
        vectors = [observation.vector for observation in observations]
        return [None if vector is None else _distance(np.asarray(vector), there) for vector in vectors]
    if "input length" in reference:
        low, middle, high = (float(value) for value in np.quantile(reference["input length"], [0.25, 0.5, 0.75]))
        width = max(high - low, 1.0)
        lengths = [observation.characters for observation in observations]
        return [None if length is None else abs(length - middle) / width for length in lengths]
    return [None] * len(observations)


def _distance(vector: np.ndarray[Any, Any], there: np.ndarray[Any, Any]) -> float:
    distances = np.sort(np.linalg.norm(there - vector, axis=1))
    return float(distances[min(NEIGHBOUR, len(distances)) - 1])
