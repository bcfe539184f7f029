"""The one error that a user sees: what was asked, what was found, what to do, without traceback or control characters."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

HEAD, TAIL = 1400, 500  # characters of a sentence that holds a value of any length: what was asked, and what to do
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text as a terminal may get it: control characters (but line ends and tabs), marks that turn the direction of writing, and
    halves of characters are written as escapes, so that data can move no cursor and set no title."""
    return _UNSEEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def brief(sentence: str) -> str:
    """The sentence, visible, and without its middle where a long value stands in it."""
    text = visible(sentence)
    if len(text) <= HEAD + TAIL + 100:
        return text
    return f"{text[:HEAD]} [... {len(text) - HEAD - TAIL:,} characters left out ...] {text[-TAIL:]}"


class ForewordError(Exception):
    """A refusal in one sentence: what was asked, what was found, what to do. The command line prints it and exits with 2."""

    def __init__(self, sentence: str) -> None:
        super().__init__(brief(sentence))


class TooLongError(ForewordError):
    """An input that does not fit a model's window, even without demonstrations."""


class TrialFailedError(ForewordError):
    """One trial cannot be finished, for a reason that says nothing of the others: its training went astray, or its memory ran out."""


class MissingExtraError(ForewordError):
    """An optional library is absent; the sentence holds the pip line."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a library that is not installed here: pip install 'foreword[{extra}]'.")


def closest(word: str, known: Iterable[str], cutoff: float) -> str:
    """The known name that is most like a word, at least so much of 0 to 1; empty where none is."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), "")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'bm25'? Known: bm25, dense, random` - the tail of a sentence about an unknown name."""
    names = sorted(known)
    close = closest(word, names, 0.5)
    hint = f"; did you mean '{close}'?" if close else "."
    return f"{hint} Known: {', '.join(names)}." if names else "."


def unknown(kind: str, word: str, known: Iterable[str]) -> ForewordError:
    """The refusal of an unknown name, with the nearest known one."""
    return ForewordError(f"There is no {kind} '{word}'{nearest(word, known)}")
