"""The letters of shapes: each that a comment or docstring uses stands in docs/vocabulary.md, with one meaning, and each that stands there
is used."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest

from test_house import ROOT, files, where

SHAPE = re.compile(r"(?<![\w`\])\"'.])\[((?:<= ?)?[A-Za-z0-9 +\-*/,.]+)\]")
LETTER = re.compile(r"(?<![A-Za-z_.])[A-Za-z](?![A-Za-z_])")


def letters(text: str) -> set[str]:
    """The letters of the shapes in a text: `[B, P + T, H]` has B, P, T, H. A word in a shape says itself what it is."""
    shapes = [match.group(1) for match in SHAPE.finditer(text)]
    return {letter for shape in shapes for letter in LETTER.findall(shape)}


def prose(path: Path) -> list[tuple[int, str]]:
    """The comments and docstrings of a file, each with its line."""
    source = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        (token.start[0], token.string)
        for token in tokens
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""'))
    ]


def alphabet() -> dict[str, list[str]]:
    """The meanings of each letter in the page's table."""
    table: dict[str, list[str]] = defaultdict(list)
    for line in (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| ([A-Za-z]) \| (.+) \|$", line)
        if row:
            table[row.group(1)].append(row.group(2))
    return table


def used() -> dict[str, list[str]]:
    """Every letter of a shape in the package, with the places where it stands."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in files():
        for line, text in prose(path):
            for letter in letters(text):
                places[letter].append(f"{where(path)}:{line}")
    return places


def test_every_letter_of_a_shape_is_in_the_vocabulary() -> None:
    places, known = used(), alphabet()
    assert len(places["B"]) > 20 and len(places["H"]) > 20, "the guard sees the shapes"
    strange = [f"{letter}: {', '.join(at[:5])}" for letter, at in sorted(places.items()) if letter not in known]
    assert not strange, "\n".join(strange)


def test_a_letter_has_one_meaning_and_is_used() -> None:
    known = alphabet()
    assert {letter: meanings for letter, meanings in known.items() if len(meanings) > 1} == {}
    assert set(known) <= set(used())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# [B, P + T, H]", "BPTH"),
        ("logits [N, V] of rows [n K, C, D]", "NVnKCD"),
        ("# [..., d] -> [...]", "d"),
        ("keys [1, K, S + R, ..]", "KSR"),
        ("# [n, words]", "n"),
        ("rows[i], `x[B]`, [start, end), a list [first, last]", ""),
    ],
)
def test_the_letters_of_a_shape(text: str, expected: str) -> None:
    assert letters(text) == set(expected)
