"""What a study costs before it runs: each training and each answer once, a gate what it computes itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import entry
from foreword.study.grid import Overrides, lay_out
from foreword.study.positions import answering
from foreword.study.preset import preset
from foreword.study.price import price
from foreword.study.unit import Bench
from test_study_run import grid, laid


def test_a_gate_costs_what_goes_through_both_methods_once_more(tmp_path: Path) -> None:
    """Counted, it cost as if one method answered every input anew; measured, nothing."""
    seeds = Overrides(models=("nomodel",), seeds=(0, 1), tasks=("dart",))
    counted = price(lay_out(preset("sun2023-similarity"), "full", seeds), tmp_path / "out").lines
    both = (25 + 1024 + 128) + (25 + 2 * 1024 + 128)  # of PT, and of IPT with its demonstration
    assert {line.method: (line.tokens, line.steps) for line in counted if line.method.startswith("gate")} == {
        "gate-similarity": (2 * 1000 * both, 0),  # dev_limit
        "gate-certainty": (2 * 5097 * both, 0),
    }
    model = entry.save_model(tmp_path / "tiny" / "bloom", "bloom")
    study = laid(grid(model, tmp_path, '"pt", "ipt", "gate-similarity", "gate-certainty"'))
    lines = {(line.task, line.method): line for line in price(study, tmp_path / "out").lines}
    bench = Bench(tmp_path / "out", pricing=True)
    assert sum(line.cells for line in lines.values()) == len(study.cells) == 8
    for cell in study.cells:
        if cell.gates:
            tokens = 0
            for trial in bench.gated(cell):
                task, layout = trial.task, trial.layout()
                examples = task.limited({"dev": 2}).dev if cell.at.label == "gate:similarity" else task.test
                of_layout = [layout.lay(example) for example in examples]
                each, shared = answering(trial.backbone, task.template, layout.soft, of_layout, 4)
                tokens += sum(each) + shared
            line = lines[cell.at.task, cell.paper["method"]]
            assert line.tokens == tokens and (line.cells, line.steps, line.measured) == (1, 0, True)
            assert line.flop == pytest.approx(2 * trial.backbone.parameters * line.tokens)
