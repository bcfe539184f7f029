"""Folds: each example is scored once by what was trained on the others, each fold's trial is its own record, and nothing else changes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from entry import foreword, refused, rows, save_model, save_rows
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.metrics import METRICS
from foreword.prompts.methods import METHODS
from foreword.results.record import Record
from foreword.results.stats.crossed import Sample, difference, interval
from foreword.results.trivial import trivial_of_folds
from foreword.study.folds import folds_of
from foreword.study.spec import Spec
from foreword.tasks._own import test_questions as questions_scored
from foreword.util.errors import ForewordError


def whole(count: int, seed: int = 0) -> Task:
    """Rows of `count` questions, every fifth of which stands in two rows, in an order of their own."""
    examples = [
        Example(f"row-{n}", {"input": f"question {n % count}"}, (f"answer {n}",)) for n in range(count + count // 5)
    ]
    random.Random(seed).shuffle(examples)
    return Task("t", (), (), tuple(examples))


@pytest.mark.parametrize(("count", "folds"), [(4, 2), (23, 5), (60, 10)])
def test_every_question_is_scored_once_and_never_trained_on_in_its_fold(count: int, folds: int) -> None:
    fold_tasks = folds_of(whole(count), folds)
    scored = [example.question for fold in fold_tasks for example in fold.test]
    assert len(scored) == len(set(scored)) == count
    assert {len(fold.test) for fold in fold_tasks} <= {count // folds, count // folds + 1}
    for fold in fold_tasks:
        parts = [{example.question for example in fold.split(split)} for split in ("train", "dev", "test")]
        assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == count
    references = {example.question: len(example.targets) for fold in fold_tasks for example in fold.test}
    assert sum(references.values()) == len(whole(count).test), (
        "two rows of one question are one example with two answers"
    )


def test_the_order_of_the_rows_decides_nothing() -> None:
    def questions(task: Task) -> list[list[set[str]]]:
        folds = folds_of(task, 4)
        return [
            [{example.question for example in fold.split(split)} for split in ("train", "dev", "test")]
            for fold in folds
        ]

    assert questions(whole(30, seed=0)) == questions(whole(30, seed=1))


def test_too_many_folds_are_refused() -> None:
    with pytest.raises(
        ForewordError, match="8 folds are asked for and the data have 10 distinct questions; give 5 folds at most"
    ):
        folds_of(whole(10), 8)


def test_a_fold_is_told_by_its_contents_and_old_keys_stay() -> None:
    backbone, folds = tiny.backbone("llama"), folds_of(whole(20), 2)
    spec = Spec("zero", METHODS["zero"], 0, Tuning(), 8)
    assert len({spec.key(backbone, fold) for fold in folds}) == 2
    assert replace(spec, fold=2).key(backbone, folds[0]) == spec.key(backbone, folds[0])
    assert "fold" not in json.dumps(spec.contents(backbone, folds[0]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path, tuple[object, ...]]:
    """A comparison in three folds, its folder, and the command."""
    folder = tmp_path_factory.mktemp("folds")
    model, data = save_model(folder / "model"), save_rows(folder / "own.jsonl", rows(31))
    command = (
        "compare", "-m", model, "-d", data, "--methods", "zero,icl,pt", "--seeds", "0,1", "--folds", 3, "--max-steps", 2,
        "--prompt-length", 2, "--max-new-tokens", 4, "--too-long", "drop", "--choices", "none", "--out", folder / "out",
    )  # fmt: skip
    result = foreword(*command, "--json")
    assert result.code == 0, result.err
    assert "pt seed 1 fold 3" in result.err
    return result.json, folder / "out", command


def test_all_folds_together_are_one_row_a_method(run: tuple[dict, Path, tuple[object, ...]]) -> None:
    document, out, command = run
    records = [Record.read(path) for path in (out / "records").glob("*.json")]
    assert len(records) == (1 + 1 + 2) * 3, "a fold's trial is its own record"
    assert (document["folds"], document["examples"]) == (3, 31)
    assert sum(document["sizes"].values()) == 31
    for row in document["rows"]:
        for seed, score in zip(row["seeds"], row["scores_by_seed"], strict=False):
            mine = [r for r in records if r.label == row["method"] and (r.deterministic or r.seed == seed)]
            answers = [answer for record in mine for answer in record.answers]
            assert len(answers) == len({answer.id for answer in answers}) == 31
            measure = METRICS[document["metric"]]
            assert score == pytest.approx(measure.score([a.output for a in answers], [a.targets for a in answers]))
    assert len(document["prompts"]) == 6 and all(Path(path).is_dir() for path in document["prompts"].values())
    again = foreword(*command)
    assert "trials run 0, found finished 12" in again.out
    words = " ".join(again.out.split())
    assert "31 test examples in 3 folds of 19 train, 2 dev and 10 test" in words
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "31 test examples in 3 folds" in page and "in one of 3 folds" in page and '<th scope="col">Fold</th>' in page


def test_no_demonstration_comes_out_of_its_own_fold(run: tuple[dict, Path, tuple[object, ...]]) -> None:
    records = [Record.read(path) for path in (run[1] / "records").glob("*.json")]
    for record in (each for each in records if each.label == "icl"):
        scored = {answer.id for answer in record.answers}
        shown = {demonstration.id for answer in record.answers for demonstration in answer.shown}
        assert shown and not shown & scored


def test_what_scores_without_a_model_is_each_folds_own() -> None:
    labels = ["a"] * 11 + ["b"] * 9
    examples = [Example(f"r{n}", {"input": f"q {n}"}, (label,), ("a", "b")) for n, label in enumerate(labels)]
    folds = folds_of(Task("t", (), (), tuple(examples), metrics=("accuracy",)), 4)
    metric = METRICS["accuracy"]
    always, chance = trivial_of_folds(folds, metric)
    right = 0
    for fold in folds:
        trained = [example.targets[0] for example in fold.train]
        commonest = max(dict.fromkeys(trained), key=trained.count)
        right += sum(example.targets[0] == commonest for example in fold.test)
    assert set(always.statistics) == {example.id for example in examples} == set(chance.statistics)
    assert float(metric.from_sums(sum(always.statistics.values()))) == pytest.approx(100 * right / 20)
    assert float(metric.from_sums(sum(chance.statistics.values()))) == pytest.approx(50)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_intervals_and_p_hold_where_each_fold_has_a_prompt_of_its_own(spread: float, shared: float) -> None:
    """Two equal methods, 3 seeds, 5 folds, right or wrong by a latent difficulty. spread: of a prompt's effect, of which `shared` is the
    seed's in all folds and the rest the fold's own."""
    N, folds, seeds, repeats = 200, 5, 3, 600
    rng, fold = np.random.default_rng(7), np.arange(N) % folds
    wrong = covered = 0
    for _ in range(repeats):
        item, methods = rng.normal(size=N), []
        for _ in range(2):
            effect = shared**0.5 * rng.normal(size=(seeds, 1)) + (1 - shared) ** 0.5 * rng.normal(size=(seeds, folds))
            own, rest = 0.8 * rng.normal(size=N), 0.6 * rng.normal(size=(seeds, N))
            methods.append(Sample(100.0 * (item + own + spread * effect[:, fold] + rest > 0)))
        wrong += difference(*methods).p < 0.05
        low, high = interval(methods[0], lowest=0, highest=100)
        covered += low <= 50 <= high
    assert wrong / repeats < 0.07 and covered / repeats > 0.91, (wrong / repeats, covered / repeats)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--split", "60/20/20"), ("3 folds", "--split", "leave --folds out")),
        (("--test", "own.jsonl"), ("3 folds", "--test", "leave --folds out")),
        (("--dev", "own.jsonl"), ("3 folds", "--dev", "leave --folds out")),
    ],
)
def test_folds_beside_a_split_are_refused(tmp_path: Path, more: tuple[str, ...], says: tuple[str, ...]) -> None:
    data = save_rows(tmp_path / "own.jsonl", rows(20))
    refused("compare", "-m", "x", "-d", data, "--folds", 3, *more, says=says)


def test_folds_of_what_has_its_own_splits_are_refused(tmp_path: Path) -> None:
    refused("compare", "-m", "x", "-t", "mini-dart", "--folds", 3, says=("--task brings its own split",))
    refused("compare", "-m", "x", "-d", "y", "--folds", 1, says=("folds is 1", "at least 2"))
    config = tmp_path / "c.toml"
    config.write_text("folds = 3\nmodel = 'x'\n", encoding="utf-8")
    data = save_rows(tmp_path / "own.jsonl", rows(20))
    refused("tune", "-c", config, "-d", data, says=("Folds are for `foreword compare`",))
    refused("evaluate", "-c", config, "--test", data, says=("Folds are for `foreword compare`",))
    refused(
        "evaluate", "-m", "x", "--test", data, "--split", "60/20/20", says=("--test brings its own", "leave --split")
    )


@pytest.mark.parametrize(("total", "scored"), [(3, 1), (30, 10), (299, 99), (300, 100), (900, 100), (2000, 200)])
def test_three_hundred_rows_give_a_hundred_to_score(total: int, scored: int) -> None:
    assert questions_scored(total) == scored
