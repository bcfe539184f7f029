"""What a study says rests on what it has: the paper's numbers by every metric, one seed, several claims, intervals inside the scale."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

import entry as cli
import study_pages
from foreword.metrics import metric
from foreword.report.study import study_page
from foreword.report.study.figures import pictures
from foreword.report.study.held import hold
from foreword.report.study.marks import INTERVALS, log_ticks
from foreword.results.cells import Bins, Cell, Coordinates, Curve, Entry, Table, Test
from foreword.results.judged import metric_key
from foreword.results.papers import PAPERS, paper
from foreword.results.record import Answer, DemonstrationRef, Record
from foreword.study import stored
from foreword.study.grid import Overrides, lay_out
from foreword.study.measure import combined, entry
from foreword.study.preset import names, preset
from foreword.study.price import price, settings
from foreword.study.questions import QUESTIONS
from foreword.study.questions.scale import over_tasks
from foreword.study.recorded import numbers_of

LABELS = ("duplicate", "not_duplicate")
EXAMPLES = 60


def record(method: str, task: str, right: float, seed: int, metrics: tuple[str, ...], rising: float = 0.0) -> Record:
    """A trial on two labels that gets this share right, scored by these metrics, of which the numbers of the first are kept."""
    rng = Random(f"{method}/{task}/{seed}")
    targets = [(LABELS[n % 2],) for n in range(EXAMPLES)]
    hits = [rng.random() < right + rising * (n / EXAMPLES - 0.5) for n in range(EXAMPLES)]
    outputs = [t[0] if hit else LABELS[t[0] == LABELS[0]] for t, hit in zip(targets, hits, strict=True)]
    first = metric(metrics[0]).statistics(outputs, targets)
    shown = method == "ipt"
    answers = tuple(
        Answer(
            f"e{n}", "", output, targets[n], {metrics[0]: 100.0 * hits[n]}, {metrics[0]: list(map(float, first[n]))},
            (DemonstrationRef("d", "text", n / EXAMPLES),) if shown else (),
        )
        for n, output in enumerate(outputs)
    )  # fmt: skip
    scores = {name: metric(name).score(outputs, targets) for name in metrics}
    base = study_pages.record("pt", "dart", seed)
    key = hashlib.sha256(f"{method}{task}{seed}".encode()).hexdigest()[:24]
    return replace(
        base, key=key, task=task, label=method, primary=metrics[0], scores=scores, answers=answers, deterministic=False
    )


def cell(method: str, task: str, right: float, seed: int = 0, **options: Any) -> Cell:
    metrics = options.pop("metrics", ("accuracy", "qqp_f1"))
    rising = options.pop("rising", 0.0)
    at = {"model": options.pop("model", "t5-xxl"), "task": task, "method": method} | options.pop("paper", {})
    place = Coordinates("grid", f"our-{at['model']}", f"mini-{task}", method, seed)
    id_ = hashlib.sha256(str([place, at]).encode()).hexdigest()[:24]
    shape = options.pop("shape", {})
    return Cell(
        id_, place, at, "done", record(method, f"mini-{task}", right, seed, metrics, rising), "", EXAMPLES, shape
    )


def answers_to(question: str, cells: list[Cell], study: str) -> tuple[Any, ...]:
    return QUESTIONS[question](cells, preset(study), Path("nowhere"))


def held(table: Table, study: str) -> dict[tuple[str, ...], list[Any]]:
    ours = paper("lester2021")
    return {row.head: [hold(e, ours, study).number for e in row.entries if isinstance(e, Entry)] for row in table.rows}


def test_every_metric_of_paraphrase_transfer_stands_beside_the_papers() -> None:
    cells = [
        cell(method, task, 0.7, seed, paper={"source": source})
        for source, task in (("qqp", "mrpc"), ("mrpc", "qqp"))
        for method in ("pt", "full-ft")
        for seed in (0, 1)
    ]
    table, claim = answers_to("paraphrase", cells, "lester2021-paraphrase")
    values = [number.value for numbers in held(table, "lester2021-paraphrase").values() for number in numbers]
    assert sorted(values) == [69.7, 70.9, 73.1, 74.9, 75.4, 76.3, 81.2, 84.3], "all of table 2"
    assert all(e.ci95 is not None for row in table.rows for e in row.entries), "F1's interval too, from the answers"
    assert claim.adjusted == "Holm over rows" and claim.cases == (0, 2)


def test_every_metric_of_an_ensemble_stands_beside_the_papers() -> None:
    metrics = ("accuracy", "cb_f1")
    cells = [cell("pt", task, 0.7, seed, metrics=("accuracy",)) for task in ("boolq", "rte") for seed in range(5)]
    table, above, best = answers_to("ensemble", cells, "lester2021-ensemble")
    numbers = held(table, "lester2021-ensemble")
    assert [n.value for n in numbers["our-t5-xxl", "mini-boolq", "accuracy"]] == [91.1, 91.3, 91.7]
    assert [n.value for n in numbers["our-t5-xxl", "all", "mean over tasks"]] == [90.5, 91.0, 91.3]
    assert above.holds and above.cases == (2, 2) and "these prompts alone" in above.note, (
        "five that are right in 7 of 10"
    )
    assert best.holds is None and "not tested" in best.note
    assert metrics and [metric_key(m) for m in ("cb_f1", "multirc_f1", "multirc_em", "wsc")] == [
        "f1",
        "f1a",
        "em",
        "accuracy",
    ]
    two = [cell("pt", "qqp", 0.55, seed, metrics=("qqp_f1", "accuracy")) for seed in range(3)]
    two = [
        replace(each, record=replace(each.record, scores=dict(sorted(each.record.scores.items()))))
        for each in two
        if each.record is not None
    ]  # as a file has them
    table, _, counts = answers_to("ensemble", two, "lester2021-ensemble")
    at_least = {row.head[2]: row.entries[2].score >= row.entries[1].score for row in table.rows}
    assert at_least == {"accuracy": True, "F1": False} and counts.cases == (0, 1), "the deciding metric decides"
    alike = [replace(cells[0], at=replace(cells[0].at, seed=n)) for n in range(5)]
    _, above, _ = answers_to("ensemble", alike, "lester2021-ensemble")
    assert above.holds is None, "what no test tells is not claimed"


def test_the_numbers_of_another_metric_are_counted_from_the_answers() -> None:
    done = record("pt", "qqp", 0.7, 0, ("accuracy", "qqp_f1"))
    numbers = numbers_of(done, "qqp_f1")
    assert numbers is not None and float(metric("qqp_f1").from_sums(numbers.sum(axis=0))) == pytest.approx(
        done.scores["qqp_f1"]
    )
    assert numbers_of(replace(done, scores=done.scores | {"multirc_em": 1.0}), "multirc_em") is None, (
        "it reads more than the answer"
    )
    assert numbers_of(replace(done, scores=done.scores | {"qqp_f1": 1.0}), "qqp_f1") is None, (
        "another score is not explained"
    )


def test_seeds_without_the_same_metrics_leave_a_cause_and_no_number() -> None:
    """As where a metric could not run on the machine that ran one of them."""
    for first in (True, False):
        cells = [
            cell(
                "pt",
                "qqp",
                0.7,
                seed,
                metrics=("accuracy", "qqp_f1")[: 1 + ((seed == 0) != first)],
                paper={"source": "qqp"},
            )
            for seed in (0, 1)
        ]
        for question, study in (("ensemble", "lester2021-ensemble"), ("paraphrase", "lester2021-paraphrase")):
            table = answers_to(question, cells, study)[0]
            by_metric = {row.head[2]: row.entries for row in table.rows}
            assert list(by_metric) in (["accuracy", "F1"], ["F1", "accuracy"])
            assert all(e.score is not None for e in by_metric["accuracy"])
            assert {(e.score, e.ci95, e.cause) for e in by_metric["F1"]} == {
                (None, None, "1 of 2 cells is not scored by qqp_f1")
            }
        (published,) = answers_to("published", cells, "lester2021-check")
        assert [row.entries[0].score is None for row in published.rows] == [False, True]
        mean = over_tasks(cells, {})
        assert mean.score is None and "1 of 2 cells is not scored by qqp_f1" in mean.cause


def test_a_mean_over_tasks_stays_inside_the_scale_and_needs_every_interval() -> None:
    low = replace(entry([cell("pt", "boolq", 0.0)]), score=2.0, ci95=(0.0, 30.0))
    mean = combined([low, replace(low, task="b")], "a+b", {})
    assert mean.ci95 is not None and mean.ci95[0] >= 0.0 and mean.ci95[1] == pytest.approx(2.0 + 28.0 / 2**0.5)
    assert combined([low, replace(low, ci95=None)], "a+b", {}).ci95 is None


def test_bins_of_one_seed_say_that_they_speak_of_one_prompt() -> None:
    def grid(seeds: tuple[int, ...], tasks: tuple[str, ...] = ("dart",)) -> list[Cell]:
        return [
            cell(method, task, 0.5, seed, model="bloom-1b1", rising=0.9 * (method == "ipt"), metrics=("accuracy",))
            for task in tasks for method in ("pt", "ipt") for seed in seeds
        ]  # fmt: skip

    bins, slope = answers_to("similarity", grid((0,)), "sun2023-similarity")
    assert isinstance(bins, Bins) and "one prompt of each method" in bins.panels[0].note
    assert slope.ci95[0] > 0 and slope.holds is None and "one seed speaks of its prompt alone" in slope.note
    page = replace(study_pages.similarity(), answers={"similarity": (bins,)})
    assert study_page([page]).count("These bins speak of one prompt of each method") == 2, (
        "below the title and the table"
    )
    bins, *slopes = answers_to("similarity", grid((0, 1), ("dart", "mtop")), "sun2023-similarity")
    assert "over examples and the 2 seeds" in bins.panels[0].note
    assert [each.holds for each in slopes] == [True, True] and "97.5%, Bonferroni over 2 panels" in slopes[0].note


def test_an_ablation_is_tested_and_not_only_drawn() -> None:
    cells = [
        cell("pt", task, right, seed, model="t5-small", paper={"init": init}, metrics=("accuracy",))
        for task in ("boolq", "rte")
        for init, right in (("random", 0.1), ("vocab", 0.1), ("labels", 0.9))
        for seed in (0, 1)
    ]
    curve, labels, vocab = answers_to("init-scale", cells, "lester2021-init")
    assert isinstance(curve, Curve) and [s.name for s in curve.panels[0].series] == [
        "random uniform", "sampled vocabulary", "class labels",
    ]  # fmt: skip
    assert (
        labels.claim == "The score with class labels is above that with random uniform on every model and task"
        and labels.holds
    )
    assert vocab.holds is None and "undecided in 2" in vocab.note
    _, alone, _ = answers_to("init-scale", [c for c in cells if c.at.seed == 0], "lester2021-init")
    assert alone.holds is None and "one seed speaks of its prompt alone" in alone.note


def test_a_share_of_parameters_is_counted() -> None:
    def of(parameters: int) -> Test:
        measured = cell("pt", "rte", 0.5, shape={"parameters": parameters, "layers": 2, "hidden": 4})
        return answers_to("parameters", [measured], "lester2021-parameters")[1]  # type: ignore[no-any-return]

    assert of(2_000_000_000).holds and of(1000).holds is None and "no model here" in of(1000).note


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((7.5e5, 1.1e10), [1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11]),
        ((4.2, 985.0), [1.0, 10.0, 100.0, 1000.0]),
        ((20.0, 45.0), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]),
    ],
)
def test_ticks_of_a_log_scale_stand_at_powers_of_ten(values: tuple[float, ...], expected: list[float]) -> None:
    assert log_ticks(values) == expected


def test_a_line_of_one_point_has_its_interval() -> None:
    page = study_pages.scale()
    curve = page.answers["scale"][0]
    panel = curve.panels[0]  # type: ignore[union-attr]
    single = replace(
        curve, panels=(replace(panel, series=tuple(replace(s, points=s.points[:1]) for s in panel.series)),)
    )  # type: ignore[type-var]
    (picture,) = pictures(single, page.name)
    marks = [layer["mark"] for layer in picture.chart.to_dict()["layer"]]
    asides = [mark["xOffset"] for mark in marks if mark["type"] == "rule" and "xOffset" in mark]
    assert asides == [-4.5, 4.5], "two lines, side by side, each with its interval"


def test_intervals_are_spoken_of_where_there_are_some_and_a_count_has_no_seeds() -> None:
    counts, scores = study_page([study_pages.parameters()]), study_page([study_pages.scale()])
    assert INTERVALS not in counts and INTERVALS in scores
    assert "of 1 seed" not in counts.partition("Every number beside")[0]


@pytest.mark.parametrize("name", PAPERS)
def test_every_point_on_which_a_paper_is_silent_is_decided_in_its_own_words(name: str) -> None:
    ours = paper(name)
    for point, figures in ours.silent.items():
        assert set(figures) <= set(ours.figures), point
        for study in figures or ours.figures:
            if study in names():
                assert point in preset(study).decisions, f"{study} says nothing of: {point}"


def test_the_list_of_numbers_fits_a_screen_and_leaves_a_phone_room(browser: Any, tmp_path: Path) -> None:
    page = study_pages.scale()
    curve = page.answers["scale"][0]
    panel = curve.panels[0]  # type: ignore[union-attr]
    long = {"steps": "40", "length": "25", "batch size": "8", "optimizer": "adamw", "init": "vocab"}
    series = tuple(
        replace(s, points=tuple((x, replace(e, recipes={"boolq": long})) for x, e in s.points)) for s in panel.series
    )
    page = replace(page, answers={"scale": (replace(curve, panels=(replace(panel, series=series),)),)})  # type: ignore[type-var]
    (tmp_path / "s.html").write_text(study_page([page]), encoding="utf-8")
    for width in (1280, 390):
        shown = browser.new_page(viewport={"width": width, "height": 900})
        shown.goto((tmp_path / "s.html").as_uri())
        region = shown.locator('[aria-label="Every number beside the paper\'s"]')
        wide, room = region.evaluate("(region) => [region.scrollWidth, region.clientWidth]")
        assert wide <= room, (width, wide, room)
        if width == 390:  # a row is a card: its name, then each number below the one before, with its column's name
            boxes = [cell.bounding_box() for cell in region.locator("tbody tr").first.locator("th, td").all()]
            assert all(low["y"] >= high["y"] + high["height"] for high, low in itertools.pairwise(boxes))
            assert region.locator("tbody td").first.get_attribute("data-head") == "ours"
            assert region.locator("thead button").first.is_visible(), "it sorts there too"
        shown.close()


# --- what a newcomer types -----------------------------------------------------------------------------


def test_a_folder_of_a_study_is_asked_in_its_own_words(tmp_path: Path) -> None:
    laid = lay_out(preset("lester2021-nearest"), "smoke")
    stored.keep(tmp_path / "runs", laid, "foreword study")
    cli.refused(
        "study", "show", tmp_path / "runs", "--only", "nope", says=("question of the studies in", "'nope'", "nearest")
    )
    cli.refused("study", "sun2023-main", "--model", "a", "--models", "b", says=("--model and --models", "keep the one"))
    cli.refused("study", "sun2023-main", "--jobs", 2, says=("--jobs 2 is for", "run by inline", "--executor processes"))
    cli.refused("study", "all", "--executor", "processes", "--gpus", 1, says=("--gpus 1.0 is for the executor ray",))
    cli.refused("study", "lester2021-nearest", "--dry-run", "--device", "cude", says=("device 'cude'",))
    cli.refused("study", "all", "sun2023-main", "--dry-run", says=("`all` is every study", "sun2023-main"))
    state = tmp_path / "runs" / "cells" / f"{laid.cells[0].id}.json"
    state.parent.mkdir()
    state.write_text('{"state": "do', encoding="utf-8")
    cli.refused(
        "study", "show", tmp_path / "runs", says=(state.name, "is damaged", "delete it and run the study again")
    )
    stored.document_path(tmp_path / "runs", "lester2021-nearest").write_text("[]", encoding="utf-8")
    cli.refused("study", "show", tmp_path / "runs", says=("holds no JSON object", "delete it and run the study again"))


def test_a_model_of_unknown_size_has_no_time() -> None:
    priced = price(lay_out(preset("lester2021-nearest"), "smoke", Overrides(models=("nomodel",))), Path("nowhere"))
    text = " ".join(priced.sentences())
    assert "about 0 s" not in text and "1 line of nomodel, whose size is not known" in text and "0 scored" not in text


def test_a_dry_run_names_every_value_of_an_axis_and_the_recipe_with_its_defaults() -> None:
    set_to = settings(lay_out(preset("lester2021-length"), "full"))
    assert set_to["tuning.prompt_length"] == "1, 5, 20, 100, 150" and set_to["tuning.learning_rate"] == "0.3"
    assert settings(lay_out(preset("lester2021-init"), "full"))["tuning.init"] == "random, vocab, labels, text"
    main = settings(lay_out(preset("sun2023-main"), "full"))
    assert (main["tuning.batch_size"], main["tuning.optimizer"]) == ("8", "adamw") and "tuning.place" not in main
