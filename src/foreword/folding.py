"""Folding puts aside what does not make two texts differ in sense: forms, case, blanks; it refuses to put a letter or a mark aside."""

from __future__ import annotations

import unicodedata

import regex

_UNSEEN = regex.compile(
    r"[\p{Cf}\u034f\ufe00-\ufe0f]"
)  # zero-width spaces and joiners, marks of direction, soft hyphens, variation selectors


def bare(text: str) -> str:
    """A text in NFKC and without case, its unseen characters dropped: `ẞ` and `ss` are equal, `İ` and `i̇`, `é` in one character
    and in two."""
    seen = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", seen.casefold())


def folded(text: str) -> str:
    """A bare text with its white space squeezed: two questions with equal folded texts ask the same."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(bare(text).split())
