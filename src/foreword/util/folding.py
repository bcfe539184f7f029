"""Folds texts for comparison: Unicode form, case and white space are ignored, letters never."""

from __future__ import annotations

import unicodedata

import regex

# Zero-width spaces and joiners, marks of direction, soft hyphens, variation selectors.
_UNSEEN = regex.compile(r"[\p{Cf}\u034f\ufe00-\ufe0f]")

# Scripts that leave no blank between words: each of their characters, with the marks that stand on it, is a piece. (Tibetan parts
# its syllables with a mark of its own, and those are its pieces.)
_UNSPACED = r"\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc"
_PIECE = regex.compile(
    rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]+", regex.VERSION1
)
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Script=Latin}")
_UNSPACED_LETTER = regex.compile(rf"[[{_UNSPACED}]&&\p{{L}}]", regex.VERSION1)


def bare(text: str) -> str:
    """A text in NFKC and without case, its unseen characters dropped: `ẞ` and `ss` are equal, `İ` and `i̇`, `é` in one character
    and in two."""
    visible = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", visible.casefold())


def folded(text: str) -> str:
    """A bare text with its white space squeezed: two questions with equal folded texts ask the same."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(bare(text).split())


def pieces(text: str) -> list[str]:
    """The word pieces of a text in NFKC and without case: runs of letters, digits and the marks that stand on them, in order; no
    stop word is taken out."""
    return _PIECE.findall(text.lower() if text.isascii() else bare(text))


def unspaced(text: str) -> bool:
    """Whether most letters of a text belong to scripts that leave no blank between words."""
    letters = _LETTER.findall(text)
    return 2 * len(_UNSPACED_LETTER.findall(text)) > len(letters)


def latin(text: str) -> bool:
    """Whether at least half of the letters of a text are Latin; so are those of a text without any."""
    return 2 * len(_LATIN.findall(text)) >= len(_LETTER.findall(text))
