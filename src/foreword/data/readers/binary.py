"""Reads Parquet and Excel files as rows; a damaged file and a workbook of several sheets are refused."""

from __future__ import annotations

import io
import zipfile
from itertools import zip_longest
from pathlib import Path
from typing import Any

from foreword.data.readers import limits
from foreword.data.readers.cells import Unreadable
from foreword.data.readers.features import features_of, label_names, named, shortest, single_floats
from foreword.data.readers.form import Form
from foreword.util.errors import ForewordError, MissingExtraError

Rows = list[dict[str, Any]]
_BATCH = 256  # rows of a Parquet file that are unpacked at once


def parquet(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    """The rows of a Parquet file. as_written: columns of float32 and float16 in their fewest digits (0.1, not 0.10000000149011612), class
    labels by the names that the library `datasets` keeps in the file, None for a number that has none. A value that Python cannot hold (a
    date after the year 9999) is refused where it is used."""
    try:
        import pyarrow
        from pyarrow import parquet as library
    except ImportError as error:
        raise MissingExtraError(f"Reading the Parquet file {path}", "parquet") from error
    try:
        file = library.ParquetFile(io.BytesIO(raw))
        limits.rows(file.metadata.num_rows, path)
        table = pyarrow.Table.from_batches(_batches(file, path)) if file.metadata.num_rows else file.read()
        names = table.column_names
        for name in names:
            if names.count(name) > 1:
                raise ForewordError(f"{path} has the column '{name}' twice; give every column its own name.")
        columns = dict(zip(names, map(_values, table.columns), strict=True))
        if as_written:
            for name, packed in single_floats({field.name: field.type for field in table.schema}).items():
                columns[name] = [shortest(value, packed) for value in columns[name]]
            for name, labels in label_names(features_of(file.schema_arrow.metadata)).items():
                if name in columns:
                    columns[name] = [named(value, labels) for value in columns[name]]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ForewordError(f"{path} is not a whole Parquet file ({reason}); write or download it again.") from error
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _batches(file: Any, path: Path) -> list[Any]:
    """The table in pieces. Raises ForewordError where they take more than limits.UNPACKED bytes: few bytes can stand for many."""
    import pyarrow

    batches, size = [], 0
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        columns = [column.dictionary_decode() if hasattr(column, "dictionary_decode") else column for column in batch]
        batch = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)
        size += batch.nbytes
        limits.unpacked(size, path)
        batches.append(batch)
    return batches


def _values(column: Any) -> list[Any]:
    """A column as Python's values, Unreadable where there is none."""
    try:
        values: list[Any] = column.to_pylist()
    except Exception:  # the library raises many kinds, for a cell in any row; the next lines keep the reason
        return [_value(cell) for cell in column]
    return values


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except Exception as error:  # as above; the sentence reaches the user of the cell
        return Unreadable(" ".join(str(error).split())[:200] or type(error).__name__)


def excel(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    """The rows of the only sheet of a workbook that has any, below its header row."""
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError(f"Reading the Excel file {path}", "excel") from error
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            limits.unpacked(sum(member.file_size for member in packed.infolist()), path)
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = {sheet.title: _filled(sheet, path) for sheet in book.worksheets}
    except (ForewordError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # what a damaged workbook raises in the library below is of many kinds; the reason is kept
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ForewordError(f"{path} is not a whole Excel file ({reason}); save it again.") from error
    filled = [title for title, rows in sheets.items() if rows]
    if len(filled) > 1:
        raise ForewordError(
            f"{path} has rows in the sheets {', '.join(filled)}; save the one you mean as a file of its own."
        )
    (_, header), *rows = sheets[filled[0]] if filled else [(1, ())]
    width = max((place for place, name in enumerate(header, 1) if name is not None), default=0)
    names = ["" if name is None else str(name).strip() for name in header[:width]]
    if not all(names) or len(set(names)) < len(names):
        raise ForewordError(
            f"The first row of {path} is no header of distinct column names; write e.g. input and target there."
        )
    for number, row in rows:
        if any(cell is not None for cell in row[width:]):
            raise ForewordError(f"Row {number} of {path} has more cells than the header has names; name every column.")
    return [dict(zip_longest(names, row[:width])) for _, row in rows]  # the library ends a row at its last cell


def _filled(sheet: Any, path: Path) -> list[tuple[int, tuple[Any, ...]]]:
    """The rows of a sheet that hold anything, with their numbers. Its own word on its size is not taken, nor rows without end. A formula
    that failed has no value."""
    sheet.reset_dimensions()
    filled = []
    for number, cells in enumerate(sheet.rows, 1):
        limits.rows(number, path)
        row = tuple(
            Unreadable(f"the formula failed: {cell.value}") if cell.data_type == "e" else cell.value for cell in cells
        )
        if any(cell is not None for cell in row):
            filled.append((number, row))
    return filled
