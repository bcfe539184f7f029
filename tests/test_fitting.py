"""Inputs beyond the window: a built-in task leaves them out, counts them and says so everywhere; a user's own are refused."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import entry
import lookalike
import tiny
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.prompts.layout import Layout
from foreword.prompts.methods import METHODS
from foreword.report.table import render
from foreword.results.record import Record
from foreword.results.scored import scored
from foreword.study.compare import carry_out
from foreword.study.fitting import fitting
from foreword.study.plan import plan
from foreword.study.resolve import task_of
from foreword.util.errors import ForewordError, TooLongError

LONG = "ba lo ri " * 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookalike.write(tmp_path_factory.mktemp("data"))


def run(out: Path, **more: Any) -> Run:
    tuning = Tuning(max_steps=2, eval_every=1, batch_size=4, prompt_length=more.pop("prompt_length", 3))
    settings: dict[str, Any] = {"methods": ["zero", "pt"], "seeds": [0], "max_new_tokens": 4, "out": str(out)}
    return Run(model="tiny", tuning=tuning, **(settings | more))


def whole(name: str, long: bool = False, **facts: Any) -> Example:
    return Example(name, {"input": f"{LONG if long else ''}{name}"}, ("na",), facts=facts)


def test_a_built_in_task_leaves_out_what_does_not_fit(root: Path, tmp_path: Path) -> None:
    settings = run(tmp_path, task="boolq", data_dir=str(root), prompt_length=18, instruction="")
    before = task_of(settings)
    planned = plan(settings, backbone=tiny.backbone("llama"))
    counts = {split: (len(before.split(split)), len(planned.task.split(split))) for split in SPLITS}
    assert all(0 < remaining <= total for total, remaining in counts.values())
    assert counts["test"][1] < counts["test"][0]
    outcome = carry_out(planned)
    left = {split: total - remaining for split, (total, remaining) in counts.items() if remaining < total}
    phrases = [f"{count} of {counts[split][0]} {split}" for split, count in left.items()]
    (note,) = [note for note in outcome.summary.notes if note.startswith("Left out")]
    assert "window of 160 positions" in note and all(phrase in note for phrase in phrases)
    assert outcome.summary.examples == counts["test"][1]
    answered_ids = {tuple(answer.id for answer in record.answers) for record in outcome.records}
    assert answered_ids == {tuple(example.id for example in planned.task.test)}, (
        "every method answers the same examples"
    )
    for record in outcome.records:
        saved = Record.read(tmp_path / "records" / f"{record.key}.json")
        assert note in saved.notes and set(planned.task.remarks) <= set(saved.notes)
    assert note in outcome.report.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))["notes"].count(note) == 1
    with pytest.raises(TooLongError, match="--too-long drop"):
        plan(settings.model_copy(update={"too_long": "refuse"}), backbone=tiny.backbone("llama"))


def test_where_nothing_fits_one_sentence_says_what_to_do(root: Path, tmp_path: Path) -> None:
    settings = run(tmp_path, task="totto", data_dir=str(root))
    with pytest.raises(ForewordError, match=r"No example of the train split fits .* \(160 positions\).*larger window"):
        plan(settings, backbone=tiny.backbone("llama"))


def test_a_users_own_are_refused_unless_they_say_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"input": f"{LONG if n == 7 else 'ba'} {n}", "target": "na"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = run(tmp_path / "out", data=str(path))
    with pytest.raises(TooLongError, match="Example 'row-8' needs"):
        plan(settings, backbone=tiny.backbone("llama"))
    task = plan(settings.model_copy(update={"too_long": "drop"}), backbone=tiny.backbone("llama")).task
    assert sum(len(task.split(split)) for split in SPLITS) == 39


def test_a_group_is_left_out_whole(tmp_path: Path) -> None:
    test = tuple(whole(f"q{n}.{k}", long=(n, k) == (2, 1), group=f"q{n}") for n in range(4) for k in range(3))
    task = Task("t", (whole("a"),), (whole("b"),), test)
    fitted = fitting(run(tmp_path, task="multirc"), tiny.backbone("llama"), task, [METHODS["zero"]])
    assert [example.id for example in fitted.test] == [example.id for example in test if example.group != "q2"]
    assert "3 of 12 test examples" in fitted.notes[-1] and "train" not in fitted.notes[-1]


def test_the_longest_of_the_methods_decides(tmp_path: Path) -> None:
    """What fits behind no soft prompt and does not behind one is left out for both."""
    task = Task("t", (whole("a"),), (whole("b"),), tuple(whole("ba " * n) for n in range(1, 160, 5)))
    backbone = tiny.backbone("llama")
    sizes = [
        len(fitting(run(tmp_path, task="x", prompt_length=40), backbone, task, methods).test)
        for methods in ([METHODS["zero"]], [METHODS["pt"]], [METHODS["zero"], METHODS["pt"], METHODS["ipt"]])
    ]
    assert sizes[0] > sizes[1] == sizes[2] > 0


def test_a_choice_keeps_room_for_the_longest_choice_only(tmp_path: Path) -> None:
    """No token of a choice is generated: 100 tokens that an answer may have are no reason to leave an input out."""
    backbone = tiny.backbone("llama")
    free = [whole("ba " * n) for n in range(1, 160, 5)]
    closed = [replace(example, choices=("na", "lo ri")) for example in free]
    settings = run(tmp_path, task="x", max_new_tokens=100)
    sizes = [
        len(fitting(settings, backbone, Task("t", (whole("a"),), (whole("b"),), tuple(test)), [METHODS["zero"]]).test)
        for test in (free, closed)
    ]
    assert 0 < sizes[0] < sizes[1] < len(free)
    layout = Layout(backbone, Template(), METHODS["zero"], soft=0, reserve=100)
    assert layout.answer_room(free[0]) == 100
    assert layout.answer_room(closed[0]) == max(len(backbone.answer_ids(f" {choice}")) for choice in ("na", "lo ri"))


def test_show_takes_the_first_example_that_is_answered(root: Path, tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    command = ("show", "-m", model, "-t", "boolq", "--data-dir", root, "--method", "pt", "--prompt-length", 21)
    result = entry.foreword(*command, "--json")
    assert result.code == 0, result.err
    first = task_of(run(tmp_path, task="boolq", data_dir=str(root))).test[0].id
    assert result.json["example"] != first and result.json["tokens"] + result.json["reserve"] <= 160
    entry.refused(*command, "--example", first, says=(first, "positions"))


def test_named_subsets_have_scores_of_their_own(tmp_path: Path) -> None:
    answers = ("na", "ba", "lo")
    test = [
        Example(f"e{n}", {"input": f"{n}"}, (answers[n % 3],), facts={"subset": "even" if n % 2 == 0 else "odd"})
        for n in range(9)
    ]
    task = Task("t", (whole("a"),), (whole("b"),), tuple(test))
    settings = run(tmp_path, task="x")
    outcome = carry_out(plan(settings, backbone=tiny.backbone("llama"), task=task))
    assert outcome.summary.subsets == {"even": 5, "odd": 4}
    for record in outcome.records:
        assert [answer.subset for answer in record.answers] == ["even", "odd"] * 4 + ["even"]
        row = outcome.summary.row(record.label)
        for name, size in outcome.summary.subsets.items():
            right = [answer.output == answer.targets[0] for answer in record.answers if answer.subset == name]
            assert len(right) == size and row.subsets[name] == pytest.approx(100 * sum(right) / size)
    document = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert document["subsets"] == {"even": 5, "odd": 4} and set(document["rows"][0]["subsets"]) == {"even", "odd"}
    assert "even (5 examples)" in outcome.report.read_text(encoding="utf-8")
    page = io.StringIO()
    Console(file=page, width=80).print(render(outcome.summary))
    assert re.search(r"even\s+odd *\n by subset\s+\(5\)\s+\(4\)", page.getvalue())
    parts = scored(outcome.records[0])["subsets"]
    assert parts["odd"] == {"examples": 4, "score": outcome.summary.row("zero").subsets["odd"]}
