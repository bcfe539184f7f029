"""Cells of one place that differ in more than their seed: rows, lines and claims of their own, and never averaged as seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreword.report.study.tested import places
from foreword.report.study.values import StudyPage
from foreword.results.cells import Cell
from foreword.study.grid import lay_out
from foreword.study.measure import difference, entry
from foreword.study.preset import Preset, preset
from foreword.study.questions import answers
from foreword.util.errors import ForewordError
from test_study_questions import record

OWN = """
title = "Mine"
questions = ["main", "length", "variance", "scale", "similarity"]

[[parts]]
name = "grid"
methods = ["icl-1", "pt", "ipt"]

[[parts]]
name = "lengths"
methods = ["pt", "ipt"]
over = ["length"]

[smoke]
models = { mine = "reference" }
tasks = { dart = "mini-dart" }
seeds = [0, 1]
axes = { length = [1, 20] }
run = { limit = 20, tuning = { max_steps = 2, prompt_length = 20 } }
"""
RATES = """
title = "Mine"
questions = ["main"]

[[parts]]
name = "slow"
methods = ["pt"]
run = { tuning = { learning_rate = 0.01 } }

[[parts]]
name = "fast"
methods = ["pt", "icl-1"]
run = { tuning = { learning_rate = 1.0 } }

[smoke]
models = { mine = "reference" }
tasks = { dart = "mini-dart", mtop = "mini-mtop" }
seeds = [0, 1]
run = { limit = 20 }
"""


def laid(folder: Path, text: str) -> tuple[Preset, list[Cell]]:
    """The cells of a study of one's own, each done: one token is right in 1 of 10, 20 tokens in 9 of 10."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    own = preset(str(path))
    cells = []
    for spec in lay_out(own, "smoke").cells:
        at = spec.at
        right = 0.5 if at.length is None else 0.1 if at.length == 1 or at.part == "slow" else 0.9
        done = record(at.label, at.task, right, at.seed)
        trial = f"{at.label}{at.task}{at.length}{at.seed}" + at.part * ("learning_rate" in text)  # as its contents say
        cells.append(Cell(spec.id, at, spec.paper, "done", replace(done, key=trial), "", 60))
    return own, cells


def test_another_length_is_another_row_and_no_seed(tmp_path: Path) -> None:
    own, cells = laid(tmp_path, OWN)
    answered = answers(cells, own, tmp_path)
    table = answered["main"][0]
    rows = {row.head[1]: row.entries[0] for row in table.rows}
    kinds = ("part grid, 20 tokens", "part lengths, 1 token", "part lengths, 20 tokens")
    assert set(rows) == {"icl-1", *(f"{method} ({kind})" for method in ("pt", "ipt") for kind in kinds)}
    assert {each.seeds for name, each in rows.items() if name != "icl-1"} == {2}
    assert rows["pt (part lengths, 1 token)"].score < 30 < 70 < rows["pt (part lengths, 20 tokens)"].score
    claims = {test.claim: test for test in answered["main"][1:]}
    assert claims["pt is above icl-1 on every model, task and setting"].cases[1] == 3
    assert claims["ipt is above pt on every model, task and setting"].cases[1] == 3, "each with its own counterpart"
    (curve,) = answered["length"]
    lines = {line.name: [x for x, _ in line.points] for line in curve.panels[0].series}
    assert lines["pt (part lengths)"] == [1.0, 20.0] and lines["pt (part grid)"] == [20.0] and "icl-1" in lines
    spread, claim = answered["variance"]
    assert [row.head[2:] for row in spread.rows] == [
        ("20 (part grid)", "2"),
        ("20 (part lengths)", "2"),
        ("1", "2"),
    ]
    assert claim.cases is not None and claim.cases[1] == 2, "trials that two parts ask for are counted once"


def test_another_setting_of_the_run_is_another_row(tmp_path: Path) -> None:
    own, cells = laid(tmp_path, RATES)
    table, above = answers(cells, own, tmp_path)["main"]
    assert [row.head[1] for row in table.rows] == ["pt (part slow)", "pt (part fast)", "icl-1"]
    assert above.cases[1] == 4 and above.holds is False, "both rates against plain in-context learning, on two tasks"
    page = StudyPage("mine", "Mine", "smoke", "", cells, {})
    assert [list(place.samples) for place in places(page)] == [["pt (part slow)", "pt (part fast)", "icl-1"]] * 2


@pytest.mark.parametrize("question", ["scale", "similarity"])
def test_a_question_that_does_not_tell_them_apart_refuses(question: str, tmp_path: Path) -> None:
    own, cells = laid(tmp_path, OWN)
    (refused,) = answers(cells, own, tmp_path, [question])[question]
    assert refused.holds is None and "would be averaged as seeds of one number, and they differ in part" in refused.note
    assert "The cell pt of the part grid (mini-dart on reference, 20 tokens, seed 0)" in refused.note


def test_no_number_is_of_one_seed_twice(tmp_path: Path) -> None:
    _, cells = laid(tmp_path, RATES)
    single = [cell for cell in cells if cell.at.label == "pt"][:1]
    does: tuple[Any, ...] = (lambda: entry(single * 2), lambda: difference(single, single * 2))
    for ask in does:
        with pytest.raises(ForewordError, match="they both have the seed 0"):
            ask()
