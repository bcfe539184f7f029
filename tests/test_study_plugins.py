"""A finished study and the items of other packages that it names: a cell is looked at again where one of them has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import entry
from foreword.study.executors import Job
from foreword.study.grid import Study, lay_out
from foreword.study.preset import preset
from foreword.study.running import carry_out
from foreword.study.stored import read
from foreword.study.unit import stamp
from test_plugins import ITEMS, POINTS, distribution, forget, installed

__all__ = ["installed"]
STUDY = """title = "Mine"
questions = ["main"]

[[parts]]
name = "grid"
methods = [{methods}]

[smoke]
models = {{ m = "{model}" }}
tasks = {{ t = "{task}" }}
seeds = [0]
run = {{ {run}limit = 3, max_new_tokens = 4 }}
"""
HALF = "1.0 if len(output) == len(references[0]) else 0.5"
METRIC, START = 'metrics = ["acme-length"], ', 'tuning = { init = "acme-start" }, '


def study_of(folder: Path, methods: str = '"zero"', task: str = "mini-dart", run: str = "", model: str = "m") -> Study:
    text = STUDY.format(methods=methods, task=task, model=model, run=run)
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return lay_out(preset(str(folder / "mine.toml")), "smoke")


def test_a_changed_item_of_a_package_changes_the_stamp_of_the_cells_that_name_it(installed: Path) -> None:
    gate = '"pt", "ipt", "gate-certainty"'
    named: dict[str, dict[str, Any]] = {
        "metric": {"run": METRIC},
        "task": {"task": "acme_capitals"},
        "method": {"methods": '"acme-both"'},
        "retriever": {"methods": '"icl:acme-first"'},
        "init": {"methods": '"pt"', "run": START},
        "init of what a gate chooses between": {"methods": gate, "run": START},
        "foreword's own": {"methods": gate},
        "an init that is not used": {"methods": '"icl"', "run": START},
    }

    def stamps() -> dict[str, str]:
        return {kind: stamp(study_of(installed, **settings).cells[-1]) for kind, settings in named.items()}

    distribution(installed, POINTS, acme_items=ITEMS)
    before = stamps()
    assert before == stamps()
    (installed / "acme_items.py").write_text(ITEMS.replace(HALF, "0.25"))
    forget()
    after = stamps()
    assert [kind for kind in named if before[kind] == after[kind]] == ["foreword's own", "an init that is not used"]


def test_a_finished_study_has_the_numbers_of_the_package_as_it_is_now(installed: Path, tmp_path: Path) -> None:
    model, out, scores = entry.save_model(tmp_path / "model", "bloom"), tmp_path / "out", []
    for value in ("0.5", "0.25"):
        distribution(installed, POINTS, acme_items=ITEMS.replace(HALF, value))
        forget()
        carry_out(study_of(tmp_path, run=METRIC, model=str(model)), Job(out, "mine"))
        (cell,) = read(out, "mine").cells
        scores.append(cell.record.scores["acme-length"] if cell.record else cell.cause)
    assert scores == [50.0, 25.0]
