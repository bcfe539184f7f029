"""The length of the longest common subsequence of words, for ROUGE-L and PARENT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def places(words: Sequence[str]) -> dict[str, int]:
    """Where each word stands, as an integer with one bit for a place; made once for a text compared with many."""
    bits: dict[str, int] = {}
    for position, word in enumerate(words):
        bits[word] = bits.get(word, 0) | 1 << position
    return bits


def longest(left: Mapping[str, int], length: int, right: Sequence[str]) -> int:
    """The length of the longest common subsequence; left: the places of a text of that many words.

    One integer holds a row of the table (Hyyrö 2004).
    """
    full = (1 << length) - 1
    row = full
    for word in right:
        matches = row & left.get(word, 0)
        if matches:
            row = ((row + matches) | (row - matches)) & full
    return length - row.bit_count()


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of the longest common subsequence of two texts."""
    return longest(places(left), len(left), right)
