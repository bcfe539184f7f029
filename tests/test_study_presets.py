"""Every preset runs from its grid to its answers and its page, with tiny models in the place of the scale's; most of them slow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import entry
from foreword.engine import load_backbone
from foreword.results.cells import Entry, Table
from foreword.study import stored
from foreword.study.executors import Job
from foreword.study.grid import Overrides, lay_out
from foreword.study.page import write
from foreword.study.preset import names, preset
from foreword.study.price import price
from foreword.study.questions import answers
from foreword.study.running import carry_out

QUICK = ("lester2021-objective", "lester2021-scale", "lester2021-paraphrase")
TINY: Mapping[str, Any] = {
    "limit": 3,
    "train_limit": 8,
    "max_new_tokens": 4,
    "too_long": "drop",
    "tuning": {"max_steps": 2, "eval_every": 1, "dev_limit": 4, "batch_size": 2},
}
SEQ2SEQ = ("lester2021-objective", "lester2021-adaptation")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return {family: entry.save_model(folder / family, family) for family in ("bloom", "t5")}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in names()
        if "smoke" in preset(name).scales
    ],
)
def test_a_preset_runs_to_its_page(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    model = str(models["t5" if name in SEQ2SEQ else "bloom"])
    loaded = preset(name)
    scale = loaded.at("smoke")
    named = dict.fromkeys(scale.models, model) if name in SEQ2SEQ else {next(iter(scale.models)): model}
    loaded = loaded.model_copy(update={"smoke": scale.model_copy(update={"models": named})})
    study = lay_out(loaded, "smoke", Overrides(seeds=(0, 1) if name == "lester2021-ensemble" else (0,), run=TINY))
    lines: list[str] = []
    out = tmp_path / "out"
    tally = carry_out(study, Job(out, name), say=lines.append)
    there = stored.read(out, name)
    assert not tally.failed, [cell.cause for cell in there.cells if cell.cause]
    assert len(lines) == len(study.cells) and "all done" in lines[-1]
    answered = answers(there.cells, there.preset, out)
    assert set(answered) == set(loaded.questions) and all(answered.values())
    for each in (answer for some in answered.values() for answer in some if isinstance(answer, Table)):
        entries = [value for row in each.rows for value in row.entries if isinstance(value, Entry)]
        assert each.rows and all(value.score is not None for value in entries), each.caption
    assert loaded.title in write(out).read_text(encoding="utf-8")
    if name in QUICK:
        priced = price(study, tmp_path / "priced")
        assert sum(line.cells for line in priced.lines) == len(study.cells)
        assert all(line.measured for line in priced.lines)
        every_weight = 6 * load_backbone(model).parameters  # operations of a token forward and backward
        assert all(0 < line.flop <= every_weight * line.tokens for line in priced.lines), "each training counted once"
        assert all(line.train > 0 and line.scored > 0 for line in priced.lines), "the sizes of the line's own task"
        assert not (tmp_path / "priced").exists() and any("Measured" in line for line in priced.sentences())
