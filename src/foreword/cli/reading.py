"""How the text of an option becomes a setting: lists, choices, and texts in which a line end is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from foreword.util.errors import ForewordError
from foreword.util.text import comma_list


def listed(text: str, flag: str) -> list[str]:
    """The parts of a comma list."""
    return comma_list(text)


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
        from foreword.config.choices import texts_of

        return texts_of(text, flag)
    return text.replace("\\n", "\n").replace("\\t", "\t")


def choices_of(text: str, flag: str) -> list[str]:
    """The choices of a JSON list, of a file, or of a comma list; see `config.choices`."""
    from foreword.config import choices

    return choices.choices_of(text, flag)


READERS: Mapping[str, Callable[[str, str], Any]] = {
    "list": listed,
    "numbers": numbers_of,
    "choices": choices_of,
    "escaped": unescaped,
}
