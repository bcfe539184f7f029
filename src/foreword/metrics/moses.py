"""Detokenises English as Moses' detokenizer does (`-q -l en`).

From the definition of that tool: words are what stands between spaces; brackets and currency signs lean to the
right, closing punctuation and contractions to the left, quotation marks to either side in turn, and words of Chinese,
Japanese or Korean after another such word stand without a space.
"""

from __future__ import annotations

import regex

_MARKUP = regex.compile(r"<.+>|\s*")
_ESCAPES = (
    ("&bar;", "|"),
    ("&#124;", "|"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&bra;", "["),
    ("&ket;", "]"),
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&#91;", "["),
    ("&#93;", "]"),
    ("&amp;", "&"),
)
_OPENS = regex.compile(r"[\p{Sc}(\[{¿¡]+")
_CLOSES = regex.compile(r"[,.?!:;\\%}\])]+")
_CONTRACTION = regex.compile(r"'\p{Alphabetic}")
_WORD_END = regex.compile(r"[\p{Alphabetic}\p{Nd}]\Z")
_QUOTES = regex.compile(r"['\"„“`]+")
_SPACES = regex.compile(" +")
# The blocks whose words are written without spaces, from Hangul Jamo to the supplementary ideographs.
_CJK = (
    (0x1100, 0x11FF),
    (0x2E80, 0xA4CF),
    (0xA840, 0xA87F),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF65, 0xFFDC),
    (0x20000, 0x2FFFF),
)
_FIRST_CJK = chr(_CJK[0][0])


def detokenised(line: str) -> str:
    """One line of text, detokenised. A line that is all mark-up (`<null>`) or white space comes back as it is."""
    if _MARKUP.fullmatch(line):
        return line
    line = f" {line} ".replace(" @-@ ", "-")
    for escape, meant in _ESCAPES:
        line = line.replace(escape, meant)
    parts: list[str] = []
    space, before = " ", ""
    opened: dict[str, bool] = {}
    for position, word in enumerate(line.rstrip(" ").split(" ")):
        if word and word[0] < _FIRST_CJK and word[0].isalnum():  # most words: they lean nowhere
            parts += (space, word)
            space = " "
        elif _leans_left(word, before, position, opened):
            parts.append(word)
            space = " "
        else:
            parts += (space, word)
            space = "" if _leans_right(word) else " "
        before = word
    return _SPACES.sub(" ", "".join(parts)).removeprefix(" ").removesuffix(" ")


def _leans_left(word: str, before: str, position: int, opened: dict[str, bool]) -> bool:
    """Whether the word joins the one before it; a quotation mark opens and closes in turn."""
    if not word:
        return False
    if _cjk(word[0]):
        return position > 0 and bool(before) and _cjk(before[-1])
    if _OPENS.fullmatch(word):
        return False
    if _CLOSES.fullmatch(word):
        return True
    if position and _CONTRACTION.match(word) and _WORD_END.search(before):
        return True
    if not _QUOTES.fullmatch(word):
        return False
    kind = '"' if set(word) <= set("„“”") else word
    if not opened.get(kind, False) and word == "'" and position and before.endswith("s"):
        return True  # a possessive, "the Jones ' house": it neither opens nor closes
    opened[kind] = not opened.get(kind, False)
    return not opened[kind]


def _leans_right(word: str) -> bool:
    """Whether the next word joins this one, which itself does not lean left."""
    return not (word and _cjk(word[0])) and bool(_OPENS.fullmatch(word) or _QUOTES.fullmatch(word))


def _cjk(letter: str) -> bool:
    return letter >= _FIRST_CJK and any(low <= ord(letter) <= high for low, high in _CJK)
