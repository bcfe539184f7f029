"""What studies say, counted from known answers: tables, curves, bins, matrices and claims of records that were made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import tiny
from foreword.metrics import metric
from foreword.results.cells import Bins, Cell, Coordinates, Curve, Entry, Matrix, Table, Test
from foreword.results.record import Answer, Costs, DemonstrationRef, Record
from foreword.study.measure import choose, difference, entry, named
from foreword.study.preset import preset
from foreword.study.questions import QUESTIONS, answers
from foreword.study.questions.costs import near
from foreword.study.text import grids, shown
from foreword.study.unit import _shape
from foreword.util.errors import ForewordError

EXAMPLES = 60
NOWHERE = Path("nowhere")


def record(label: str, task: str, right: float, seed: int, rising: float = 0.0, **options: Any) -> Record:
    """A trial that gets this share of its examples right: more of those with a similar demonstration, where it is `rising`."""
    answers = []
    for place in range(EXAMPLES):
        similarity = place / EXAMPLES
        hit = Random(f"{task}/{label}/{seed}/{place}").random() < right + rising * (similarity - 0.5)
        output = "yes" if hit else "no"
        numbers = metric("exact_match").statistics([output], [("yes",)])[0]
        near_by = (DemonstrationRef("d", "text", similarity),) if label in ("icl", "ipt") else ()
        own = {"exact_match": 100.0 * hit}
        answers.append(
            Answer(f"e{place}", "", output, ("yes",), own, {"exact_match": list(map(float, numbers))}, near_by)
        )
    whole = sum(answer.output == "yes" for answer in answers) / EXAMPLES * 100
    return Record(
        key=hashlib.sha256(f"{label}{task}{seed}{options}".encode()).hexdigest()[:24],
        label=label,
        method=label.split(":")[0],
        task=task,
        backbone="m",
        seed=seed,
        deterministic=label in ("icl", "zero"),
        primary="exact_match",
        scores={"exact_match": whole},
        costs=options.pop("costs", Costs(7, 8.0, 2.0, 0.1)),
        answers=tuple(answers),
        spec={},
        fingerprints={},
        versions={},
        hardware="",
        metric_signatures={},
        curve=options.pop("curve", ()),
    )


def cell(
    method: str, task: str, right: float | None, seed: int = 0, *, model: str = "bloom-1b1", **options: Any
) -> Cell:
    """A finished cell; one that is waiting where `right` is None."""
    part, label = options.pop("part", "grid"), {"icl-1": "icl", "icl-random-1": "icl:random"}.get(method, method)
    length = options.pop("length", 25 if method in ("pt", "ipt") else None)
    paper = {"model": model, "task": task, "method": method} | options.pop("paper", {})
    source = options.pop("source", "")
    paper |= {"source": source} if source else {}
    init = "warm_start" if source else "vocab" if length else ""
    at = Coordinates(part, f"our-{model}", f"mini-{task}", label, seed, length, init, source=source)
    shape, cause = options.pop("shape", {}), options.pop("cause", "")
    done = None if right is None else record(label, task, right, seed, **options)
    state: Any = "done" if done else "failed" if cause else "waiting"
    id_ = hashlib.sha256(str([at, paper]).encode()).hexdigest()[:24]
    return Cell(id_, at, paper, state, done, cause, None if done is None else EXAMPLES, shape)


def answers_to(name: str, cells: list[Cell], study: str = "sun2023-main") -> tuple[Any, ...]:
    return QUESTIONS[name](cells, preset(study), NOWHERE)


def test_an_entry_says_all_that_it_rests_on() -> None:
    cells = [cell("pt", "dart", 0.5, 0), cell("pt", "dart", 0.7, 1), cell("pt", "dart", None, 2, cause="it broke")]
    summary = entry(cells)
    scores = [each.record.scores["exact_match"] for each in cells if each.record]
    assert summary.score == pytest.approx(sum(scores) / 2) and summary.spread is not None and summary.ci95 is not None
    assert summary.ci95[0] < summary.score < summary.ci95[1]
    assert (summary.seeds, summary.seeds_planned, summary.examples, summary.examples_planned) == (
        2,
        3,
        EXAMPLES,
        EXAMPLES,
    )
    assert (summary.cause, summary.model, summary.task, summary.metric) == (
        "it broke",
        "our-bloom-1b1",
        "mini-dart",
        "exact_match",
    )
    assert shown(summary).endswith("*"), "not all of its seeds are there"
    none = entry([cell("pt", "dart", None)])
    assert none.score is None and none.cause == "not run" and shown(none) == "not run"


def test_the_main_table_and_its_claims() -> None:
    usual = {"icl-random-1": 0.02, "icl-1": 0.35, "pt": 0.68, "ipt": 0.99}
    other = {"icl-random-1": 0.98, "icl-1": 0.65, "pt": 0.32, "ipt": 0.01}
    cells = [
        cell(method, task, (other if task == "mtop" else usual)[method], seed)
        for task in ("totto", "dart", "mtop")
        for method in usual
        for seed in ((0,) if method == "icl-1" else (0, 1, 2))
    ]
    table, *claims = answers_to("main", cells)
    assert isinstance(table, Table) and table.columns == ("mini-totto", "mini-dart", "mini-mtop")
    assert [row.head for row in table.rows] == [("our-bloom-1b1", method) for method in usual]
    assert all(isinstance(each, Entry) and each.score is not None for row in table.rows for each in row.entries)
    assert [(each.claim, each.cases, each.holds) for each in claims] == [
        ("icl-1 is above icl-random-1 on every model and task", (2, 3), False),
        ("pt is above icl-1 on every model and task", (2, 3), False),
        ("ipt is above icl-1 on every model and task", (2, 3), False),
        ("ipt is above pt on every model and task", (2, 3), False),
    ]
    _, *claims = answers_to("main", [each for each in cells if each.paper["task"] != "mtop"])
    assert all(each.holds and each.p < 0.05 for each in claims)
    _, *claims = answers_to("main", [*cells, cell("pt", "spider", None), cell("icl-1", "spider", 0.5)])
    assert claims[1].holds is None and "1 not run" in claims[1].note


def test_spread_over_seeds_is_counted() -> None:
    cells = [cell("pt", "dart", right, seed) for seed, right in enumerate((0.1, 0.5, 0.9))]
    cells += [cell("ipt", "dart", 0.5, seed) for seed in range(3)]
    table, claim = answers_to("variance", cells)[:2]
    (row,) = table.rows
    spreads = [entry(choose(cells, label=label)).spread for label in ("pt", "ipt")]
    assert row.head == ("our-bloom-1b1", "mini-dart", "", "3") and row.entries == tuple(
        f"{each:.1f}" for each in spreads
    )
    assert spreads[0] > spreads[1] and claim.cases == (1, 1)
    assert answers_to("variance", [cell("pt", "dart", 0.5), cell("ipt", "dart", 0.5)])[1].holds is None


def test_curves_by_length_have_the_line_as_a_level() -> None:
    cells = [cell("icl-1", "dart", 0.4)]
    cells += [
        cell(method, "dart", 0.5, seed, length=rows) for method in ("pt", "ipt") for rows in (25, 1) for seed in (0, 1)
    ]
    (curve,) = answers_to("length", cells)
    assert isinstance(curve, Curve)
    (panel,) = curve.panels
    assert [(line.name, line.level, [x for x, _ in line.points]) for line in panel.series] == [
        ("icl-1", True, [0.0]),
        ("pt", False, [1.0, 25.0]),
        ("ipt", False, [1.0, 25.0]),
    ]
    assert len(next(iter(grids([curve]))).rows) == 3


def test_bins_run_from_the_most_similar_down() -> None:
    cells = [cell("pt", "dart", 0.5, seed) for seed in (0, 1, 2)]
    cells += [cell("ipt", "dart", 0.5, seed, rising=0.9) for seed in (0, 1, 2)]
    bins, slope = answers_to("similarity", cells)
    assert isinstance(bins, Bins) and isinstance(slope, Test)
    (panel,) = bins.panels
    assert len(panel.counts) == 6 and sum(panel.counts) == EXAMPLES and list(panel.edges) == sorted(panel.edges)[::-1]
    first, last = (panel.series["ipt"][place] for place in (0, 5))
    assert first is not None and last is not None and first[0] > last[0] + 30
    assert (
        slope.holds and slope.estimate is not None and slope.estimate > 30 and "60 examples and 3 seeds" in slope.note
    )
    _, two = answers_to("similarity", [each for each in cells if each.at.seed < 2])
    assert two.holds is None, "two prompts whose slopes lie apart do not tell"
    (empty,) = answers_to("similarity", [cell("pt", "dart", None), cell("ipt", "dart", None)])
    assert empty.panels[0].cause


def test_a_slope_goes_through_the_answers_a_few_times_and_not_once_an_example() -> None:
    class Walked(tuple[Answer, ...]):
        times = 0

        def __iter__(self) -> Iterator[Answer]:
            Walked.times += 1
            return super().__iter__()

    cells = [cell("pt", "dart", 0.5), cell("ipt", "dart", 0.5, rising=0.9)]
    cells = [
        replace(each, record=replace(each.record, answers=Walked(each.record.answers)))
        for each in cells
        if each.record is not None
    ]
    _, slope = answers_to("similarity", cells)
    assert slope.estimate is not None and 0 < Walked.times < EXAMPLES


def test_transfer_is_held_against_icl_and_against_untuned_rows() -> None:
    def grid(seeds: tuple[int, ...], part: str = "carried") -> list[Cell]:
        cells = []
        for task in ("totto", "dart"):
            cells += [cell("icl-1", task, 0.45), cell("pt", task, 0.5), cell("ipt", task, 0.6, part="untuned")]
        for source, target in (("totto", "dart"), ("dart", "totto")):
            right = 0.97 if target == "dart" else 0.02
            cells += [cell("ipt", target, right, n, part=part, source=source) for n in seeds]
        return cells

    cells = grid((0, 1))
    matrix, claim = answers_to("transfer", cells)
    assert isinstance(matrix, Matrix) and matrix.columns == ("mini-dart", "mini-totto")
    assert matrix.rows == ("mini-totto", "mini-dart") and "(our-bloom-1b1)" in claim.claim
    assert matrix.above == ((True, False), (False, False)) and matrix.entries[0][1] is None
    assert claim.cases == (1, 2) and claim.holds is False and "surely below in 1, undecided in 0" in claim.note
    assert answers_to("transfer", grid((0, 1), part="moved"))[1].cases == (1, 2), "whatever the part is called"
    alone, claim = answers_to("transfer", grid((0,)))
    assert not any(map(any, alone.above)) and claim.holds is None and "one seed speaks of its prompt" in claim.note
    against, _ = answers_to("transfer-untuned", cells)
    base = against.baseline[0]
    assert base is not None and base.score == pytest.approx(
        entry(choose(cells, part="untuned", paper_task="dart")).score
    )


def test_transfer_without_what_it_is_held_against_shows_scores_and_says_so() -> None:
    """Scores stood in a table of points above; a part of another name was read by nobody."""
    cells = [cell("ipt", "dart", 0.5, n, part="moved", source="totto") for n in (0, 1)]
    matrix, claim = answers_to("transfer", cells)
    (table,) = grids((matrix,))
    assert table.rows[0][1] == f"{shown(matrix.entries[0][0])} (no icl-1)" and claim.holds is None
    assert [test.note for test in answers_to("transfer-untuned", cells)] == ["no part of this study is named `untuned`"]
    for name in ("transfer", "transfer-untuned"):
        (test,) = answers_to(name, [cell("icl-1", "dart", 0.5)])
        assert test.holds is None and "no part of this study carries another's soft prompts" in test.note


FLAT = [(method, "boolq", 0.5, seed) for method in ("pt", "full-ft") for seed in (0, 1)]


def test_scale_takes_the_mean_over_tasks_and_says_whether_the_gap_closes() -> None:
    gaps = {"t5-small": 0.5, "t5-large": 0.05}
    cells = [
        cell(method, task, 0.4 + (gap if method == "full-ft" else 0.0), seed, model=model, shape={"parameters": size})
        for (model, gap), size in zip(gaps.items(), (10, 1000), strict=True)
        for seed in (0, 1)
        for task in ("boolq", "rte")
        for method in ("pt", "full-ft")
    ]
    curve, claim = answers_to("scale", cells, "lester2021-scale")
    (panel,) = curve.panels
    assert curve.logarithmic and [line.name for line in panel.series] == ["pt", "full-ft"]
    assert [x for x, _ in panel.series[0].points] == [10.0, 1000.0]
    (_, held), _ = panel.series[0].points
    parts = [entry([each]).score for each in choose(cells, paper_model="t5-small", paper_method="pt")]
    assert held.score == pytest.approx(sum(filter(None, parts)) / 4) and held.paper["task"] == "superglue"
    assert claim.holds and claim.estimate is not None and claim.estimate > 20 and claim.ci95[0] > 0
    assert "on our-t5-small" in claim.note, "what stood in does not go by the paper's name"
    _, turned = answers_to("scale", cells[::-1], "lester2021-scale")
    assert turned.estimate == pytest.approx(claim.estimate) and turned.note == claim.note, "by size, in any order"
    _, alone = answers_to("scale", [each for each in cells if each.at.seed == 0], "lester2021-scale")
    assert alone.holds is None and "one seed" in alone.note
    cells += [cell(*each[:2], None, each[3], model="t5-xxl") for each in FLAT]
    _, unfinished = answers_to("scale", cells, "lester2021-scale")
    assert unfinished.holds is None and "1 model not run, which may be the smallest or the largest" in unfinished.note
    assert unfinished.estimate == claim.estimate
    _, flat = answers_to("scale", [cell(*each, model=m) for m in gaps for each in FLAT], "lester2021-scale")
    assert flat.holds is None and flat.ci95[0] < 0 < flat.ci95[1], "no difference is no finding"


def test_what_is_not_done_leaves_no_mean() -> None:
    cells = [cell("pt", "boolq", 0.5, model="t5-small"), cell("pt", "rte", None, model="t5-small")]
    curve, _ = answers_to("scale", cells, "lester2021-scale")
    (_, mean_entry) = curve.panels[0].series[0].points[0]
    assert mean_entry.score is None and "mini-rte: not run" in mean_entry.cause


def test_shift_is_a_row_a_task() -> None:
    cells = [
        cell(method, task, right, seed, model="t5-xxl", paper={"source": "squad"})
        for task, rights in (("squad", (0.9, 0.9)), ("bioasq", (0.9, 0.3)))
        for method, right in zip(("pt", "full-ft"), rights, strict=True)
        for seed in (0, 1)
    ]
    table, claim = answers_to("domain-shift", cells, "lester2021-domain-shift")
    assert [row.head for row in table.rows] == [("our-t5-xxl", "mini-squad"), ("our-t5-xxl", "mini-bioasq")]
    assert claim.holds and claim.cases == (1, 1), "the task that was trained on is not counted"


def test_the_vote_of_five_is_scored() -> None:
    cells = [cell("pt", "boolq", 0.7, seed, model="t5-xxl") for seed in range(5)]
    table, above, claim = answers_to("ensemble", cells, "lester2021-ensemble")
    assert above.claim == "The majority's answer is above the prompts' average on every task" and above.holds
    mean, best, voted = table.rows[0].entries
    records = [each.record for each in cells if each.record]
    right = sum(sum(record.answers[place].output == "yes" for record in records) > 2 for place in range(EXAMPLES))
    assert voted.score == pytest.approx(100 * right / EXAMPLES) and voted.score > mean.score
    assert best.score == max(record.scores["exact_match"] for record in records)
    assert [each.paper["of"] for each in (mean, best, voted)] == ["average", "best", "ensemble"]
    assert claim.cases == (int(voted.score >= best.score), 1) and claim.holds is None, "counted, and no test of it"


def test_costs_are_counted_and_timed() -> None:
    curve = tuple({"step": float(step), "dev": dev} for step, dev in ((2, -10.0), (4, -49.6), (6, -40.0), (8, -50.0)))
    measured = cell(
        "pt", "boolq", 0.5, model="t5-small", length=5, curve=curve, shape={"layers": 3, "hidden": 4, "key_value": 2}
    )
    assert measured.record is not None and near(measured.record) == pytest.approx(8.0 * 4 / 8)
    times, sooner = answers_to("convergence", [measured], "lester2021-convergence")
    assert sooner.holds is None and sooner.note == "not run", "one length is no comparison"
    assert times.rows[0].entries[0].score == pytest.approx(4.0) and times.rows[0].entries[0].unit == "s"
    table, _ = answers_to("parameters", [measured], "lester2021-parameters")
    assert [(row.head, row.entries[0].score) for row in table.rows] == [
        (("pt", "5"), 7.0),
        (("prefix tuning (counted)", "5"), 2 * 3 * 2 * 5),
    ]
    older = replace(measured, shape={"layers": 3, "hidden": 4})
    table, _ = answers_to("parameters", [older], "lester2021-parameters")
    assert "was not kept" in table.rows[1].entries[0], "no width is guessed"


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "gemma", "falcon", "t5", "mamba"])
def test_a_models_width_of_keys_is_that_of_its_cache(family: str) -> None:
    backbone = tiny.backbone(family)
    width = _shape(backbone)["key_value"]
    if family == "mamba":
        assert width == 0
        return
    ids = torch.tensor([[5, 6, 7]])
    more = {"decoder_input_ids": ids} if backbone.kind == "seq2seq" else {}
    cache = backbone.model(input_ids=ids, use_cache=True, **more).past_key_values
    layers = getattr(cache, "self_attention_cache", cache).layers
    assert {each.shape[1] * each.shape[3] for layer in layers for each in (layer.keys, layer.values)} == {width}


def test_other_examples_are_not_compared() -> None:
    whole, other = cell("pt", "dart", 0.5), cell("icl-1", "dart", 0.5)
    assert other.record is not None
    fewer = Record(**(vars(other.record) | {"answers": other.record.answers[:9]}))
    with pytest.raises(ForewordError, match="answer other examples than those they are compared with"):
        difference([whole], [Cell(other.id, other.at, other.paper, "done", fewer)])
    assert difference([whole], [cell("icl-1", "dart", None)]) is None
    cells = [whole, Cell(other.id, other.at, other.paper, "done", fewer)]
    refused = answers(cells, preset("sun2023-main"), NOWHERE)
    (why,) = refused["main"]
    assert isinstance(why, Test) and why.holds is None and "answer other examples" in why.note
    assert isinstance(refused["variance"][0], Table), "the other question is answered"


def test_what_no_test_tells_is_not_denied() -> None:
    cells = [cell(method, task, 0.5, seed) for method in ("pt", "ipt") for task in ("totto", "dart") for seed in (0, 1)]
    _, *claims = answers_to("main", cells)
    (claim,) = (each for each in claims if each.claim.startswith("ipt is above pt"))
    assert claim.holds is None and claim.p is None and "undecided in 2" in claim.note
    _, slope = answers_to("similarity", [each for each in cells if each.paper["task"] == "dart"])
    assert slope.holds is None and slope.ci95[0] < 0 < slope.ci95[1]


def test_what_stood_in_does_not_go_by_the_papers_name() -> None:
    at = Coordinates("grid", "bigscience/bloom-1b1", "dart", "pt", 0)
    own = Cell("a", at, {"model": "bloom-1b1", "task": "dart"}, "waiting")
    assert (named([own], "model", preset("sun2023-main")), named([own], "task", preset("sun2023-main"))) == (
        "bloom-1b1",
        "dart",
    )
    other = cell("pt", "dart", 0.5)
    assert named([own, other], "model", preset("sun2023-main")) == "bigscience/bloom-1b1, our-bloom-1b1"
    mine = preset("sun2023-main").model_copy(update={"paper": ""})
    assert named([other], "task", mine) == "dart", "a study of no paper has the names that its own file gives"
