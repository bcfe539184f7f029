"""Answers that end at the limit are counted: in the record, under the table, on the page, by evaluate and generate; and only those."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import report_records
from entry import foreword
from foreword.metrics import METRICS
from foreword.report.page import page
from foreword.results.record import Record
from foreword.results.summary import summarise

FLAGS = ("--model", "reference-small", "--task", "mini-dart", "--method", "icl:bm25:2", "--limit", 12)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[dict, Record]]:
    """Scores and record of the same answers under a limit that cuts some of them, and under one that cuts none."""
    runs = {}
    for limit in (14, 15, 200):
        out = tmp_path_factory.mktemp("cut")
        scores = foreword("evaluate", *FLAGS, "--max-new-tokens", limit, "--out", out, "--json").json
        runs[limit] = (scores, Record.read(Path(scores["record"])))
    return runs


def test_an_answer_is_cut_where_more_room_makes_it_longer_or_lets_it_end(
    limited: dict[int, tuple[dict, Record]],
) -> None:
    (scores, short), (_, next_), (whole_scores, whole) = limited[14], limited[15], limited[200]
    rows = list(zip(short.answers, next_.answers, whole.answers, strict=True))
    longer = [a.output != c.output for a, _, c in rows]
    ended = [not b.cut and b.output == c.output for _, b, c in rows]  # its end is the token behind the limit
    assert all(a.cut for (a, _, _), more in zip(rows, longer, strict=True) if more)
    assert all(more or end for (a, _, _), more, end in zip(rows, longer, ended, strict=True) if a.cut)
    count = sum(a.cut for a, _, _ in rows)
    assert 0 < count < len(rows), "some are cut and some are not, or this test could not fail"
    assert short.cut_answers == scores["cut_answers"] == count
    assert f"{count} of 12 answers were ended by --max-new-tokens 14, not by the model." in scores["notes"]
    assert whole.cut_answers == whole_scores["cut_answers"] == 0
    assert not any("ended by" in note for note in whole_scores["notes"])


def test_generate_counts_them_too() -> None:
    answers = foreword("generate", *FLAGS, "--max-new-tokens", 14, "--json")
    assert len(answers.lines) == 12
    assert re.search(r"Note: \d+ of 12 answers were ended by --max-new-tokens 14, not by the model\.", answers.err)
    assert "ended by" not in foreword("generate", *FLAGS, "--max-new-tokens", 200, "--json").err


def test_a_choice_is_never_cut(tmp_path: Path) -> None:
    rows = [{"input": f"word {n}", "target": ("a long label", "b")[n % 2]} for n in range(40)]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    flags = ("--model", "reference-small", "--data", data, "--choices", "a long label,b", "--max-new-tokens", 1)
    scores = foreword("evaluate", *flags, "--too-long", "drop", "--out", tmp_path / "out", "--json").json
    assert scores["cut_answers"] == 0


def test_the_comparison_says_it_once_a_method_and_only_where_it_happens() -> None:
    records = report_records.records(examples=10)
    cut = [replace(a, cut=n < 3) for n, a in enumerate(records[1].answers)]
    records[1] = replace(records[1], answers=tuple(cut), cut_answers=3, spec={"max_new_tokens": 64})
    summary = summarise(records, lambda name: METRICS[name])
    notes = [note for note in summary.notes if "--max-new-tokens" in note]
    assert notes == ["icl: 3 of 10 answers were ended by --max-new-tokens 64, not by the model."]
    assert {row.method: row.cut_answers for row in summary.rows} == {"zero": 0, "icl": 3, "pt": 0, "ipt": 0}
    html = page(summary, records)
    assert notes[0] in html and html.count('"cut":true') == 3
