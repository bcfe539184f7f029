"""Parses JSON written by others as plain values; what could not be written to a text file again is a ValueError."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

DEEPEST = 200  # lists and objects within one another
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # how JSON writes half of a surrogate pair, or a whole one


def parsed(text: str, **hooks: Any) -> Any:
    """The value of a JSON text. hooks: of json.loads.

    Raises json.JSONDecodeError where it is no JSON, and ValueError with the reason where it is nested too deeply, holds half of a
    surrogate pair (which is no character), or a number of more digits than Python reads.
    """
    try:
        value = json.loads(text, **hooks)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is no character") from error
    return value


def shallow(value: Any, *, finite: bool = False) -> Any:
    """The same value. Raises ValueError where more than DEEPEST lists and objects lie within one another, for what reads and writes them
    calls itself for each; finite: and where a number is none or has no end, which JSON does not have."""
    level, depth = [value], 0
    while level:
        if finite and any(isinstance(part, float) and not math.isfinite(part) for part in level):
            raise ValueError("it holds a number that is not finite")
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        level = [part for held in level if isinstance(held, dict | list) for part in _parts(held)]
    return value


def _parts(held: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return held.values() if isinstance(held, dict) else held
