"""Data in memory become files that the readers take: lists, data frames and data sets of other libraries, known by what they can do."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.data.readers.features import label_names, shortest, single_floats, spelled
from foreword.study.resolve import asked_columns
from foreword.tasks._splits import SPLIT_NAMES
from foreword.util.errors import ForewordError
from foreword.util.files import canonical, unwritable, writable_folder, write_text
from foreword.util.phrases import listed

KINDS = "a file's path, a list of dicts, a pandas or polars DataFrame, or a datasets.Dataset or DatasetDict"
Data = Any  # one of KINDS: the libraries are known by what their objects can do, and need not be installed


def path_of(data: Data, folder: Path, name: str, *, whole: bool = False) -> str:
    """The path of a file (a folder, where data has splits) with the same examples: a path as it is, data in memory as JSONL below
    `folder`, which is made, under `name`, with a digest of the data behind it where others stand there, which are kept. Raises
    ForewordError for anything else, for a value that JSON cannot hold, for splits of unknown names, and for any where the examples are
    to be a `whole`."""
    if isinstance(data, str | PathLike):
        return str(data)
    splits = _splits(data)
    if splits and whole:
        raise ForewordError(
            f"As {name} the splits {listed([str(split) for split in data])} are given; give one of them."
        )
    ending = "" if splits else ".jsonl"
    contents = (
        {f"{split}.jsonl": _lines(rows_of(rows)) for split, rows in data.items()}
        if splits
        else {"": _lines(rows_of(data))}
    )
    place = writable_folder(folder) / f"{name}{ending}"
    if any(contents.get(part) != there for part, there in _standing(place).items()):
        place = folder / f"{name}-{hashlib.sha256(canonical(contents).encode()).hexdigest()[:8]}{ending}"
    if splits:
        writable_folder(place)
    for part, text in contents.items():
        write_text(place / part, text)
    return str(place)


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The examples as dicts, column to value: class labels by their names (None for a number that has none, as where an answer is
    hidden), numbers of single precision in their fewest digits."""
    if hasattr(data, "to_dicts"):  # polars
        return spelled(data.to_dicts(), kinds=dict(zip(data.columns, data.dtypes, strict=True)))
    if hasattr(data, "to_list") and hasattr(data, "column_names"):  # datasets
        return spelled(data.to_list(), labels=label_names(data.features), kinds=data.features)
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        return spelled(data.to_dict(orient="records"), kinds=dict(data.dtypes))
    rows = list(data) if isinstance(data, Iterable) and not isinstance(data, Mapping | str | bytes) else None
    if rows is None:
        raise ForewordError(f"The data are {_named(data)}; give {KINDS}.")
    number = next((number for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)), None)
    if number is not None:
        raise ForewordError(f"Row {number} of the data is {_named(rows[number - 1])}, not a dict; give {KINDS}.")
    return [dict(row) for row in rows]


def texts_as_rows(inputs: Any, run: Run, instead: str) -> Any:
    """Bare texts as examples with the one column that the run's question shows; anything else as it is. A single text is one input.
    Raises ForewordError for texts where the question shows several columns, or where each input has choices of its own, with what to give
    instead."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not (isinstance(texts, Sequence) and texts and all(isinstance(text, str) for text in texts)):
        return inputs
    columns = asked_columns(run)
    if run.choices_column:
        who = "the prompt answers by" if run.tuning.init_prompt else "--choices-column asks for"
        raise ForewordError(
            f"A text alone is given, and {who} choices of each input's own (column '{run.choices_column}'); give {instead} with that "
            "column, or --choices, which all inputs have."
        )
    if len(columns) > 1:
        raise ForewordError(
            f"A text alone is given, and the question shows the columns {listed(columns)}; give {instead} with those columns."
        )
    return [{columns[0]: text} for text in texts]


def _splits(data: Any) -> bool:
    """Whether data has splits. Raises ForewordError for a mapping of anything else, and for splits that would not be read."""
    if not isinstance(data, Mapping) or not data:
        return False
    unknown = [str(name) for name in data if str(name) not in SPLIT_NAMES]
    if unknown:
        raise ForewordError(
            f"The data are a mapping in which {listed(unknown[:8])} {'names' if len(unknown) == 1 else 'name'} no split (known: "
            f"{', '.join(SPLIT_NAMES)}); rename or leave out such a split, and give columns as a DataFrame or a list of dicts, one a row."
        )
    return True


def _standing(place: Path) -> dict[str, str]:
    """The examples that stand in a place, by their files in it; of a file by \"\"."""
    try:
        if place.is_dir():
            return {path.name: path.read_bytes().decode(errors="replace") for path in place.glob("*.jsonl")}
        return {"": place.read_bytes().decode(errors="replace")} if place.exists() else {}
    except OSError as error:
        raise unwritable(place, error) from error


def _lines(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON lines."""
    text = "".join(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ForewordError(
            "An example holds half of a surrogate pair, which is no character; take it out of the text."
        ) from error
    return text


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number of numpy's as Python's, a missing one as null, a date in its ISO form."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):  # numpy
        finer = {"M": "datetime64[us]", "m": "timedelta64[us]"}.get(getattr(getattr(value, "dtype", None), "kind", ""))
        value = value.astype(finer) if finer else value  # of nanoseconds numpy makes bare numbers
        packed = single_floats({"": getattr(value, "dtype", "")}).get("")
        return _plain(shortest(value.tolist(), packed) if packed else value.tolist())
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
