"""The one error a user sees: what was asked, what was found, what to do; it refuses to carry a traceback to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ForewordError(Exception):
    """A refusal in one sentence: what was asked, what was found, what to do. The command line prints it and exits with 2."""


class MissingExtraError(ForewordError):
    """An optional library is absent; the sentence holds the pip line."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a library that is not installed here: pip install 'foreword[{extra}]'.")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'bm25'? Known: bm25, dense, random` - the tail of a sentence about an unknown name."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"{hint} Known: {', '.join(names)}."


def unknown(kind: str, word: str, known: Iterable[str]) -> ForewordError:
    """The refusal of an unknown name, with the nearest known one."""
    return ForewordError(f"There is no {kind} '{word}'{nearest(word, known)}")
