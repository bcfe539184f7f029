"""The Penn Treebank tokenizer of the COCO caption code: lower-cased tokens without punctuation, for English only.

The code runs the Stanford tokeniser 3.4.1 (a Java program) and drops seventeen marks. This is its behaviour on English
sentences, found by asking it; tests hold the two together on every sentence of E2E and WebNLG. What such text does not
hold (telephone numbers of other lands, smileys, marks of rare scripts) may be cut otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import regex

from foreword.metrics.ptb_words import (
    BEFORE_NUMBERS,
    CAPITALISED,
    CURRENCIES,
    DROPPED,
    ENTITIES,
    FRACTIONS,
    JOINED,
    SHORT,
    STARTERS,
    UNJOINED,
)

_L = r"\p{L}\p{Mn}\p{Mc}"
_APOS = "['\u2019\u0092]"
_TICK = "['`\u2018\u2019\u201b\u0091\u0092]"
_NUM = r"(?:\d+(?:[.:,]\d+)*|(?:[.:,]\d+)+)"
_WORD = rf"[{_L}][{_L}\p{{Nd}}]*(?:[.!?][{_L}][{_L}\p{{Nd}}]*)*"
_PIECE = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_ENDS = r"(?![A-Za-z])"

# Of those that match at a place the longest is taken, of equals the first. Where there is a group, it is the token.
_TOKENS = tuple(
    (kind, regex.compile(pattern, regex.V1))
    for kind, pattern in (
        ("text", r"<(?:/?[A-Za-z][A-Za-z0-9:.-]*(?: [^<>]*)?/?|[!?][A-Za-z-][^>]*)>"),
        ("word", rf"([{_L}][{_L}\p{{Nd}}]*){_APOS}(?i:[smd]|re|ve|ll){_ENDS}"),
        ("text", rf"([{_L}][{_L}\p{{Nd}}]*?)[nN]{_APOS}[tT]"),
        ("short", rf"[nN]{_APOS}[tT]"),
        ("short", rf"{_APOS}(?i:[smd]|re|ve|ll){_ENDS}"),
        ("entity", r"&(?:amp|lt|gt|quot|apos|nbsp);"),
        ("text", r"(?:https?://|www\.)[^\s<>|()\"]+[^\s<>|().,;:?!\"'-]"),
        ("text", r"[A-Za-z0-9][^\s\"<>|()@]*@(?:[^\s\"<>|().@]+\.)*[^\s\"<>|().@]+"),
        ("text", rf"[@#][{_L}][{_L}\p{{Nd}}]*"),
        ("text", r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"),
        ("text", r"(?:\d{1,4}[- \u00a0])?\d{1,4}/\d{1,4}"),
        ("text", rf"[-+]?{_NUM}"),
        ("text", r"\(\d{2,3}\) ?\d{3,4}[- ]?\d{3,5}"),
        ("text", r"[A-Z]*\$"),
        ("text", r"[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+"),
        ("text", rf"{_PIECE}(?:\\?/{_PIECE}){{1,2}}"),
        ("text", rf"[A-Za-z0-9{_L}][A-Za-z0-9{_L}.,]*(?:-[A-Za-z0-9{_L}]+)+"),
        ("text", rf"{_APOS}[nN](?:{_APOS}(?!\p{{L}}))?(?!\p{{L}})"),
        ("text", rf"{_APOS}n{_APOS}"),
        ("text", rf"[dDoOlL]{_APOS}[\p{{L}}][{_L}\p{{Nd}}]*"),
        ("text", rf"[A-HJ-XZn]{_TICK}\p{{L}}{{2,}}"),
        ("text", rf"\p{{L}}+[aeiouyAEIOUY]{_TICK}[aeiouA-Z]\p{{L}}*"),
        ("text", rf"(?i:{_APOS}em|ol{_APOS}|nor{_APOS}easter|c{_APOS}mon|e{_APOS}er){_ENDS}"),
        ("text", rf"{_APOS}[2-9]0s"),
        ("text", rf"{_APOS}[tT](?=(?i:is|was){_ENDS})"),
        ("word", _WORD),
        ("word", rf"[{_L}\p{{Nd}}]+"),
        ("text", r"[A-Za-z](?:\.[A-Za-z])+\."),
        ("text", r"[A-Za-z]\+\+|[CF]#"),
        ("text", r"[A-Za-z0-9]+(?:_+[A-Za-z0-9]+)+"),
        ("text", r"(?i:ph|ed)\.[dD]\."),
        ("text", rf"[yY]{_APOS}(?=\p{{L}})"),
        ("text", r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]](?![A-Za-z0-9])"),
        ("text", r"[?!]+|--+|\.\.\.+|_+|\*+|@+|##+|<<|>>|[\u00b2\u00b3\u00b9\u2070-\u2079]+|[\u2080-\u2089]+"),
        ("mark", r"[\x21-\x7e]"),
        (
            "mark",
            r"[\u00a1-\u00bf\u00d7\u00f7\p{Sm}]|[\u2100-\ufffd&&[\p{So}\p{No}\p{Po}]]|[\u2070-\u209f\u20a4\u20ac]",
        ),
        ("mark", r"[\u2013-\u2023\u2026\u2030-\u203b\u203e-\u2042\u2044]"),
    )
)
_PLAIN = regex.compile(r"[A-Za-z]+(?=\s|[,;:]\s)")
_ALPHANUMERIC = regex.compile(rf"[{_L}\p{{Nd}}]+(?:-[{_L}\p{{Nd}}]+)*")
_STARTER = regex.compile(rf"\s+(?:{'|'.join(STARTERS)})(?![\p{{L}}\p{{Nd}}])")
_OPEN = regex.compile(r"(?<!\p{L})\p{L}{1,4}\.\s*\Z")
_NUMBER_NEXT = regex.compile(r"\s?[-+]?\d")


def tokenised(texts: Sequence[str]) -> list[str]:
    """The words of each text, a single space between each two, as the caption metrics take them.

    Texts are read one after another, as from a file: at the end of one, the start of the next decides whether the stop
    after a single letter ends the sentence.
    """
    lines = [text.replace("\n", " ").replace("\r", " ").replace("\u00ad", "") for text in texts]
    following = [*lines, ""][1:]
    return [_line(line, after if _OPEN.search(line) else "") for line, after in zip(lines, following, strict=True)]


@functools.lru_cache(maxsize=2**16)
def _line(line: str, after: str) -> str:
    words: list[str] = []
    at = 0
    text = f"{line}\n{after}"
    while at < len(line):
        end = _add(words, text, at)
        at = max(end, at + 1)
    return " ".join(word for word in words if word not in DROPPED)


def _add(words: list[str], text: str, at: int) -> int:
    """Adds the token that starts at a place, as one or two words, and returns where it ends."""
    if text[at].isspace():
        return at + 1
    plain = _PLAIN.match(text, at)
    if plain and plain.group().lower() not in JOINED:
        words.append(plain.group().lower())
        return plain.end()
    kind, longest, end = "", at, at
    for name, pattern in _TOKENS:
        match = pattern.match(text, at)
        if match and match.end() > longest:
            kind, longest, end = name, match.end(), match.end(pattern.groups)
    if text[end : end + 1] == "." and (kind == "word" or _ALPHANUMERIC.fullmatch(text, at, end)):
        end = _with_stop(text, at, end)
    words += _written(kind, text[at:end])
    return end


def _with_stop(text: str, at: int, end: int) -> int:
    """The end of a word, with the stop after it where it is an abbreviation's or stands before a comma."""
    word, after = text[at:end], text[end + 1 :]
    lower = word.lower()
    if lower in SHORT and (lower not in CAPITALISED or not word[0].islower()):
        return end + 1
    if lower in BEFORE_NUMBERS and _NUMBER_NEXT.match(after):
        return end + 1
    if len(word) == 1 and word.isascii() and word.isalpha() and not _STARTER.match(after):
        return end + 1
    return end + 1 if after[:1] in (",", ";", ":") else end


def _written(kind: str, token: str) -> list[str]:
    """How the tokeniser writes a token: lower-cased, brackets by name, currencies by # and $, entities as marks."""
    if kind == "short":
        return ["'".join(regex.split(_APOS, token.lower()))]
    if kind == "entity":
        token = ENTITIES[token]
    if token in UNJOINED:
        return [UNJOINED[token]]
    lower = token.lower()
    if lower in JOINED and kind == "word":
        return list(JOINED[lower])
    if token[:2] in ("--", ".."):
        return []
    token = CURRENCIES.get(token, FRACTIONS.get(token, token))
    if token.startswith("<"):
        return [token.replace(" ", "\u00a0").lower()]
    return [token.replace("(", "-lrb-").replace(")", "-rrb-").lower()] if token else []
