"""Whether ours was trained as the paper's was: what differs is said, and what differs cannot agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import study_pages
from foreword.report.study import study_page
from foreword.results.cells import Entry
from foreword.results.judged import judge, rule, stand_ins, trained_otherwise
from foreword.results.papers import paper
from foreword.study import stored
from foreword.study.grid import lay_out
from foreword.study.preset import names, preset
from foreword.study.recorded import recipe_of
from foreword.study.resolve import row_of

AT = {"model": "t5-small", "method": "pt", "task": "superglue", "length": "25"}
TRAINED = {
    "length": "100", "init": "labels", "optimizer": "adafactor", "learning rate": "0.3", "batch size": "32", "steps": "30000",
}  # fmt: skip
EIGHT = "boolq+cb+copa+multirc+record+rte+wic+wsc"
ENTRY = Entry(
    score=58.5, spread=0.2, ci95=(58.2, 58.8), seeds=3, seeds_planned=3, examples=900, examples_planned=None, metric="mean over tasks",
    model="google/t5-small-lm-adapt", task=EIGHT, paper=AT, cells=("a",), recipes={"boolq": TRAINED, "rte": TRAINED},
)  # fmt: skip
NUMBER = paper("lester2021").number("lester2021-scale", AT)


def test_the_papers_own_recipe_can_agree() -> None:
    assert trained_otherwise(ENTRY, NUMBER) == [] and judge(ENTRY, NUMBER).word == "agrees"
    words = TRAINED | {"init": "text"}
    assert trained_otherwise(replace(ENTRY, recipes={"record": words, "wsc": words}), NUMBER) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"length": "25"}, "25 prompt tokens for 100"),
        ({"steps": "40"}, "40 steps for 30,000"),
        ({"batch size": "8"}, "batches of 8 for 32"),
        ({"learning rate": "0.1"}, "learning rate 0.1 for 0.3"),
        ({"optimizer": "adamw"}, "optimizer adamw for adafactor"),
        ({"init": "vocab"}, "init vocab for labels"),
        ({"place": "behind"}, "place behind for front"),
        ({"checkpoint by": "loss"}, "checkpoint by loss for metric"),
        ({"training examples": "1000"}, "1,000 training examples for 9,427"),
    ],
)
def test_what_was_trained_otherwise_is_said_and_cannot_agree(changes: dict[str, str], text: str) -> None:
    entry = replace(ENTRY, recipes={"boolq": TRAINED | changes, "rte": TRAINED | changes})
    verdict = judge(entry, NUMBER)
    assert verdict.word == "cannot say" and verdict.reason.startswith("other settings: ") and text in verdict.reason
    assert verdict.reason.count(text) == 1, "once, however many tasks"


def test_a_limit_above_the_papers_training_split_is_none() -> None:
    assert trained_otherwise(replace(ENTRY, recipes={"boolq": TRAINED | {"training examples": "9427"}}), NUMBER) == []


def test_the_axis_of_a_figure_is_its_own_setting() -> None:
    at = AT | {"length": "5"}
    number = paper("lester2021").number("lester2021-length", at)
    assert number is not None
    assert trained_otherwise(replace(ENTRY, paper=at, recipes={"boolq": TRAINED | {"length": "5"}}), number) == []
    assert trained_otherwise(replace(ENTRY, paper=at, recipes={"boolq": TRAINED}), number) == [
        "100 prompt tokens for 5"
    ]
    random = paper("lester2021").number("lester2021-init", AT | {"init": "random"})
    assert trained_otherwise(replace(ENTRY, recipes={"boolq": TRAINED | {"init": "random"}}), random) == []


def test_steps_of_five_epochs_and_the_retriever_are_the_tasks_own() -> None:
    at = {"model": "bloom-1b1", "method": "ipt", "task": "dart"}
    number = paper("sun2023").number("sun2023-main", at)
    ours = {
        "length": "25",
        "init": "random",
        "reparameterisation": "mlp",
        "optimizer": "adamw",
        "batch size": "8",
        "steps": "39162",
    }
    entry = replace(ENTRY, paper=at, task="dart", recipes={"dart": ours | {"retriever": "dense"}})
    assert trained_otherwise(entry, number) == []
    entry = replace(entry, recipes={"dart": ours | {"retriever": "bm25", "reparameterisation": "none"}})
    assert trained_otherwise(entry, number) == ["reparameterisation none for mlp", "retriever bm25 for dense"]


@pytest.mark.parametrize(("method", "usual"), [("ipt", "1"), ("icl-1", "1"), ("icl-3", "3"), ("icl-random-1", "1")])
def test_another_number_of_demonstrations_is_another_setting(method: str, usual: str) -> None:
    at = {"model": "bloom-1b1", "method": method, "task": "dart"}
    number = paper("sun2023").number("sun2023-main", at)
    entry = replace(ENTRY, paper=at, task="dart", recipes={"dart": {"demonstrations": usual}})
    assert trained_otherwise(entry, number) == []
    other = replace(entry, recipes={"dart": {"demonstrations": "2"}})
    assert trained_otherwise(other, number) == [f"2 demonstrations for {usual}"]


@pytest.mark.parametrize("task", ["data/dart", "./dart", "me/dart", "dart.jsonl", "../superglue"])
def test_a_users_own_examples_are_never_the_papers(task: str) -> None:
    theirs = "superglue" if "superglue" in task else "dart"
    at = {"model": "bloom-1b1", "method": "icl-1", "task": theirs}
    number = paper("sun2023").number("sun2023-main", at | {"task": "dart"})
    entry = replace(ENTRY, model="bigscience/bloom-1b1", paper=at, task=task)
    assert stand_ins(entry, number) == [f"{task} for {theirs}"]
    assert stand_ins(replace(entry, task="dart", paper=at | {"task": "dart"}), number) == []


def test_the_task_that_was_trained_on_is_the_one_whose_examples_count() -> None:
    at = {"model": "t5-xxl", "method": "full-ft", "task": "re", "source": "squad"}
    number = paper("lester2021").number("lester2021-domain-shift", at)
    own = {"optimizer": "adafactor", "learning rate": "0.001", "batch size": "128", "training examples": "2948"}
    entry = replace(ENTRY, paper=at, task="mrqa_relation_extraction", recipes={"re": own})
    assert trained_otherwise(entry, number) == ["2,948 training examples for 87,599"]


def test_a_count_needs_no_training() -> None:
    at = {"model": "t5-small", "method": "pt", "length": "100"}
    number = paper("lester2021").number("lester2021-parameters", at)
    count = replace(ENTRY, paper=at, score=51200.0, ci95=None, unit="numbers", recipes={"rte": {"steps": "0"}})
    assert judge(count, number).word == "agrees"


def test_a_checkpoint_of_the_other_kind_stood_in() -> None:
    plain = replace(ENTRY, model="google/t5-v1_1-small")
    assert stand_ins(plain, NUMBER) == ["google/t5-v1_1-small for t5-small-lm-adapt"]
    tuned = paper("lester2021").number("lester2021-scale", AT | {"method": "full-ft"})
    assert stand_ins(replace(plain, paper=AT | {"method": "full-ft"}), tuned) == []
    for axis, value in (("objective", "span"), ("adaptation", "0")):
        at = {"model": "t5-small", "task": "superglue", axis: value}
        number = paper("lester2021").number(f"lester2021-{axis}", at)
        assert stand_ins(replace(plain, paper=at), number) == [] and stand_ins(replace(ENTRY, paper=at), number) != []


def test_a_record_says_how_it_was_trained() -> None:
    record = study_pages.record("ipt", "dart", 0)
    tuning = {
        "prompt_length": 25, "init": "vocab", "reparameterisation": "none", "optimizer": "adamw", "learning_rate": 0.3, "batch_size": 8,
        "max_steps": 40, "select_by": "metric", "place": "append",
    }  # fmt: skip
    method = {"demonstrations": "retrieved", "retriever": "bm25", "soft": True, "k": 2}
    done = replace(record, spec={"method": method, "tuning": tuning}, curve=({"step": 20.0, "dev": 1.0},))
    assert recipe_of(done, 1000) == {
        "retriever": "bm25", "length": "25", "init": "vocab", "reparameterisation": "none", "optimizer": "adamw", "learning rate": "0.3",
        "batch size": "8", "steps": "20", "training examples": "1000", "demonstrations": "2", "checkpoint by": "metric", "place": "behind",
    }  # fmt: skip
    whole = replace(done, spec={"method": method | {"soft": False, "demonstrations": "none"}, "tuning": tuning})
    only = {"length", "init", "retriever", "place", "demonstrations"}
    assert not recipe_of(whole).keys() & only, "what only a soft prompt has is of no other"
    assert "steps" not in recipe_of(replace(done, spec={"method": method, "tuning": tuning | {"max_steps": 0}}))


@pytest.mark.parametrize("name", [name for name in names() if "full" in preset(name).scales])
def test_every_preset_at_full_scale_asks_for_the_papers_own_recipe(name: str) -> None:
    """What a record will say of itself, by the settings that it is asked with, is what the paper's number says."""
    laid = lay_out(preset(name), "full")
    ours = paper(preset(name).paper)
    for cell in laid.cells:
        numbers = [ours.number(name, dict(cell.paper) | {"task": task}) for task in (cell.paper["task"], "superglue")]
        for number in (number for number in numbers if number is not None):
            run = cell.settings()
            tuning = run.tuning.stored()
            if cell.at.length is None:
                tuning["learning_rate"] = run.model_learning_rate
            soft, shown = cell.at.length is not None, cell.at.label.startswith(("icl", "ipt"))
            row = row_of(run, cell.at.label) if cell.at.label in run.methods else None
            method = {"soft": soft, "demonstrations": "retrieved" if shown else "none", "retriever": run.retriever}
            method["k"] = row.k if row is not None else 0
            spec = {
                "method": method,
                "tuning": tuning if cell.paper["method"] in ("pt", "ipt", "full-ft", "multi-task") else None,
            }
            if cell.at.label == "icl:random":
                spec["method"]["retriever"] = ""
            record = replace(study_pages.record("pt", "dart", 0), spec=spec, curve=())
            entry = replace(ENTRY, paper=cell.paper, recipes={cell.paper["task"]: recipe_of(record)})
            assert trained_otherwise(entry, number) == [], (cell.paper, number.place)


def test_a_cell_shows_what_differs() -> None:
    page = study_pages.scale()
    curve = page.answers["scale"][0]
    panel = curve.panels[0]  # type: ignore[union-attr]
    lines = tuple(
        replace(
            line,
            points=tuple((x, replace(e, recipes={"boolq": {"length": "25", "steps": "40"}})) for x, e in line.points),
        )
        for line in panel.series
    )
    other = replace(curve, panels=(replace(panel, series=lines),))  # type: ignore[type-var]
    html = study_page([replace(page, answers={"scale": (other,)})])
    assert html.count("other settings: 25 prompt tokens for 100; 40 steps for 30,000") == 6, (
        "in each of PT's cells, twice"
    )
    many = {"length": "25", "steps": "40", "batch size": "8"}
    lines = tuple(
        replace(line, points=tuple((x, replace(e, recipes={"boolq": many})) for x, e in line.points))
        for line in panel.series
    )
    other = replace(curve, panels=(replace(panel, series=lines),))  # type: ignore[type-var]
    html = study_page([replace(page, answers={"scale": (other,)})])
    assert html.count("3 settings differ, listed below") == 3 and html.count("batches of 8 for 32; 40 steps") == 3
    assert "steps" in rule() and "prompt length" in rule()
    assert "other settings: " not in study_page([page])


def test_a_finished_cell_knows_its_limit_of_training_examples(tmp_path: Path) -> None:
    laid = lay_out(preset("sun2023-main"), "smoke")
    stored.keep(tmp_path, laid, "foreword study")
    folder = stored.Folder(tmp_path)
    record = study_pages.record("zero", "totto", 0)
    record.write(folder.record_path(record.key))
    folder.end(laid.cells[0].id, stored.State("done", record.key))
    done, *others = stored.read(tmp_path, "sun2023-main").cells
    assert (done.state, done.train_limit) == ("done", 1000) and all(cell.train_limit is None for cell in others)
