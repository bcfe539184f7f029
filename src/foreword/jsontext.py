"""JSON that others wrote, as plain values; whatever no file of text could hold again is refused with a ValueError, and nothing else."""

from __future__ import annotations

import json
import re
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


def shallow(value: Any, deepest: int = DEEPEST) -> Any:
    """The same value. Raises ValueError where more lists and objects than that lie within one another: what reads and writes them
    calls itself for each."""
    level, depth = [value], 0
    while level := [
        part
        for held in level
        if isinstance(held, dict | list)
        for part in (held.values() if isinstance(held, dict) else held)
    ]:
        depth += 1
        if depth > deepest:
            raise ValueError("it is nested too deeply")
    return value
