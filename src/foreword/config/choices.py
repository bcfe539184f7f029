"""The choices that a text names: a comma list, a JSON list, or a file of them; it refuses a list of anything but texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreword.data.readers import read_lines
from foreword.util.errors import ForewordError
from foreword.util.jsontext import parsed
from foreword.util.text import comma_list


def choices_of(text: str, name: str) -> list[str]:
    """The choices of a JSON list, of a file with one a line (or a JSON list), or of a comma list; the word none stays: it makes answers
    free text, whatever the data look like. name: of the setting, for refusals. Raises ForewordError for one that stands there twice."""
    choices = _listed(text, name)
    if (twice := doubled(choices)) is not None:
        raise ForewordError(f"{name} holds {twice!r} twice; name each once.")
    return choices


def doubled(values: Sequence[Any]) -> Any:
    """The first value that stands there before, but for white space at the ends of texts; None where there is none."""
    bare = [value.strip() if isinstance(value, str) else value for value in values]
    return next((value for place, value in enumerate(bare) if value in bare[:place]), None)


def _listed(text: str, name: str) -> list[str]:
    if text.strip().lower() == "none":
        return ["none"]
    if os.path.isfile(text):  # noqa: PTH113 - false also for a text that is no path at all
        text = "\n".join(read_lines(Path(text))) + "\n"
        if not text.lstrip().startswith("["):
            return [line.strip() for line in text.split("\n") if line.strip()]
    if text.lstrip().startswith("["):
        return texts_of(text, name)
    return comma_list(text)


def texts_of(text: str, name: str) -> list[str]:
    """A JSON list of texts; numbers in it as they are written."""
    try:
        texts = parsed(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise ForewordError(
            f'{name} {text[:60]!r} is no JSON list ({error}); write e.g. ["yes, it is", "no"].'
        ) from error
    if not isinstance(texts, list) or not texts or not all(isinstance(entry, str) and entry for entry in texts):
        raise ForewordError(f'{name} {text[:60]!r} is no list of texts; write e.g. ["yes, it is", "no"].')
    return texts
