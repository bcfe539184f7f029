"""Tasks from users' files and from hub datasets: splits by question, merged references, and refusals in one sentence."""

from __future__ import annotations

import builtins
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foreword.api.data import path_of
from foreword.data.examples import Columns, Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks import load_task, task_from_files, task_from_hub
from foreword.util.errors import ForewordError, MissingExtraError

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(count: int, start: int = 0, words: str = "a long enough answer") -> list[dict[str, Any]]:
    return [{"input": f"question {n}", "target": f"{words} {n}"} for n in range(start, start + count)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_one_file_is_split_by_question(tmp_path: Path) -> None:
    rows = [row for row in rows_of(100) for _ in range(2)]
    path = write(tmp_path / "mine.jsonl", [{**row, "target": f"{row['target']} {n % 2}"} for n, row in enumerate(rows)])
    task = task_from_files("mine", path)
    assert (len(task.train), len(task.dev), len(task.test)) == (114, 10, 33)
    assert all(len(example.targets) == 2 for example in (*task.dev, *task.test))
    questions = [{example.question for example in task.split(split)} for split in ("train", "dev", "test")]
    assert sum(map(len, questions)) == len(set().union(*questions)) == 100
    assert task.metrics == ("bleu", "chrf", "rouge_l", "exact_match", "token_f1")
    assert str(path) in task.source and len(task.notes) == 4
    assert task_from_files("mine", path).fingerprint == task.fingerprint
    assert task_from_files("mine", path, seed=1).fingerprint != task.fingerprint


@QUICK
@given(count=st.integers(3, 40), seed=st.integers(0, 3), dev=st.floats(0.05, 0.4), test=st.floats(0.05, 0.4))
def test_any_shares_give_three_splits_or_a_refusal(
    tmp_path: Path, count: int, seed: int, dev: float, test: float
) -> None:
    path = write(tmp_path / "mine.jsonl", rows_of(count))
    try:
        task = task_from_files("mine", path, seed=seed, dev_share=dev, test_share=test)
    except ForewordError as error:
        assert "leave no train split" in str(error)
        return
    assert task.train and len(task.dev) == max(1, round(count * dev)) and len(task.test) == max(1, round(count * test))


def test_a_folder_with_split_files_of_any_kind(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows_of(20))
    (tmp_path / "Validation.csv").write_text("input,target\nquestion 3,known\nquestion 90,new\n")
    parquet.write_table(pyarrow.Table.from_pylist(rows_of(5, 50)), tmp_path / "test.parquet")
    (tmp_path / "README.md").write_text("not a split")
    task = load_task(tmp_path)
    assert (len(task.train), len(task.dev), len(task.test)) == (20, 2, 5)
    assert task.train[3].id == "train-4" and task.test[0].id == "test-1"
    assert any("1 of 2 dev examples ask a question that also stands in train" in note for note in task.remarks)
    assert len(task.remarks) == 1 and task.name == tmp_path.name


def test_a_path_is_never_a_name_of_the_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dart").mkdir()
    write(tmp_path / "dart" / "train.jsonl", rows_of(20))
    monkeypatch.chdir(tmp_path)
    assert len(load_task(Path("dart")).train) == 12


def test_missing_splits_are_made_and_noted(tmp_path: Path) -> None:
    train, other = write(tmp_path / "train.jsonl", rows_of(40)), write(tmp_path / "dev.jsonl", rows_of(7, 100))
    with_dev = task_from_files("mine", train, other)
    assert (len(with_dev.train), len(with_dev.dev), len(with_dev.test)) == (36, 4, 7)
    assert with_dev.test[0].fields["input"] == "question 100" and "the dev split is what is scored" in with_dev.notes[0]
    with_test = task_from_files("mine", train, test=other)
    assert (len(with_test.train), len(with_test.dev), len(with_test.test)) == (36, 4, 7)


def test_train_keeps_each_row_and_scored_splits_merge_them(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows_of(3) + rows_of(3, words="other words"))
    other = write(tmp_path / "dev.jsonl", rows_of(2) + rows_of(2, words="other words"))
    task = task_from_files("mine", train, other, other)
    assert (
        len(task.train) == 6
        and len(task.dev) == 2
        and task.dev[0].targets == ("a long enough answer 0", "other words 0")
    )


def test_ids_of_the_user_are_kept_where_they_are_distinct(tmp_path: Path) -> None:
    rows = [{**row, "id": n} for n, row in enumerate(rows_of(6))]
    train, dev = write(tmp_path / "a.jsonl", rows[:4]), write(tmp_path / "b.jsonl", rows[4:])
    columns = Columns(id="id")
    assert [example.id for example in task_from_files("mine", train, dev, dev, columns=columns).train] == [
        "train-0",
        "train-1",
        "train-2",
        "train-3",
    ]
    test = write(tmp_path / "c.jsonl", [{**row, "id": f"t{n}"} for n, row in enumerate(rows_of(2, 70))])
    assert [example.id for example in task_from_files("mine", train, dev, test, columns=columns).train] == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_metrics_follow_from_the_answers(tmp_path: Path) -> None:
    short = write(
        tmp_path / "short.jsonl", [{"input": f"q {n}", "target": "yes" if n % 2 else "no"} for n in range(30)]
    )
    labelled = task_from_files("mine", short)
    assert labelled.metrics == ("accuracy",)
    assert {example.choices for split in SPLITS for example in labelled.split(split)} == {("no", "yes")}
    assert labelled.notes[0] == (
        "The 30 rows have 2 distinct short targets ('no', 'yes'), which are taken as the choices of a classification; "
        "--choices none makes them free text."
    )
    free = task_from_files("mine", short, choices=("none",))
    assert free.metrics == ("exact_match", "token_f1") and not any(example.choices for example in free.train)
    assert not any("choices" in note for note in free.notes)
    assert task_from_files("mine", short, choices=["no", "yes"]).metrics == ("accuracy",)
    assert task_from_files("mine", short, metrics=["chrf"]).metrics == ("chrf",)


def test_a_template_names_its_own_columns(tmp_path: Path) -> None:
    rows = [{"premise": f"p{n}", "hypothesis": "h", "target": "yes", "annotator": n} for n in range(30)]
    task = task_from_files(
        "mine", write(tmp_path / "a.jsonl", rows), template=Template(question="{premise} so {hypothesis}?")
    )
    assert set(task.train[0].fields) == {"premise", "hypothesis"}
    with pytest.raises(ForewordError, match=r"no column 'premises' in row 1 of .*a.jsonl.*did you mean 'premise'"):
        task_from_files("mine", tmp_path / "a.jsonl", template=Template(question="{premises}?"))


def test_answers_that_hold_the_stop_text_are_counted(tmp_path: Path) -> None:
    rows = [{"input": f"q {n}", "target": "two\nlines" if n < 3 else "one"} for n in range(30)]
    notes = task_from_files("mine", write(tmp_path / "a.jsonl", rows)).remarks
    assert any(note.startswith("3 targets hold the stop text '\\n'") for note in notes)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"input": "q", "target": "a"}\n{"input"\n', "Line 2 of"),
        ("b.csv", "input,target\nq,\n", "'target' in row 1 of .*b.csv is empty"),
        ("c.csv", "input,target\n", "holds no rows"),
        ("d.csv", "question,target\nq,a\n", "no column 'input'"),
        ("e.jsonl", '{"input": "q", "target": "a"}\n' * 9, "1 distinct questions .* leave no train split"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ForewordError, match=words):
        load_task(tmp_path / name)


def test_bad_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match=r"There is no file .*none.jsonl"):
        load_task(tmp_path / "none.jsonl")
    with pytest.raises(ForewordError, match="has no train file, but nothing; put train"):
        load_task(tmp_path)
    write(tmp_path / "train.jsonl", rows_of(3))
    write(tmp_path / "train.json", rows_of(3))
    with pytest.raises(ForewordError, match=r"two train files, train.json and train.jsonl"):
        load_task(tmp_path)
    with pytest.raises(ForewordError, match=r"There is no file, folder or task 'no-such-thing'.*Known:"):
        load_task("no-such-thing")
    with pytest.raises(ForewordError, match="did you mean 'webnlg'"):
        load_task("webnlgg")
    with pytest.raises(ForewordError, match=r"dev share is 1.5"):
        task_from_files("mine", tmp_path / "train.json", dev_share=1.5)


def test_notes_stay_out_of_the_fingerprint_and_count_overlaps() -> None:
    known, new = Example("1", {"input": "a"}, ("x",)), Example("2", {"input": "b"}, ("y",))
    again = Example("3", {"input": "a"}, ("z",))
    task = Task("t", (known,), (new,), (again,))
    noted = replace(task, notes=("of note",))
    assert noted.fingerprint == task.fingerprint
    assert [note[:28] for note in noted.remarks] == ["of note", "1 of 1 test examples ask a q"]
    assert noted.notes == ("of note",) and replace(noted, test=(new,), dev=()).remarks == ("of note",)


def test_a_limit_keeps_groups_whole() -> None:
    sizes = [1 + n % 4 for n in range(40)]
    rows = [
        Example(f"e{n}.{k}", {"input": f"{n} {k}"}, ("x",), facts={"group": f"g{n}"})
        for n, size in enumerate(sizes)
        for k in range(size)
    ]
    task = Task("t", (), (), tuple(rows))
    for limit in (1, 7, 30, 99, 100, 1000):
        test = task.limited({"test": limit}).test
        groups = {example.group for example in test}
        assert test == tuple(example for example in rows if example.group in groups), "whole groups, in their order"
        assert len(groups) == 1 or limit - 4 < len(test) <= limit or test == task.test
    assert task.limited({"test": 30}).test == task.limited({"test": 30}).test
    plain = Task("t", (), (), tuple(Example(str(n), {"input": str(n)}, ("x",)) for n in range(50)))
    assert len(plain.limited({"test": 7}).test) == 7


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")
    datasets.disable_progress_bars()
    return tmp_path


def test_a_hub_dataset_with_class_labels_and_hidden_answers(offline: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    folder = offline / "set"
    folder.mkdir()
    for split, start, count in (("train", 0, 20), ("validation", 20, 6), ("test", 26, 4)):
        labels = [-1] * count if split == "test" else [n % 2 for n in range(count)]
        table = {"text": [f"text {n}" for n in range(start, start + count)], "label": labels}
        datasets.Dataset.from_dict(table, features=features).to_parquet(folder / f"{split}.parquet")
    task = task_from_hub(str(folder), name="set", columns=Columns("text", "label"))
    assert (len(task.train), len(task.dev), len(task.test)) == (18, 2, 6)
    assert task.metrics == ("accuracy",) and task.train[0].choices == ("bad", "good")
    assert task.test[1].targets == ("good",) and dict(task.test[1].fields) == {"input": "text 21"}
    assert task.notes[0] == "The answers of the test split are hidden, so that split is left out."


def test_class_labels_and_hidden_answers_by_every_route(offline: Path) -> None:
    """The hub's own shards and data in memory were scored against '-1', and single precision read as 0.10000000149011612."""
    import datasets

    kinds = {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["bad", "good"]),
        "x": datasets.Value("float32"),
    }

    def part(start: int, count: int, label: int | None = None) -> Any:
        rows = range(start, start + count)
        labels = [n % 2 if label is None else label for n in rows]
        columns = {"text": [f"text {n}" for n in rows], "label": labels, "x": [0.1] * count}
        return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))

    whole = datasets.DatasetDict({"train": part(0, 40), "validation": part(40, 12), "test": part(60, 12, -1)})
    whole.save_to_disk(offline / "saved")
    (offline / "shards").mkdir()
    for split, rows in whole.items():
        rows.to_parquet(offline / "shards" / f"{split}-00000-of-00001.parquet")
    memory = path_of(whole, offline, "memory")
    tasks = [load_task(place, input_column="text", target_column="label") for place in (
        offline / "saved", offline / "shards", Path(memory), f"hub:{offline / 'shards'}"
    )]  # fmt: skip
    for task in tasks:
        assert task.fingerprint == tasks[0].fingerprint
        assert task.train[0].choices == ("bad", "good") and {t for e in task.test for t in e.targets} == {"bad", "good"}
        assert task.notes[0] == "The answers of the test split are hidden, so that split is left out."
    for place in (offline / "saved", offline / "shards", Path(memory)):
        assert load_task(place, input_column="text", target_column="x").test[0].targets == ("0.1",)
        columns = {"input_column": "text", "target_column": "label", "choices": ["bad", "good"], "target_index": 0}
        assert load_task(place, **columns).train[0].targets == ("bad",), "a label that is named needs no place"


def test_a_test_file_that_is_named_is_not_left_out(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows_of(20))
    hidden = [{"input": f"question {n}", "target": None} for n in range(100, 105)]
    test = write(tmp_path / "test.jsonl", hidden)
    with pytest.raises(ForewordError, match=r"'target' in row 1 of \S*test.jsonl is null"):
        task_from_files("t", train, None, test)
    assert task_from_files("t", tmp_path).notes[0].startswith("The answers of the test split are hidden")
    references = [{"input": f"question {n}", "answers": ["an answer"]} for n in range(100, 105)]
    write(tmp_path / "test.jsonl", references)
    write(train, [{"input": f"question {n}", "answers": ["an answer"]} for n in range(20)])
    assert len(task_from_files("t", tmp_path, columns=Columns(references="answers")).test) == 5, (
        "nothing is hidden here"
    )


def test_what_is_not_read_is_named(offline: Path) -> None:
    """Official splits of other names were left unread, and a note said that there were none."""
    import datasets

    parts = {
        name: datasets.Dataset.from_list(rows_of(20, start)) for start, name in ((0, "train"), (20, "test_matched"))
    }
    datasets.DatasetDict(parts).save_to_disk(offline / "saved")
    notes = load_task(offline / "saved").notes
    assert notes[0].startswith("The split test_matched is not read (known names: train, training, dev,")
    assert "There is no test split: 6 questions were cut from train by seed 0." in notes
    (offline / "folder").mkdir()
    for name in ("train", "test_matched", "holdout"):
        write(offline / "folder" / f"{name}.jsonl", rows_of(20))
    assert (
        load_task(offline / "folder").notes[0].startswith("The files holdout.jsonl and test_matched.jsonl are not read")
    )


def test_shares_are_not_asked_of_a_dataset_with_splits(offline: Path) -> None:
    """`--split 60/20/20` had no effect on a dataset of the hub that has them."""
    import datasets

    rows = [{"input": f"text {n}", "target": "yes" if n % 2 else "no"} for n in range(40)]
    whole = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(offline / "both")
    whole.save_to_disk(offline / "train")
    with pytest.raises(ForewordError, match="brings its own test split; leave --split out"):
        task_from_hub(str(offline / "both"), dev_share=0.2, test_share=0.2)
    assert len(task_from_hub(str(offline / "train"), dev_share=0.2, test_share=0.2).test) == 8


def test_a_file_beside_a_dataset_is_not_dropped(offline: Path) -> None:
    """The dataset's own test split was scored, and `--test FILE` had no effect."""
    import datasets

    rows = [{"input": f"text {n}", "target": "yes" if n % 2 else "no"} for n in range(40)]
    datasets.Dataset.from_list(rows).save_to_disk(offline / "set")
    assert load_task(offline / "set").test
    for data in (offline / "set", "hub:somebody/set", "somebody/set"):
        for split in ("dev", "test"):
            with pytest.raises(ForewordError, match=rf"^--{split} mine\.jsonl is given beside the dataset"):
                load_task(data, **{split: "mine.jsonl"})


def test_a_hub_dataset_that_cannot_be_had(offline: Path) -> None:
    with pytest.raises(ForewordError, match=r"'nobody/nothing' .* could not be had from the hub") as caught:
        load_task("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_without_the_datasets_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'foreword\[hub\]'"):
        task_from_hub("owner/name")
