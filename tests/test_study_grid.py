"""Presets and the grids that they lay out: every preset at every scale, one's own file, what is refused, what the full scale names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foreword.cli.study import _laid
from foreword.config.run import Run
from foreword.study.grid import CellSpec, Overrides, lay_out, spec_of, units_of
from foreword.study.preset import names, preset
from foreword.study.price import SHAPES, settings
from foreword.study.questions import QUESTIONS
from foreword.tasks import names as task_names
from foreword.util.errors import ForewordError

PAPERS = {
    "sun2023-main",
    "sun2023-length",
    "sun2023-similarity",
    "sun2023-transfer",
    *(f"lester2021-{name}" for name in ("scale", "length", "init", "objective", "adaptation", "domain-shift")),
    *(f"lester2021-{name}" for name in ("paraphrase", "ensemble", "parameters", "nearest", "convergence", "check")),
}
EVERY = [(name, scale) for name in names() for scale in preset(name).scales]
OWN = """
title = "Mine"
questions = ["main"]

[[parts]]
name = "grid"
methods = ["zero", "pt"]
over = ["length"]

[smoke]
models = { m = "gpt2" }
tasks = { t = "mini-dart" }
seeds = [0, 1]
axes = { length = [1, 5] }
run = { limit = 3, tuning = { max_steps = 2 } }
"""


def by_paper(cells: tuple[CellSpec, ...], **paper: str) -> list[CellSpec]:
    return [cell for cell in cells if all(cell.paper.get(key) == value for key, value in paper.items())]


def test_every_table_and_figure_of_the_papers_has_a_preset() -> None:
    assert set(names()) == PAPERS
    assert all("full" in preset(name).scales for name in names())
    assert [name for name in names() if "smoke" not in preset(name).scales] == ["lester2021-check"], (
        "it takes T5's own prompts"
    )


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_a_preset_lays_out_cells_that_can_be_sent(name: str, scale: str) -> None:
    laid = lay_out(preset(name), scale)
    assert len({cell.id for cell in laid.cells}) == len(laid.cells) > 0
    known = {cell.id for cell in laid.cells}
    for cell in laid.cells:
        assert spec_of(json.loads(json.dumps(cell.as_dict()))) == cell
        run = cell.settings()
        assert (
            cell.at.label in (*run.methods, "gate:similarity", "gate:certainty")
            and cell.at.seed in run.seeds
            and run.task == cell.at.task in task_names()
        )
        assert set(cell.needs) <= known
        assert {"model", "task", "method"} <= cell.paper.keys()
    order = [cell.id for cells in units_of(laid.cells).values() for cell in cells]
    assert sorted(order) == sorted(known)
    assert all(order.index(needed) < order.index(cell.id) for cell in laid.cells for needed in cell.needs)
    assert set(laid.preset.questions) <= set(QUESTIONS)


def test_the_main_table_at_full_scale_is_the_papers() -> None:
    cells = lay_out(preset("sun2023-main"), "full").cells
    assert {cell.at.model for cell in cells} == {"bigscience/bloom-1b1", "facebook/opt-1.3b", "gpt2-xl"}
    tuned = [cell for cell in cells if cell.at.label in ("pt", "ipt")]
    assert len(tuned) == 3 * 5 * 2 * 3 and {cell.at.length for cell in tuned} == {25}
    steps = {cell.at.task: cell.settings().tuning.max_steps for cell in tuned}
    assert {name: round(count * 8 / 5, -1) for name, count in steps.items()} == {
        "totto": 120760,
        "dart": 62660,
        "spider-with-cells": 7000,
        "mtop-dev": 15670,
        "logic2text": 8570,
    }, "five epochs of batches of eight"
    assert all(cell.settings().tuning.reparameterisation == "mlp" for cell in tuned)


def test_the_ablations_at_full_scale_have_the_papers_recipe() -> None:
    cells = lay_out(preset("lester2021-length"), "full").cells
    assert {cell.at.length for cell in cells} == {1, 5, 20, 100, 150}
    assert {cell.at.model for cell in cells} == {
        f"google/t5-{size}-lm-adapt" for size in ("small", "base", "large", "xl", "xxl")
    }
    assert {cell.at.task for cell in cells} == {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"}
    tuning = by_paper(cells, task="boolq", length="100")[0].settings().tuning
    assert (tuning.max_steps, tuning.batch_size, tuning.optimizer, tuning.learning_rate) == (
        30000,
        32,
        "adafactor",
        0.3,
    )
    assert (tuning.init, tuning.schedule, tuning.select_by, tuning.eval_every) == ("labels", "constant", "metric", 1000)
    record = by_paper(cells, task="record", length="100")[0].settings().tuning
    assert (record.init, record.init_text) == ("text", "commonsense reasoning reading comprehension")
    objectives = lay_out(preset("lester2021-objective"), "full").cells
    assert {cell.at.model for cell in by_paper(tuple(objectives), objective="span")} == {
        f"google/t5-v1_1-{size}" for size in ("small", "base", "large", "xl", "xxl")
    }
    sentinel = by_paper(tuple(objectives), objective="sentinel")[0]
    assert sentinel.settings().answer == "<extra_id_0> {target}" and sentinel.at.model.startswith("google/t5-v1_1")
    assert all(cell.at.model in SHAPES for cell in (*cells, *objectives))


def test_shift_trains_once_and_scores_every_task() -> None:
    laid = lay_out(preset("lester2021-domain-shift"), "full")
    units = units_of(laid.cells)
    assert len(units) == 2 * 3 and all(len(cells) == 7 for cells in units.values())
    assert {cell.train_on for cell in laid.cells} == {("squad",)}
    back = lay_out(preset("lester2021-paraphrase"), "full").cells
    labels = {cell.at.task: cell.relabel for cell in back}
    assert labels["mrpc"] == {"equivalent": "duplicate", "not_equivalent": "not_duplicate"}


def test_a_multi_task_row_shares_one_training() -> None:
    cells = by_paper(lay_out(preset("lester2021-scale"), "smoke").cells, method="multi-task", model="t5-base")
    assert {cell.train_on for cell in cells} == {("mini-qqp", "mini-squad")}
    assert len({cell.unit for cell in cells}) == 2 and len(cells) == 4, "one a seed"


def test_what_a_user_gives_wins() -> None:
    overrides = Overrides(models=("gpt2", "mine"), seeds=(7,), tasks=("dart",), run={"limit": 5})
    cells = lay_out(preset("sun2023-main"), "smoke", overrides).cells
    assert {cell.at.model for cell in cells} == {"gpt2", "mine"} and {cell.at.task for cell in cells} == {"mini-dart"}
    assert {cell.paper["model"] for cell in cells} == {"bloom-1b1", "opt-1.3b"}
    assert {cell.at.seed for cell in cells} == {7} and {cell.settings().limit for cell in cells} == {5}
    more = lay_out(preset("sun2023-length"), "smoke", Overrides(models=("a", "b"))).cells
    assert {cell.paper["model"] for cell in more} == {"bloom-1b1", "b"}, "a second model stands for itself"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN, encoding="utf-8")
    laid = lay_out(preset(str(path)), "smoke")
    assert laid.preset.name == "mine" and len(laid.cells) == 1 + 2 * 2, (
        "zero-shot once, PT at two lengths with two seeds"
    )
    assert {(cell.at.label, cell.at.length) for cell in laid.cells} == {("zero", None), ("pt", 1), ("pt", 5)}
    assert "tuning.max_steps" in settings(laid)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("questions", "question"), "There is no setting 'question'; did you mean 'questions'"),
        (('over = ["length"]', 'over = ["lenght"]'), "parts.over holds 'lenght' (text), but must be"),
        (('methods = ["zero", "pt"]', "methods = []"), "parts.methods"),
        (("max_steps = 2", "max_step = 2"), "There is no setting 'tuning.max_step'"),
        (('name = "grid"', 'name = "grid"\ncarries = "other"'), "There is no part 'other'"),
        (('"zero", "pt"', '"zero", "pp"'), "There is no method 'pp'"),
        (('"zero", "pt"', '"gate-certainty", "pt"'), "chooses between PT and IPT; name pt and ipt before it"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(ForewordError) as refused:
        lay_out(preset(str(path)), "smoke")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("seeds", "part", "overrides", "expected"),
    [
        ("[7, 8, 9]", 2, Overrides(), [7, 8]),
        ("[0, 1]", 4, Overrides(), [0, 1, 2, 3]),
        ("[7, 8]", 3, Overrides(), [7, 8, 9]),
        ("[7, 8, 9]", 2, Overrides(seeds=(3,)), [3]),
    ],
)
def test_a_part_takes_the_first_of_the_scales_seeds(
    seeds: str, part: int, overrides: Overrides, expected: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace("[0, 1]", seeds).replace('over = ["length"]', f"seeds = {part}"), encoding="utf-8")
    cells = lay_out(preset(str(path)), "smoke", overrides).cells
    assert [cell.at.seed for cell in cells if cell.at.label == "pt"] == expected


@pytest.mark.parametrize(("name", "at"), [("objective", "span"), ("adaptation", "0")])
def test_variants_of_a_model_that_are_not_there_are_not_dropped(name: str, at: str) -> None:
    with pytest.raises(ForewordError) as refused:
        lay_out(preset(f"lester2021-{name}"), "smoke", Overrides(models=("gpt2",)))
    assert f"for {name} {at} there is no variant of the model t5-small; --models names no variants" in str(
        refused.value
    )
    assert f'such as "t5-small@{at}" = NAME.' in str(refused.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ForewordError, match="There is no study 'sun2023-mian'; did you mean 'sun2023-main'"):
        preset("sun2023-mian")
    with pytest.raises(ForewordError, match="There is no scale of lester2021-objective 'small'"):
        lay_out(preset("lester2021-objective"), "small")
    with pytest.raises(ForewordError, match="There is no question of sun2023-main 'length'"):
        lay_out(preset("sun2023-main"), "smoke", only=["length"])
    with pytest.raises(ForewordError, match="There is no task of sun2023-main 'webnlg'"):
        lay_out(preset("sun2023-main"), "smoke", Overrides(tasks=("webnlg",)))


def test_settings_of_a_preset_are_those_of_a_run() -> None:
    for name in names():
        for scale in preset(name).scales:
            for cell in lay_out(preset(name), scale).cells[:3]:
                assert isinstance(cell.settings(), Run)


def test_all_names_the_studies_that_it_cannot_make_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    names = {study.preset.name for study in _laid(["all"], "smoke", Overrides(models=("reference",)), [])}
    left_out = {line.split(" is left out: ")[0] for line in capsys.readouterr().err.splitlines()}
    assert left_out == {"lester2021-objective", "lester2021-adaptation"} and not names & left_out
    assert names | left_out == {study.preset.name for study in _laid(["all"], "smoke", Overrides(), [])}
    with pytest.raises(ForewordError, match="No study can be made of these models and tasks"):
        _laid(["all"], "smoke", Overrides(tasks=("nothing",)), [])
