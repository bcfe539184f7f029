"""METEOR: its program's counts become its program's scores, of an example and of a set; without the program one sentence says so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from foreword.metrics import METRICS, meteor
from foreword.metrics.multibleu import webnlg_text
from foreword.metrics.ptb import tokenised
from foreword.util.errors import ForewordError

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
# What the program counts of "the cat is on the mat" against "a cat sat on a mat", and of a text against itself.
CAT = [6, 6, 4, 3, 2, 2, 1, 1, *[0] * 12, 2, 3, 3]
SAME = [3, 3, 1, 1, 2, 2, 1, 1, *[0] * 12, 1, 3, 3]


def fake_java(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a program called java on the path, and a jar where METEOR's is looked for."""
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(meteor, "_jar", lambda: folder / "meteor-1.5.jar")


def says(*rows: list[int]) -> str:
    output = "\\n".join(" ".join(f"{count:.1f}" for count in row) for row in rows)
    return f'cat > "$(dirname "$0")/seen"; printf "{output}\\n"'


def test_the_score_by_hand() -> None:
    """Content words weigh three times as much as function words; two chunks over three matches break it up."""
    precision, recall = (0.75 * 2 + 0.25 * 1) / (0.75 * 2 + 0.25 * 4), (0.75 * 2 + 0.25 * 1) / (0.75 * 3 + 0.25 * 3)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor.score(np.array(CAT, dtype=float)) == pytest.approx(mean * (1 - 0.6 * (2 / 3) ** 0.2))
    assert meteor.score(np.zeros(meteor.COUNTS)) == 0.0
    both = meteor.score(np.array([CAT, CAT], dtype=float))
    assert both.shape == (2,) and both[0] == both[1]


def test_texts_go_to_the_program_and_its_counts_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, monkeypatch, says(CAT, SAME))
    assert meteor.here() and meteor.note() == {}
    counts = meteor.counts(["a", "b ||| b"], [["a\nx", "c"], ["b"]])
    assert (tmp_path / "seen").read_text() == "SCORE ||| a x ||| c ||| a\nSCORE ||| b ||| b  | | |  b\n"
    assert counts[0].tolist() == CAT
    assert counts[1, 20] == 0, "a match from end to end has no chunk that could break up a set"
    metric = METRICS["meteor"]
    rows = metric.numbers(["a", "b"], [["a"], ["b"]])
    assert metric.per_example(rows)[1] == metric.best == 100.0
    assert 0 < metric.per_example(rows)[0] < metric.from_sums(rows.sum(axis=0)) < 100
    assert meteor.counts([], []).shape == (0, meteor.COUNTS)


def test_a_program_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, monkeypatch, "echo 'no memory' >&2; exit 3")
    with pytest.raises(ForewordError, match="after 0 of 1 outputs, saying 'no memory'"):
        meteor.counts(["a"], [["a"]])
    fake_java(tmp_path, monkeypatch, says(CAT[:-1]))
    with pytest.raises(ForewordError, match="METEOR's program stopped"):
        meteor.counts(["a"], [["a"]])


def test_where_it_cannot_run_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "_jar", lambda: None)
    assert not meteor.here()
    for name in ("meteor", "meteor_coco", "dart_meteor", "webnlg_meteor"):
        assert "foreword[coco]" in METRICS[name].absence()
        with pytest.raises(ForewordError, match=r"foreword\[coco\]"):
            METRICS[name].score(["a"], [["a"]])
    monkeypatch.setattr(meteor, "_jar", lambda: Path("meteor-1.5.jar"))
    monkeypatch.setenv("PATH", "")
    assert "java" in meteor.note()["absent"][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dart", "webnlg", "e2e"])
def test_the_score_of_every_golden_set(name: str) -> None:
    """Counts of each case once; their sums give the official score of each set of cases."""
    if not (GOLDEN / name).is_dir():
        pytest.skip("the golden folders are not here")
    if not meteor.here():
        pytest.skip(meteor.absence())
    rows = [json.loads(line) for line in (GOLDEN / name / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    corpora = json.loads((GOLDEN / name / "corpus.json").read_text(encoding="utf-8"))["corpora"]
    outputs, references = [row["prediction"] for row in rows], [row["references"] for row in rows]
    if name == "webnlg":
        outputs = [webnlg_text(output) for output in outputs]
        references = [[webnlg_text(reference) for reference in accepted[:3]] for accepted in references]
    if name == "e2e":
        outputs = tokenised(outputs)
        words = iter(tokenised([reference for accepted in references for reference in accepted]))
        references = [[next(words) for _ in accepted] for accepted in references]
    counted = dict(zip([row["id"] for row in rows], meteor.counts(outputs, references), strict=True))
    set_count = 0
    for entry in corpora:
        official = entry["scores"].get("meteor", entry["scores"].get("METEOR"))
        if "case_ids" in entry and official is not None:
            set_count += 1
            sums = np.sum([counted[case_id] for case_id in entry["case_ids"]], axis=0)
            assert float(meteor.score(sums)) == pytest.approx(official, rel=1e-9), entry["name"]
    assert set_count >= 3
