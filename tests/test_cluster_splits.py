"""Splits and folds of one's own rows that go together: no cluster stands in two parts, and what is not scored need not say its clusters."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.config.run import Run
from foreword.data.examples import Columns, Example, divided, examples, together
from foreword.data.task import Task
from foreword.study.folds import folds_of
from foreword.study.resolve import task_of
from foreword.tasks._own import task_from_files
from foreword.util.errors import ForewordError

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), min_size=1, max_size=60)


def examples_of(pairs: list[tuple[int, int]]) -> list[Example]:
    """Questions by number, each row of a document by number; 0 stands alone."""
    return [
        Example(str(place), {"input": f"q{question}"}, ("a",), cluster=f"doc: {doc}" if doc else "")
        for place, (question, doc) in enumerate(pairs)
    ]


@given(pairs=ROWS, sizes=st.lists(st.integers(1, 10), min_size=1, max_size=4), seed=st.integers(0, 3), data=st.data())
def test_whole_parts_share_neither_question_nor_cluster(
    pairs: list[tuple[int, int]], sizes: list[int], seed: int, data: st.DataObject
) -> None:
    rows = examples_of(pairs)
    parts = divided(rows, sizes, seed=seed, whole=True)
    assert sorted(example.id for part in parts for example in part) == sorted(example.id for example in rows)
    for read in (lambda example: example.question, lambda example: example.cluster):
        names = [{read(example) for example in part} - {""} for part in parts]
        assert sum(map(len, names)) == len(set().union(*names))
    if len(together(rows)) > len(sizes):
        assert all(parts), "each part has a cluster where there are enough"
    other = divided(data.draw(st.permutations(rows)), sizes, seed=seed, whole=True)
    assert [{example.id for example in part} for part in other] == [{example.id for example in part} for part in parts]
    alone = [Example(example.id, dict(example.fields), example.targets) for example in rows]
    total = len({example.question for example in rows})
    if sum(sizes) < total:  # without clusters the two are one
        assert divided(alone, sizes, seed=seed, whole=True) == divided(alone, sizes, seed=seed)


def test_what_goes_together_is_joined_by_what_lies_between() -> None:
    """q1 and q3 share no document, and q2 shares one with each."""
    rows = examples_of([(1, 1), (2, 1), (2, 2), (3, 2), (4, 3), (5, 0), (6, 0)])
    units = {frozenset(unit) for unit in together(rows)}
    of = {number: next(row.question for row in rows if row.fields["input"] == f"q{number}") for number in range(1, 7)}
    assert units == {frozenset({of[1], of[2], of[3]}), frozenset({of[4]}), frozenset({of[5]}), frozenset({of[6]})}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """240 rows on 40 documents of 1 to 11 rows each, in no order."""
    rows = [(f"what of {n}", "yes" if n % 3 else "no", f"page {(n * n + n // 7) % 40}") for n in range(240)]
    with (tmp_path / "rows.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("input", "target", "page"), *rows])
    return tmp_path / "rows.csv"


def test_a_file_in_one_piece_is_cut_between_its_clusters(file: Path) -> None:
    task = task_from_files("rows", str(file), columns=Columns(cluster="page"))
    pages = [{example.cluster for example in part} for part in (task.train, task.dev, task.test)]
    assert all(pages) and sum(map(len, pages)) == len(set().union(*pages))
    assert 60 <= len(task.test) <= 100 and 14 <= len(task.dev) <= 34, "about what is asked for: 80 and 24"
    assert "by seed 0, no cluster in both." in " ".join(task.notes)
    plain = task_from_files("rows", str(file))
    assert len(plain.test) == 80 and "no cluster" not in " ".join(plain.notes)


def test_a_cluster_that_is_most_of_the_file_stays_in_train() -> None:
    """Whatever its rank: the test split takes clusters that fit it."""
    rows = examples_of([(question, 1 if question < 180 else 2 + question % 5) for question in range(200)])
    for seed in range(8):
        test, dev, train = divided(rows, [12, 4], seed=seed, whole=True)
        assert {example.cluster for example in train} >= {"doc: 1"}
        assert 8 <= len(test) <= 16 and len(dev) == 4


def test_folds_are_cut_between_clusters(file: Path) -> None:
    run = Run(data=str(file), cluster_column="page", folds=4, model="reference-small")
    task = task_of(run, pooled=True)
    folds = folds_of(task, 4)
    assert sorted(example.id for fold in folds for example in fold.test) == sorted(example.id for example in task.test)
    for fold in folds:
        pages = [{example.cluster for example in part} for part in (fold.train, fold.dev, fold.test)]
        assert all(pages) and sum(map(len, pages)) == len(set().union(*pages))
    with pytest.raises(
        ForewordError, match="24 folds are asked for and the data have 40 clusters; give 20 folds at most"
    ):
        folds_of(task, 24)


def test_a_fold_that_leaves_one_cluster_to_train_on_is_refused_before_anything_runs() -> None:
    """A cluster that is half of the data fills one of two folds, and beside the other fold there is it alone."""
    big = [("big", n) for n in range(20)]
    for alone, advice in ((3, "; give more rows."), (19, "; give 3 folds, or more rows.")):
        pairs = [*big, *((f"own {n}", 100 + n) for n in range(alone))]
        examples = [Example(f"r{n}", {"input": f"q {n}"}, ("y",), cluster=cluster) for cluster, n in pairs]
        with pytest.raises(ForewordError, match="there is one cluster alone") as refused:
            folds_of(Task("t", (), (), tuple(examples)), 2)
        assert str(refused.value).endswith(advice)
    for fold in folds_of(Task("t", (), (), tuple(examples)), 3):
        assert fold.train and fold.dev and fold.test


def test_too_few_clusters_are_refused(tmp_path: Path) -> None:
    lines = [{"input": f"q{n}", "target": "a", "page": n % 2} for n in range(40)]
    (tmp_path / "two.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(
        ForewordError, match=r"The 2 clusters of the train file leave no train split after .*test.* were cut"
    ):
        task_from_files("two", str(tmp_path / "two.jsonl"), columns=Columns(cluster="page"))


def test_what_is_not_scored_need_not_say_its_clusters(tmp_path: Path) -> None:
    for split, page in (("train", {}), ("dev", {"page": "b"}), ("test", {"page": "a"})):
        lines = [{"input": f"{split} {n}", "target": "a", **page} for n in range(8)]
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    task = task_from_files("both", str(tmp_path), columns=Columns(cluster="page"))
    assert {example.cluster for example in task.test} == {"page: a"}
    assert {example.cluster for example in task.train} == {""}
    assert "share a" not in " ".join(task.notes)
    (tmp_path / "train.jsonl").write_text((tmp_path / "test.jsonl").read_text().replace("test ", "train "))
    task = task_from_files("both", str(tmp_path), columns=Columns(cluster="page"))
    assert "8 of 8 test examples share a page with train, such as 'page: a'" in " ".join(task.notes)
    with pytest.raises(ForewordError, match="There is no column 'pag' in row 1 of"):
        task_from_files("both", str(tmp_path), columns=Columns(cluster="pag"))


def test_a_row_without_the_key_stands_alone() -> None:
    rows = [
        {"input": "a", "target": "x", "page": "1"},
        {"input": "b", "target": "x"},
        {"input": "c", "target": "x", "page": None},
    ]
    assert [example.cluster for example in examples(rows, Columns(cluster="page"))] == ["page: 1", "", ""]
