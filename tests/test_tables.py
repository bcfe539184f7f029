"""Tables in terminals of every width: numbers are whole, heads fold before them, and nothing is cut off."""

from __future__ import annotations

import pytest

from foreword.cli.talk import print_table

HEADS = ("model", "task", "init", "cosine among the nearest 5", "labels among the nearest (by chance)", "clusters")
ROW = ("reference-small", "orders of a bakery", "vocab", "0.34", "2 of 4 (0.1)", "2 in 1")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_every_number_and_every_word_is_there(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns the columns of words had no width, and the last number was cut off."""
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("", HEADS, [ROW, ROW], left=HEADS[:3])
    output = capsys.readouterr().out
    joined = " ".join(output.split())
    assert all(len(line.rstrip()) <= width for line in output.splitlines())
    if width > 20:
        assert all(joined.count(number) >= 2 for number in ROW[3:])
    assert sum(character.isalpha() for character in output) >= 2 * sum(
        character.isalpha() for character in "".join(ROW)
    )
