"""Reads Parquet and Excel files as rows; it refuses a damaged file, and a workbook in which it would have to choose a sheet."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from foreword.errors import ForewordError, MissingExtraError
from foreword.readers.form import Form

Rows = list[dict[str, Any]]


def parquet(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    """The rows of a Parquet file. as_written: columns of float32 and float16 as their shortest text (0.1, not
    0.10000000149011612)."""
    import pyarrow
    from pyarrow import parquet as library

    try:
        table = library.read_table(io.BytesIO(raw))
        names = table.column_names
        for name in names:
            if names.count(name) > 1:
                raise ForewordError(f"{path} has the column '{name}' twice; give every column its own name.")
        if as_written:
            table = _short_floats(table)
        rows: Rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ForewordError(f"{path} is not a whole Parquet file ({reason}); write or download it again.") from error
    return rows


def _short_floats(table: Any) -> Any:
    import pyarrow

    for place, field in enumerate(table.schema):
        if pyarrow.types.is_float32(field.type) or pyarrow.types.is_float16(field.type):
            texts = table.column(place).cast(pyarrow.float32()).cast(pyarrow.string())
            table = table.set_column(place, field.name, texts)
    return table


def excel(raw: bytes, path: Path, form: Form, as_written: bool) -> Rows:
    """The rows of the only sheet of a workbook that has any, below its header row."""
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError(f"Reading the Excel file {path}", "excel") from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = {
            sheet.title: [row for row in sheet.values if any(cell is not None for cell in row)]
            for sheet in book.worksheets
        }
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ForewordError(f"{path} is not a whole Excel file ({error}); save it again.") from error
    filled = [title for title, rows in sheets.items() if rows]
    if len(filled) > 1:
        raise ForewordError(
            f"{path} has rows in the sheets {', '.join(filled)}; save the one you mean as a file of its own."
        )
    header, *rows = sheets[filled[0]] if filled else [()]
    width = max((place for place, name in enumerate(header, 1) if name is not None), default=0)
    names = ["" if name is None else str(name).strip() for name in header[:width]]
    if not all(names) or len(set(names)) < len(names):
        raise ForewordError(
            f"The first row of {path} is no header of distinct column names; write e.g. input and target there."
        )
    for number, row in enumerate(rows, 2):
        if any(cell is not None for cell in row[width:]):
            raise ForewordError(f"Row {number} of {path} has more cells than the header has names; name every column.")
    return [dict(zip(names, row[:width], strict=False)) for row in rows]
