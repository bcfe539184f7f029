"""A study of one's own: what its file may not say, and one's own examples as its task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import entry
from foreword.config.run import Run
from foreword.study.executors import Job
from foreword.study.executors.processes import _devices
from foreword.study.grid import Overrides, Study, lay_out
from foreword.study.preset import names, preset
from foreword.study.running import carry_out
from foreword.study.stored import read
from foreword.study.unit import Bench
from foreword.util.errors import ForewordError

FILE = """
title = "Mine"
questions = ["length"]

[[parts]]
name = "line"
methods = ["icl-1"]

[[parts]]
name = "lengths"
methods = ["pt", "ipt"]
over = ["length"]

[smoke]
models = {{ m = "{model}" }}
tasks = {{ t = "{task}" }}
seeds = [0]
axes = {{ length = [1, 2] }}
run = {{ limit = 4, max_new_tokens = 4, tuning = {{ max_steps = 2, eval_every = 2, dev_limit = 2 }} }}
"""


def save(folder: Path, *changes: tuple[str, str], model: str = "reference", task: str = "mini-dart") -> Path:
    text = FILE.format(model=model, task=task)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def laid(path: Path, overrides: Overrides | None = None) -> Study:
    return lay_out(preset(str(path)), "smoke", overrides)


def no_model(folder: Path) -> Path:
    """A folder that is there and holds no model."""
    (folder / "absent").mkdir()
    return folder / "absent"


SMOKE = "[smoke]\n"
ROOM = ("max_new_tokens = 4, ", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "[1, 2]",
            "[]",
            "The part lengths is laid out over length, of which the scale smoke has no values; give axes =",
        ),
        ("[1, 2]", "[2, 2]", "The length of the scale smoke hold '2' twice"),
        ("length = [1", "width = [1", "There is no entry of scale.axes 'width'. Known: adaptation, init, length"),
        ('models = { m = "reference" }', "models = {}", "scale.models is a table, but must be a table of one or"),
        ('t = "mini-dart"', 't = "mini-drat"', "There is no task 'mini-drat'; did you mean 'mini-dart'?"),
        ('t = "mini-dart"', 't = "mini-dart", u = "mini-dart"', "The tasks of the scale smoke hold 'mini-dart' twice"),
        ('"pt", "ipt"', '"pt", "iptt"', "There is no method 'iptt'; did you mean 'ipt'? Known: few, full-ft, gate-"),
        ('"icl-1"', '"icl-1", "icl"', "The methods of the part line hold 'icl' twice"),
        ('"icl-1"', '"gate-similarity"', "name pt and ipt before it"),
        ('"line"', '"line"\nmodels = ["n"]', "There is no entry of models of any scale 'n'. Known: m."),
        ('"line"', '"line"\ntasks = ["u"]', "There is no entry of tasks of any scale 'u'. Known: t."),
        ('"line"', '"line"\ntrain_on = "u"', "There is no task that the part line could be trained on, 'u'"),
        ('"line"', '"line"\ncarries = "lengths"', "There is no part before 'line' that it could carry, 'lengths'."),
        (
            '"pt", "ipt"',
            '"pt", "ipt", "gate-similarity"]\nsplit = "dev"\nmodels = ["m"',
            'says split = "dev", and a gate',
        ),
        (
            '"pt", "ipt"',
            '"pt", "ipt", "gate-certainty"]\ntrain_on = "t"\nmodels = ["m"',
            "gate-certainty and says train_on",
        ),
        ('"lengths"', '"lengths"\ncarries = "line"', "The part lengths has no cell at the scale smoke"),
        (SMOKE, SMOKE + "parts = { lnes = { skip = true } }\n", "did you mean 'line'"),
        (SMOKE, SMOKE + "each = { u = { limit = 3 } }\n", "There is no task of the scale smoke 'u'"),
        ("limit = 4", 'model = "x"', "The settings of a scale say model, which the grid lays out itself"),
        ("limit = 4", "folds = 3", "The settings of a scale say folds"),
        ("limit = 4", 'data = "./other.csv"', "The settings of a scale say data, which the grid lays out itself"),
        ('["length"]', '["length", "length"]', "The questions hold 'length' twice"),
        ('title = "Mine"', 'name = "../mine"\ntitle = "Mine"', "which names files"),
        ('t = "mini-dart"', 't = "no/such.csv"', "names the data 'no/such.csv', and nothing of that name is there"),
        ('m = "reference"', 'm = "./nomodel"', "names the model './nomodel', and nothing of that name is there"),
        ("max_steps = 2", 'max_steps = 2, init = "nope"', "There is no init 'nope'"),
        ('title = "Mine"\n', "", "There is no title, and it must be text that is not empty; give it as title = ..."),
    ],
)
def test_what_a_file_says_and_nothing_has_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ForewordError) as refused:
        laid(save(tmp_path, (old, new)))
    assert says in str(refused.value)


def test_a_comparison_of_the_same_folder_is_kept(tmp_path: Path) -> None:
    """Its report was written over without a word."""
    out, path = tmp_path / "out", save(tmp_path, ("[1, 2]", "[1]"), ('"pt", "ipt"', '"pt"'), model="reference-small")
    run = ("--model", "reference-small", "--task", "mini-dart", "--methods", "zero,icl", "--limit", 2)
    assert entry.foreword("compare", *run, "--max-new-tokens", 2, "--seeds", 0, "--out", out).code == 0
    report = (out / "report.html").read_bytes()
    lines: list[str] = []
    carry_out(laid(path), Job(out, "mine"), say=lines.append)
    (earlier,) = (out / "earlier").iterdir()
    assert (earlier / "report.html").read_bytes() == report and any(str(earlier) in line for line in lines)
    lines.clear()
    carry_out(laid(path), Job(out, "mine"), say=lines.append)
    assert len(list((out / "earlier").iterdir())) == 1 and not any("comparison" in line for line in lines)


def test_what_is_for_a_run_is_refused_where_a_study_is_shown(tmp_path: Path) -> None:
    for argv in (("--retry-failed",), ("--limit", 3), ("--dry-run",), ("--model", "reference")):
        entry.refused("study", "show", tmp_path, *argv, says=(f"`study show` shows what is there, and {argv[0]}",))


def test_one_model_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="--models names 'a' twice"):
        laid(save(tmp_path), Overrides(models=("a", "a")))


def test_a_model_by_the_name_of_another_is_refused(tmp_path: Path) -> None:
    """Of two models named so, one was left out without a word."""
    with pytest.raises(ForewordError, match="--models names 'm', as mine calls another of them"):
        laid(save(tmp_path), Overrides(models=("a", "m")))


def test_an_unknown_question_is_refused_before_anything_is_priced(tmp_path: Path) -> None:
    path = save(tmp_path, ('questions = ["length"]', 'questions = ["lenght"]'))
    ran = entry.foreword("study", path, "--dry-run")
    assert ran.code == 2 and "There is no question 'lenght'; did you mean 'length'" in ran.err


def test_some_of_a_studys_tasks_are_still_trained_on_its_own() -> None:
    shift = lay_out(preset("lester2021-domain-shift"), "smoke", Overrides(tasks=("textbookqa",)))
    assert {cell.at.task for cell in shift.cells} == {"mini-news"}
    assert {cell.train_on for cell in shift.cells} == {("mini-squad",)}, "not the real SQuAD"


@pytest.mark.parametrize("name", names())
def test_a_preset_says_which_seeds_it_has(name: str) -> None:
    own = preset(name)
    seeds = sorted({cell.at.seed for cell in lay_out(own, "full").cells})
    words = {(0, 1, 2): "0, 1 and 2.", (0, 1, 2, 3, 4): "0 to 4.", (0,): "0 alone."}
    assert own.decisions.get("seeds", words[tuple(seeds)]) == words[tuple(seeds)]


def examples(path: Path, last: str = "blue") -> Path:
    rows = [f"{n} {colour} boats,boat:{n}:{colour}" for colour in ("red", "green", last) for n in range(2, 12)]
    path.write_text("input,target\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_ones_own_examples_are_a_task_and_known_by_their_contents(tmp_path: Path) -> None:
    model, data = entry.save_model(tmp_path / "bloom", "bloom"), examples(tmp_path / "mine.csv")
    path, out = save(tmp_path, ROOM, model=str(model), task=str(data)), tmp_path / "out"

    def run() -> list[str]:
        lines: list[str] = []
        carry_out(laid(path), Job(out, "mine"), say=lines.append)
        return lines

    assert len(run()) == 5 and run() == []
    cells = read(out, "mine").cells
    assert {cell.at.task for cell in cells} == {str(data)} and {cell.state for cell in cells} == {"done"}
    assert {record.task for cell in cells if (record := cell.record)} == {"mine"}
    before = {cell.record.key for cell in cells if cell.record}
    os.utime(data, (5, 5))
    assert len(run()) == 5 and {cell.record.key for cell in read(out, "mine").cells if cell.record} == before
    examples(data, "white")
    assert len(run()) == 5
    assert not before & {cell.record.key for cell in read(out, "mine").cells if cell.record}, "other examples"


def test_a_carried_prompt_is_looked_at_again_with_the_cell_that_tuned_it(tmp_path: Path) -> None:
    model, data = entry.save_model(tmp_path / "bloom", "bloom"), examples(tmp_path / "mine.csv")
    parts = '\n[[parts]]\nname = "carried"\nmethods = ["ipt"]\ncarries = "lengths"\n\n[smoke]\n'
    tasks = ('tasks = { t = "mini-dart" }', f'tasks = {{ t = "mini-dart", own = "{data}" }}')
    path, out = save(tmp_path, ROOM, (SMOKE, parts), tasks, ("[1, 2]", "[1]"), model=str(model)), tmp_path / "out"

    def keys() -> dict[str, str]:
        carry_out(laid(path), Job(out, "mine"))
        cells = read(out, "mine").cells
        return {c.id: c.record.key for c in cells if c.record and c.at.part == "carried"}

    before = keys()
    examples(data, "white")
    after = keys()
    assert len(before) == 4 and before.keys() == after.keys()
    changed = {place for place in before if before[place] != after[place]}
    assert changed == set(before), "each either answers the other examples or carries what was tuned on them"


def test_a_cell_whose_soft_prompt_is_gone_is_run_again(tmp_path: Path) -> None:
    """The cell stood as done, so what carried its prompt failed at each run, with --retry-failed too."""
    path, out = save(tmp_path, model=str(entry.save_model(tmp_path / "bloom", "bloom"))), tmp_path / "out"
    carry_out(laid(path), Job(out, "mine"))
    (out / "prompts").rename(out / "elsewhere")
    carried = '\n[[parts]]\nname = "carried"\nmethods = ["ipt"]\ncarries = "lengths"\n\n[smoke]\n'
    task = ('tasks = { t = "mini-dart" }', 'tasks = { t = "mini-dart", u = "mini-mtop" }')
    lines: list[str] = []
    assert (
        carry_out(
            laid(save(tmp_path, (SMOKE, carried), task, model=str(tmp_path / "bloom"))),
            Job(out, "mine"),
            say=lines.append,
        ).failed
        == 0
    )
    assert not [line for line in lines if "icl seed 0" in line and line.startswith("mini-dart")]
    prompts = {path.name for path in (out / "prompts").iterdir()}
    assert {path.name for path in (out / "elsewhere").iterdir()} < prompts


def test_a_task_is_read_anew_where_a_part_words_it_otherwise(tmp_path: Path) -> None:
    path = save(tmp_path, ('"line"', '"line"\nrun = { extract = "(.)" }'))
    bench = Bench(tmp_path)
    line, other = laid(path).cells[:2]
    assert bench.run_of(line) != Run(model="reference")
    assert bench._task(line, "mini-dart").template.extract == "(.)"
    assert bench._task(other, "mini-dart").template.extract != "(.)"


def test_two_runs_of_one_folder_share_the_work(tmp_path: Path) -> None:
    path, out = save(tmp_path, model=str(entry.save_model(tmp_path / "bloom", "bloom"))), tmp_path / "out"
    command = [sys.executable, "-m", "foreword", "study", str(path), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        assert carry_out(laid(path), Job(out, "mine")).failed == 0 and other.wait(120) == 0
    assert {cell.state for cell in read(out, "mine").cells} == {"done"} and not (out / "claims").exists()
    assert len(list((out / "records").iterdir())) == 5


@pytest.mark.parametrize("damage", ['{"state": "done", "other": 1}', "{", "[]"])
def test_a_damaged_state_names_its_file(damage: str, tmp_path: Path) -> None:
    path = save(tmp_path, ('methods = ["pt", "ipt"]', 'methods = ["zero"]'), model=str(no_model(tmp_path)))
    out = tmp_path / "out"
    carry_out(laid(path), Job(out, "mine"))
    state = next((out / "cells").iterdir())
    state.write_text(damage, encoding="utf-8")
    ran = entry.foreword("study", "show", out)
    assert ran.code == 2 and state.name in ran.err


def test_a_damaged_study_names_its_file(tmp_path: Path) -> None:
    path, out = save(tmp_path, model=str(no_model(tmp_path))), tmp_path / "out"
    carry_out(laid(path), Job(out, "mine"))
    document = out / "studies" / "mine.json"
    document.write_text(document.read_text(encoding="utf-8").replace('"scale"', '"scales"'), encoding="utf-8")
    ran = entry.foreword("study", "show", out)
    assert ran.code == 2 and "mine.json is not of the shape this version writes" in ran.err
    assert entry.foreword("study", path, "--out", out, "--jobs", "-1").code == 2


def test_a_study_whose_cells_all_failed_has_its_page_and_site(tmp_path: Path) -> None:
    path, out = save(tmp_path, model=str(no_model(tmp_path))), tmp_path / "out"
    ran = entry.foreword("study", path, "--out", out)
    assert ran.code == 3 and "5 failed; --retry-failed" in ran.out
    assert "What failed" in (out / "report.html").read_text(encoding="utf-8")
    assert entry.foreword("report", out, "--out", tmp_path / "site").code == 0


def test_a_device_that_is_named_is_that_of_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    devices = [
        _devices(Job(Path("out"), "mine", device, workers=n)) for device, n in (("cuda:1", 2), ("cuda", 5), ("", 0))
    ]
    assert devices[0] == ["cuda:1", "cuda:1"]
    assert devices[1:] == [["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:0"], ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]]


def test_cells_that_another_command_leaves_out_are_told_and_their_report_is_kept(tmp_path: Path) -> None:
    model, other = (str(entry.save_model(tmp_path / name, "bloom")) for name in ("bloom", "other"))
    path, out = save(tmp_path, ('"pt", "ipt"', '"zero"'), ('over = ["length"]', ""), model=model), tmp_path / "out"
    ran = entry.foreword("study", path, "--out", out)
    assert ran.code == 0 and "does not ask for" not in ran.err
    document, page = ((out / name).read_bytes() for name in ("studies/mine.json", "report.html"))
    records = sorted((out / "records").iterdir())
    ran = entry.foreword("study", path, "--out", out, "--models", other)
    says = f"{out} holds 2 finished cells of mine that this command does not ask for (the model {model})"
    assert ran.code == 0 and says in ran.err.replace("\n", " ")
    (folder,) = (out / "earlier").iterdir()
    assert (folder / "mine.json").read_bytes() == document and (folder / "report.html").read_bytes() == page
    lines: list[str] = []
    carry_out(laid(path, Overrides(models=(model, other))), Job(out, "mine"), say=lines.append)
    assert lines == [] and {cell.at.model for cell in read(out, "mine").cells} == {model, other}, "both, without a run"
    assert set(records) <= set((out / "records").iterdir())
    carry_out(laid(path, Overrides(models=(model,), run={"limit": 2})), Job(out, "mine"), say=lines.append)
    assert f"(the model {other} and other settings)" in lines[0] and len(lines) == 3


def test_what_has_no_soft_prompt_is_one_cell_along_its_axes(tmp_path: Path) -> None:
    """Each length had an ICL of its own; all were run, and then no question could say which of them is the level."""
    path = save(tmp_path, ('"pt", "ipt"', '"icl-1", "pt", "lora"'))
    cells = [cell for cell in laid(path).cells if cell.at.part == "lengths"]
    assert [(cell.at.label, cell.at.length) for cell in cells] == [("icl", None), ("pt", 1), ("lora", None), ("pt", 2)]
    assert "length" not in cells[0].paper
