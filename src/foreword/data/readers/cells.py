"""Converts one cell of a user's table to text or to a list; a value that has no plain text is refused."""

from __future__ import annotations

import datetime
import decimal
import math
from dataclasses import dataclass
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed


@dataclass(frozen=True)
class Unreadable:
    """A value that a file holds and Python cannot."""

    reason: str


def blank(value: Any) -> bool:
    """Whether a cell holds nothing: null, not a number, an empty list, or only blanks."""
    return value is None or value == [] or value != value or (isinstance(value, str) and not value.strip())


def text_of(value: Any, what: str, *, empty: bool = False, todo: str = "write its text or leave the row out") -> str:
    """A cell as text: text as it is; a number, a truth value or a date as people write it. empty: nothing is "". Raises
    ForewordError naming `what` for nothing, with what to do (todo), and for what is no text."""
    if empty and blank(value):
        return ""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ForewordError(f"The value of {what} is null; {todo}.")
    if isinstance(value, Unreadable):
        raise ForewordError(f"The value of {what} cannot be read ({value.reason}); write it as text.")
    text = _written(value)
    if text is None:
        kinds = {"list": "a list", "dict": "an object", "bytes": "bytes"}
        kind = kinds.get(type(value).__name__, type(value).__name__)
        raise ForewordError(f"The value of {what} is {kind} where text was expected; write it as text.")
    if not text.strip():
        raise ForewordError(f"The value of {what} is empty; {todo}.")
    return text


def _written(value: Any) -> str | None:
    """A plain value as people write it; None for what is no plain value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        small = value == 0 or 1e-7 <= abs(value) < 1e16
        return format(decimal.Decimal(repr(value)), "f") if small else repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def list_of(value: Any, what: str, holds: str = "references", *, empty: bool = False) -> list[str]:
    """A cell that holds a list, a JSON list as text, or SQuAD's object with a list under `text`, as texts. empty: no item is the one
    text "". Raises ForewordError for anything else."""
    if isinstance(value, str):
        try:
            value = parsed(value, parse_float=str, parse_int=str)
        except ValueError:
            value = None
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list) and value and all(isinstance(item, dict) and "text" in item for item in value):
        value = [item["text"] for item in value]
    if empty and (value is None or value == []):
        return [""]
    if not isinstance(value, list) or not value:
        raise ForewordError(
            f'The value of {what} is no list of {holds}; write at least one, as a JSON list: ["one answer", "another"].'
        )
    return [text_of(item, what, empty=empty) for item in value]


def same_number(text: str, other: str) -> bool:
    """Whether two texts write one number: `0.0` and `0`."""
    try:
        return decimal.Decimal(text) == decimal.Decimal(other)
    except decimal.InvalidOperation:
        return False
