"""Queries and their results as Spider's test-suite evaluation compares them, whatever the columns are called.

Source: Zhong et al. 2020 (arXiv 2010.02840); taoyds/test-suite-sql-eval at 14784c3, evaluation.py and exec_eval.py with their
defaults (`--etype exec`, no `--keep_distinct`, no `--plug_value`), written anew from what they do. Of a text only the first
statement counts, every DISTINCT is taken out, and rows are a bag unless the gold query has ORDER BY.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]
Column = tuple[Any, ...]

_PIECES = re.compile(
    r"""--[^\r\n]*|/\*.*?\*/|'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*"|`(?:``|[^`])*`|\[[^\]\[]+\]|\w+|.""", re.DOTALL
)
_THIS_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)


def statement(query: str) -> str:
    """The first statement of a text as it is run: comparisons joined (`> =`), no DISTINCT, this year being 2020."""
    for apart in (">", "<", "!"):
        query = query.replace(f"{apart} =", f"{apart}=")
    pieces = []
    for piece in _PIECES.findall(query):
        if piece == ";":
            break
        if piece.lower() != "distinct":
            pieces.append(piece)
    return _THIS_YEAR.sub("2020", "".join(pieces))


def predicted(query: str) -> str:
    """The statement of a prediction, in which the word `value` stands for 1."""
    return statement(query.replace(" value ", " 1 "))


def ordered(gold: str) -> bool:
    """Whether the order of the rows counts."""
    return "order by" in gold.lower()


def same_results(gold: Sequence[Row], ours: Sequence[Row], in_order: bool) -> bool:
    """Whether some order of our columns gives the gold rows: as a bag, or in their order. 1 and 1.0 are the same value.

    Two empty results are the same whatever their columns. Rows whose values, sorted by their text and type, differ are
    taken for different first, as there: so (1, 10) is not (1.0, 10), for the texts `1.0` and `10` sort otherwise than `1`
    and `10`.
    """
    if not gold and not ours:
        return True
    if len(gold) != len(ours) or len(gold[0]) != len(ours[0]):
        return False
    if in_order:
        if [_sorted(row) for row in gold] != [_sorted(row) for row in ours]:
            return False
    elif {_sorted(row) for row in gold} != {_sorted(row) for row in ours}:
        return False
    theirs, mine = (list(zip(*rows, strict=True)) for rows in (gold, ours))
    return _same_columns(theirs, mine) if in_order else _same_bags(theirs, mine)


def _sorted(row: Row) -> Row:
    return tuple(sorted(row, key=lambda value: f"{value}{type(value)}"))


def _same_columns(theirs: Sequence[Column], mine: Sequence[Column]) -> bool:
    left = list(mine)
    for column in theirs:
        if column not in left:
            return False
        left.remove(column)
    return True


def _same_bags(theirs: Sequence[Column], mine: Sequence[Column]) -> bool:
    """Column by column: a choice stands as long as the rows of the columns chosen so far are the same bag on both sides.

    A row of them is written as one number, the same on both sides where its values are.
    """
    bags = [Counter(column) for column in mine]
    fitting = [[place for place, bag in enumerate(bags) if bag == Counter(column)] for column in theirs]
    turn = sorted(range(len(theirs)), key=lambda place: len(fitting[place]))
    numbers: list[dict[tuple[int, Any], int]] = []
    row_counts: list[Counter[int]] = []
    rows = [0] * len(theirs[0])
    for place in turn:
        known: dict[tuple[int, Any], int] = {}
        rows = [known.setdefault(pair, len(known)) for pair in zip(rows, theirs[place], strict=True)]
        numbers.append(known)
        row_counts.append(Counter(rows))

    def fits(depth: int, rows: Sequence[int], taken: frozenset[int]) -> bool:
        if depth == len(turn):
            return True
        tried: set[Column] = set()
        for place in fitting[turn[depth]]:
            if place in taken or mine[place] in tried:
                continue
            tried.add(mine[place])
            numbered = [numbers[depth].get(pair, -1) for pair in zip(rows, mine[place], strict=True)]
            if Counter(numbered) == row_counts[depth] and fits(depth + 1, numbered, taken | {place}):
                return True
        return False

    return fits(0, [0] * len(mine[0]), frozenset())
