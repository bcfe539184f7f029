"""What a column's type says of its values: class labels have names, and numbers of single precision are written in few digits; a type
that cannot be read says nothing."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from foreword.util.jsontext import parsed

_PACKED = {
    "float32": "f",
    "float": "f",
    "float16": "e",
    "halffloat": "e",
}  # as numpy, pandas, polars and Arrow call them


def label_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The names of the class labels of each column that holds such. features: of the library `datasets`, as its objects or as JSON."""
    names_of = {
        column: feature.get("names") if isinstance(feature, Mapping) else getattr(feature, "names", None)
        for column, feature in features.items()
    }
    return {
        column: tuple(names)
        for column, names in names_of.items()
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names)
    }


def features_of(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """The features that the library `datasets` writes into a Parquet file's metadata; empty where there are none."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        features = parsed((metadata or {})[b"huggingface"].decode())["info"]["features"]
        if isinstance(features, dict):
            return features
    return {}


def named(value: Any, names: Sequence[str]) -> Any:
    """The name of a numbered label; None for a number without one: -1 stands where an answer is hidden."""
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def single_floats(kinds: Mapping[str, Any]) -> dict[str, str]:
    """The columns of single or half precision, each with how its numbers are packed; of lists of them, too. kinds: the type of each
    column, as numpy, pandas, polars, Arrow or `datasets` has it."""
    texts = {column: str(_innermost(kind)).lower() for column, kind in kinds.items()}
    known = {column: text.removesuffix("[pyarrow]").removeprefix("torch.") for column, text in texts.items()}
    return {column: _PACKED[text] for column, text in known.items() if text in _PACKED}


def _innermost(kind: Any) -> Any:
    """The type of the items of lists, however deep; of a feature its dtype."""
    for name in ("feature", "value_type", "inner"):
        if getattr(kind, name, None) is not None:
            return _innermost(getattr(kind, name))
    return getattr(kind, "dtype", kind)


def shortest(value: Any, packed: str) -> Any:
    """A number of so few bits with the fewest digits that stand for it: 0.1, not 0.10000000149011612; so the items of a list; other
    values as they are."""
    if isinstance(value, list):
        return [shortest(item, packed) for item in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):
            if struct.unpack(packed, struct.pack(packed, short)) == (value,):
                return short
    return value


def spelled(
    rows: Iterable[Mapping[str, Any]], *, labels: Mapping[str, Sequence[str]] | None = None, kinds: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows, numbered labels by their names and numbers of single precision in their fewest digits."""
    names, packed = labels or {}, single_floats(kinds)
    spelled_rows = []
    for row in rows:
        changed = {column: named(row[column], names[column]) for column in names if column in row}
        changed |= {column: shortest(row[column], packed[column]) for column in packed if column in row}
        spelled_rows.append({**row, **changed})
    return spelled_rows
