"""`lester2021-check`: published prompts are imported and scored as they are, each metric beside what was published with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import entry
from foreword.results.cells import Entry, Scored, Table
from foreword.results.judged import judge
from foreword.results.papers import paper
from foreword.study import stored
from foreword.study.executors import Job
from foreword.study.grid import Overrides, lay_out
from foreword.study.preset import preset
from foreword.study.questions import answers
from foreword.study.running import carry_out
from test_readme import commands
from test_study_guide import GUIDE, PUBLISHED

NAME = "lester2021-check"


def test_the_published_prompts_are_scored_by_every_metric(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (section,) = PUBLISHED.findall(GUIDE.read_text(encoding="utf-8"))
    imports, study_words = commands(section)
    assert imports[1] == "import" and imports[-1] == "prompts/t5_1_1_lm100k_base-sst2" and study_words[2] == NAME
    model = entry.save_model(tmp_path / "t5", "t5")
    for number, task in enumerate(("sst2", "mrpc", "rte")):
        array = tmp_path / f"{task}.npy"
        np.save(array, np.random.default_rng(number).normal(size=(100, 32)).astype(np.float32))
        folder = tmp_path / "prompts" / f"t5_1_1_lm100k_base-{task}"
        imported = entry.foreword("import", array, "--model", model, "--task", task, "--out", folder)
        assert imported.code == 0, imported.err
    monkeypatch.chdir(tmp_path)
    study = lay_out(
        preset(NAME), "full", Overrides(models=(str(model),), run={"limit": 4, "data_dir": str(shared / "data")})
    )
    tally = carry_out(study, Job(tmp_path / "out", NAME))
    stored_study = stored.read(tmp_path / "out", NAME)
    assert not tally.failed, [cell.cause for cell in stored_study.cells if cell.cause]
    records = {cell.at.task: cell.record for cell in stored_study.cells if cell.record is not None}
    assert {task: record.spec["split"] for task, record in records.items()} == {
        "sst2": "dev",
        "mrpc": "test",
        "rte": "test",
    }
    (table,) = answers(stored_study.cells, stored_study.preset, tmp_path / "out")["published"]
    assert isinstance(table, Table)
    entries = [value for row in table.rows for value in row.entries if isinstance(value, Entry)]
    numbers = [paper("lester2021").number(NAME, each.paper) for each in entries]
    assert [
        (each.task, each.metric, number and number.value) for each, number in zip(entries, numbers, strict=True)
    ] == [
        ("sst2", "accuracy", 95.07),
        ("mrpc", "accuracy", 85.3),
        ("mrpc", "mrpc_f1", 89.7),
        ("rte", "accuracy", 68.6),
    ]
    sst2 = replace(entries[0], model="google/t5-base-lm-adapt", scored=(Scored("sst2", "dev", 872, 872, "examples"),))
    assert sst2.seeds == 1 and judge(sst2, numbers[0]).word == "differs", (
        "a random prompt is far off, and it has no seed"
    )
    for each in entries:
        assert each.score == pytest.approx(records[each.task].scores[each.metric])


def test_without_the_prompts_it_says_which_folder_is_missing(shared: Path, tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "t5", "t5")
    study = lay_out(
        preset(NAME), "full", Overrides(models=(str(model),), run={"limit": 4, "data_dir": str(shared / "data")})
    )
    assert carry_out(study, Job(tmp_path / "out", NAME)).failed == 3
    causes = [cell.cause for cell in stored.read(tmp_path / "out", NAME).cells]
    assert all("There is no prompt folder at prompts/t5_1_1_lm100k_base-" in cause for cause in causes), causes
