"""Data in memory become files that the readers take: lists, data frames and data sets of other libraries, known by what they can do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.files import writable_folder, write_text

KINDS = "a file's path, a list of dicts, a pandas or polars DataFrame, or a datasets.Dataset or DatasetDict"
Data = Any  # one of KINDS: the libraries are known by what their objects can do, and need not be installed


def path_of(data: Data, folder: Path, name: str) -> str:
    """The path of a file (a folder, where data has splits) with the same examples: a path as it is, data in memory as JSONL below
    `folder`, which is made. Raises ForewordError for anything else, for a value that JSON cannot hold, and where the splits of other data
    stand in that place: they would be read with these."""
    if isinstance(data, str | PathLike):
        return str(data)
    if _splits(data):
        splits = writable_folder(folder / name)
        others = sorted(path.name for path in splits.glob("*.jsonl") if path.stem not in data)
        if others:
            raise ForewordError(
                f"The data have the splits {', '.join(data)}, and {splits} holds {', '.join(others)} of other data, which would be read "
                "with them; give out= a new folder, or delete that."
            )
        for split, rows in data.items():
            _write(rows_of(rows), splits / f"{split}.jsonl")
        return str(splits)
    path = writable_folder(folder) / f"{name}.jsonl"
    _write(rows_of(data), path)
    return str(path)


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The examples as dicts, column to value."""
    if hasattr(data, "to_dicts"):  # polars
        return list(data.to_dicts())
    if hasattr(data, "to_list") and hasattr(data, "column_names"):  # datasets
        return list(data.to_list())
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        return list(data.to_dict(orient="records"))
    rows = list(data) if isinstance(data, Iterable) and not isinstance(data, Mapping | str | bytes) else None
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise ForewordError(f"The data are {_named(data)}; give {KINDS}.")
    return [dict(row) for row in rows]


def texts_as_rows(inputs: Any, column: str) -> Any:
    """Bare texts as examples with one column; anything else as it is. A single text is one input."""
    if isinstance(inputs, str):
        return [{column: inputs}]
    if isinstance(inputs, Sequence) and inputs and all(isinstance(text, str) for text in inputs):
        return [{column: text} for text in inputs]
    return inputs


def _splits(data: Any) -> bool:
    return isinstance(data, Mapping) and bool(data) and all(isinstance(name, str) for name in data)


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    lines = (json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) for row in rows)
    try:
        write_text(path, "".join(line + "\n" for line in lines))
    except UnicodeEncodeError as error:
        raise ForewordError(
            "An example holds half of a surrogate pair, which is no character; take it out of the text."
        ) from error


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number of numpy's as Python's, a missing one as null, a date in its ISO form."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):  # numpy
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | time):
        return None if value != value else value.isoformat()  # pandas' missing date is not equal to itself
    if type(value).__name__ == "NAType":  # pandas' missing value
        return None
    raise ForewordError(
        f"An example holds {_named(value)}, which is no text, number, list or date; make it one of these."
    )


def _named(value: Any) -> str:
    kind = type(value).__name__
    return f"an object of the type {kind}" if value is not None else "None"
