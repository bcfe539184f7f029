"""json_valid, json_fields and json_exact, for answers that should be a JSON object; a reference that is none is refused.

An answer is read strictly (RFC 8259): the whole of it, white space around it aside, is one object; text or a code fence around the
object, NaN, and a name that stands twice in one object make it no JSON. A field is a path of names and the value at its end: nested
objects are taken apart, a list is one value with its order. Values are equal as JSON values are: the order of names and white space
between them do not count, 2 equals 2.0, and neither equals "2"; texts are equal character by character.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from foreword.metrics.base import Metric, Numbers, divide, mean_metric, pairs
from foreword.util.errors import ForewordError
from foreword.util.jsontext import shallow

SAMPLES = (
    '{"item": "lamp", "count": 2}',
    '{"item": "desk", "count": 1, "to": {"name": "Ana"}}',
    '{"item": null, "sizes": ["S", "M"]}',
    '{"name": "\\u00c9mile", "paid": true}',
)


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(items)
    if len(fields) < len(items):
        raise ValueError("a name stands twice")
    return fields


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


@functools.lru_cache(maxsize=2**14)
def parsed(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, else None. The object is not to be changed."""
    try:
        value = shallow(json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _truth(reference: str) -> dict[str, Any]:
    value = parsed(reference)
    if not value:
        raise ForewordError(
            f"A JSON metric was asked to score the reference {reference[:80]!r}, which is no JSON object with a field; write one, or "
            "score these data with another metric."
        )
    return value


def _leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each field: its path and its value in a form that is equal where the JSON values are equal."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name), _written(inner)


def _written(value: Any) -> str:
    """JSON text of a value in one form: names in order, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        return json.dumps(int(value))
    if isinstance(value, list):
        return f"[{','.join(_written(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_written(value[name])}' for name in sorted(value))}}}"
    return json.dumps(value)


def _counts(output: str, reference: str) -> tuple[int, int, int]:
    """Fields that both have with the same value, that the answer has, that the reference has."""
    truth = dict(_leaves(_truth(reference)))
    ours = dict(_leaves(parsed(output) or {}))
    return sum(truth.get(path) == value for path, value in ours.items()), len(ours), len(truth)


def _statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    rows = []
    for output, accepted in pairs(outputs, references):
        counted = [_counts(output, reference) for reference in accepted]
        rows.append(max(counted, key=lambda row: row[0] / (row[1] + row[2])))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _f1(sums: Numbers) -> Numbers:
    """[..., 3] -> [...]: 2 * right / (said + true)."""
    return 100.0 * divide(2.0 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _valid(output: str, reference: str) -> float:
    _truth(reference)
    return float(parsed(output) is not None)


def _exact(output: str, reference: str) -> float:
    truth, value = _truth(reference), parsed(output)
    return float(value is not None and _written(value) == _written(truth))


METRICS = (
    Metric(
        name="json_fields",
        best=100.0,
        source="F1 over the fields of all answers, path and value, each answer with its best reference; an answer that is no JSON "
        "object has no field.",
        statistics=_statistics,
        from_sums=_f1,
        signature=lambda: "json_fields|f1:micro|nested:flat|lists:whole|json:rfc8259,unique|text:exact|refs:best",
        samples=SAMPLES,
    ),
    mean_metric(
        "json_exact",
        of=_exact,
        source="Share of answers that are the same JSON value as any reference; order of names and white space do not count.",
        signature=lambda: "json_exact|json:rfc8259,unique|text:exact|refs:any",
        samples=SAMPLES,
    ),
    mean_metric(
        "json_valid",
        of=_valid,
        source="Share of answers that are one JSON object (RFC 8259) and nothing else, whatever it says.",
        signature=lambda: "json_valid|json:rfc8259,unique|object",
        samples=SAMPLES,
    ),
)
