"""How the text of an option becomes a setting: lists, choices, and texts in which a line end is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed


def listed(text: str, flag: str) -> list[str]:
    """The parts of a comma list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers_of(text: str, flag: str) -> list[int]:
    """The whole numbers of a comma list."""
    return [_whole(part, flag) for part in listed(text, flag)]


def _whole(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ForewordError(f"{flag} takes whole numbers such as 0,1,2, and '{text}' is none.") from error


def unescaped(text: str, flag: str) -> Any:
    """The text, `\\n` in it a line end and `\\t` a tab; of --stop also a JSON list of texts, as they are."""
    if flag == "--stop" and text.startswith("["):
        return texts_of(text, flag)
    return text.replace("\\n", "\n").replace("\\t", "\t")


def choices_of(text: str, flag: str = "--choices") -> list[str]:
    """The choices of a JSON list, of a file with one a line (or a JSON list), or of a comma list; the word none stays: it makes answers
    free text, whatever the data look like."""
    from foreword.data.readers import read_lines

    if text.strip().lower() == "none":
        return ["none"]
    if os.path.isfile(text):  # noqa: PTH113 - false also for a text that is no path at all
        text = "\n".join(read_lines(Path(text))) + "\n"
        if not text.lstrip().startswith("["):
            return [line.strip() for line in text.split("\n") if line.strip()]
    if text.lstrip().startswith("["):
        return texts_of(text, flag)
    return listed(text, flag)


def texts_of(text: str, flag: str) -> list[str]:
    """A JSON list of texts; numbers in it as they are written."""
    try:
        texts = parsed(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise ForewordError(
            f'{flag} {text[:60]!r} is no JSON list ({error}); write e.g. ["yes, it is", "no"].'
        ) from error
    if not isinstance(texts, list) or not texts or not all(isinstance(entry, str) and entry for entry in texts):
        raise ForewordError(f'{flag} {text[:60]!r} is no list of texts; write e.g. ["yes, it is", "no"].')
    return texts


READERS: Mapping[str, Callable[[str, str], Any]] = {
    "list": listed,
    "numbers": numbers_of,
    "choices": choices_of,
    "escaped": unescaped,
}
