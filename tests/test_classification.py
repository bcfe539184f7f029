"""A user's own classification: seen in the data, held against the trivial answers, shown with what an accuracy hides."""

from __future__ import annotations

import csv
import math
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.metrics import metric
from foreword.metrics.agreement import matthews
from foreword.metrics.labels import macro_f1
from foreword.results.trivial import chance, commonest, majority, trivial_answers
from foreword.study.compare import carry_out
from foreword.study.plan import plan, unwritable
from foreword.study.resolve import scored_task, task_of
from foreword.tasks import task_from_files
from foreword.tasks._labels import labelled
from foreword.util.errors import ForewordError

WORDS = {"billing": "invoice refund", "shipping": "parcel courier", "login": "password account"}


def tickets(path: Path, count: int = 100) -> Path:
    """Half of the tickets are of shipping."""
    rng = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["input", "target"])
        for n in range(count):
            label = "shipping" if n % 2 else rng.choice(["billing", "login"])
            rows.writerow([f"ticket {n} {rng.choice(WORDS[label].split())}", label])
    return path


def example(name: str, target: str, choices: tuple[str, ...] = ()) -> Example:
    return Example(name, {"input": f"q {name}"}, (target,), choices)


def rows(labels: list[str]) -> dict[str, list[Example]]:
    return {"train": [example(str(n), label) for n, label in enumerate(labels)]}


def test_few_short_targets_that_repeat_are_choices_and_others_are_not() -> None:
    def choices_of(labels: list[str]) -> tuple[str, ...]:
        return labelled(rows(labels), ())[0]["train"][0].choices

    assert choices_of(["b", "a"] * 4) == ("a", "b")
    assert choices_of(["No, it is not", "yes"] * 4) == ("No, it is not", "yes"), "a comma is no matter"
    assert choices_of([str(n % 30) for n in range(120)]) == tuple(sorted(map(str, range(30))))
    many = rows([str(n % 31) for n in range(124)])
    assert labelled(many, ())[0] == many and "31 distinct short targets" in labelled(many, ())[1][0], "31 labels"
    assert labelled(many, ("none",)) == (many, ()), "free text was asked for"
    assert labelled(rows([str(n % 62) for n in range(124)]), ())[1] == (), "62 labels of 2 rows each"
    assert choices_of(["a", "b"] * 3 + ["c"]) == (), "7 rows of 3 labels"
    assert choices_of(["a"] * 40) == (), "one label is no choice"
    assert choices_of(["a" * 41, "b"] * 8) == () and choices_of(["a\nb", "b"] * 8) == (), "a text is no label"


def test_own_choices_and_several_targets_are_left_alone() -> None:
    own = {"train": [example(str(n), "a", ("a", "b", "c")) for n in range(20)]}
    assert labelled(own, ("a", "b", "c")) == (own, ())
    several = {"train": [Example(str(n), {"input": "q"}, ("a", "b")) for n in range(20)]}
    assert labelled(several, ()) == (several, ())
    assert labelled(rows(["a", "b"] * 10), ("none",)) == (rows(["a", "b"] * 10), ())


def test_a_test_file_alone_is_read_as_beside_train(tmp_path: Path) -> None:
    """The same file was a classification as --data and free text as --test."""
    path = tickets(tmp_path / "t.csv")
    alone = scored_task(Run(model="x", test=str(path)))
    whole = task_of(Run(model="x", data=str(path)))
    assert alone.test[0].choices == whole.test[0].choices == ("billing", "login", "shipping")
    assert alone.metrics == whole.metrics == ("accuracy",)
    assert any("taken as the choices of a classification" in note for note in alone.notes)
    named = scored_task(Run(model="x", test=str(path), choices=["shipping", "login", "billing", "other"]))
    assert named.test[0].choices == ("shipping", "login", "billing", "other"), (
        "what is said, or recalled, stands above it"
    )
    free = scored_task(Run(model="x", test=str(path), choices=["none"]))
    assert free.test[0].choices == () and free.metrics[0] == "exact_match"


def test_the_split_is_cut_as_asked(tmp_path: Path) -> None:
    data = tickets(tmp_path / "t.csv")
    task = task_of(Run(model="x", data=str(data), split="50/10/40"))
    assert [len(task.split(name)) for name in ("train", "dev", "test")] == [50, 10, 40]
    usual = task_of(Run(model="x", data=str(data)))
    assert [len(usual.split(name)) for name in ("train", "dev", "test")] == [57, 10, 33]


@pytest.mark.parametrize("split", ["60/40", "a/b/c", "60/0/40", "60/20/-20", "1e400/1/1"])
def test_a_split_that_is_none_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(ForewordError, match="three numbers above 0 for train, dev and test, such as 60/20/20"):
        task_of(Run(model="x", data=str(tickets(tmp_path / "t.csv")), split=split))


def test_a_split_beside_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="--task brings its own; leave --split out"):
        task_of(Run(model="x", task="mini-dart", split="60/20/20"))


def test_the_trivial_answers_by_hand() -> None:
    labels = ("a", "b", "c")
    train = tuple(example(f"t{n}", label, labels) for n, label in enumerate("aabacb"))
    test = tuple(example(f"e{n}", label, labels) for n, label in enumerate("abcc"))
    task = Task("toy", train, (), test, metrics=("accuracy",))
    measure = metric("accuracy")
    always, blind = trivial_answers(task, measure)
    assert always.name == "always 'a'" and blind.name == "chance"
    assert float(measure.from_sums(sum(always.statistics.values()))) == 25.0  # type: ignore[arg-type]
    assert float(measure.from_sums(sum(blind.statistics.values()))) == pytest.approx(100 / 3)  # type: ignore[arg-type]


def test_choices_of_each_example_have_a_chance_and_no_majority() -> None:
    test = (example("1", "a", ("a", "b")), example("2", "z", ("w", "x", "y", "z")))
    task = Task("toy", (example("t", "a", ("a", "b")),), (), test, metrics=("accuracy",))
    measure = metric("accuracy")
    assert commonest(task) is None and majority(task, measure) is None
    blind = chance(task, measure)
    assert blind is not None and float(measure.from_sums(sum(blind.statistics.values()))) == pytest.approx(37.5)  # type: ignore[arg-type]


def test_free_text_has_a_majority_only_where_an_answer_is_common() -> None:
    def task(train: list[str]) -> Task:
        return Task("toy", tuple(example(f"t{n}", target) for n, target in enumerate(train)), (), (example("e", "x"),))

    assert commonest(task([f"text {n}" for n in range(20)])) is None
    assert commonest(task(["same", "same", *(f"text {n}" for n in range(8))])) == "same"
    assert commonest(task([])) is None


def test_macro_f1_and_mcc_by_hand() -> None:
    truths, outputs = ["a", "a", "b", "c"], ["a", "b", "b", "?"]
    # F1 of a: 2 / 3; of b: 2 / 3; of c: 0
    assert macro_f1(truths, outputs) == pytest.approx(100 * (2 / 3 + 2 / 3) / 3)
    assert macro_f1(truths, truths) == 100.0
    two = (["p", "p", "p", "n", "n"], ["p", "p", "n", "n", "p"])  # tp 2, fn 1, tn 1, fp 1
    assert matthews(*two) == pytest.approx(100 * (2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde?")), min_size=1, max_size=60))
def test_macro_f1_and_mcc_as_their_definitions_say(pairs: list[tuple[str, str]]) -> None:
    truths, outputs = [truth for truth, _ in pairs], [output for _, output in pairs]
    counted, classes = Counter(pairs), sorted({*truths, *outputs})
    scores = []
    for label in sorted(set(truths)):
        sides = truths.count(label) + outputs.count(label)
        scores.append(200 * counted[label, label] / sides)
    assert macro_f1(truths, outputs) == pytest.approx(sum(scores) / len(scores))
    upper = sum(
        counted[k, k] * counted[m, n] - counted[k, m] * counted[n, k] for k in classes for m in classes for n in classes
    )  # Gorodkin 2004, equation 8
    below = math.prod(len(pairs) ** 2 - sum(side.count(k) ** 2 for k in classes) for side in (truths, outputs)) ** 0.5
    assert matthews(truths, outputs) == pytest.approx(100 * upper / below if below else 0.0)


def test_a_file_of_tickets_end_to_end(tmp_path: Path) -> None:
    tuning = Tuning(prompt_length=3, max_steps=4, eval_every=2, batch_size=4, warmup_steps=1)
    run = Run(
        model="tiny", data=str(tickets(tmp_path / "tickets.csv")), split="50/10/40", methods=["zero", "icl", "pt"],
        seeds=[0, 1], max_new_tokens=4, out=str(tmp_path / "out"), tuning=tuning,
    )  # fmt: skip
    outcome = carry_out(plan(run, backbone=tiny.backbone("llama")))
    summary = outcome.summary
    assert summary.metric == "accuracy" and summary.labels == ("billing", "login", "shipping")
    assert summary.sizes == {"train": 50, "dev": 10, "test": 40}
    assert [baseline.name for baseline in summary.baselines] == ["always 'shipping'", "chance"]
    assert any("taken as the choices of a classification" in note for note in summary.notes)
    for row in summary.rows:
        assert row.classes is not None and sum(map(sum, row.classes.confusion)) == 40 * len(row.seeds)
        assert all(counts[-1] == 0 for counts in row.classes.confusion), "an answer is one of the choices"
    floor, best = max(baseline.score for baseline in summary.baselines), max(row.mean for row in summary.rows)
    assert bool(summary.recommendation.method) == (best > floor)
    page = outcome.report.read_text(encoding="utf-8")
    assert (
        "Confusion of labels" in page
        and "always &#x27;shipping&#x27;" in page
        and "50 train, 10 dev and 40 test" in page
    )


def test_a_file_with_its_own_test_keeps_it(tmp_path: Path) -> None:
    task = task_from_files("t", tickets(tmp_path / "a.csv"), test=tickets(tmp_path / "b.csv", 20))
    assert {example.choices for example in (*task.train, *task.test)} == {("billing", "login", "shipping")}


@pytest.mark.parametrize("settings", [{"stop": "elivery"}, {"extract": "answer is (.+)"}])
def test_how_text_is_read_is_said_to_be_unused_where_answers_are_chosen(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """It was said that the targets are cut at the stop text, where nothing is generated; of --extract nothing was said."""

    def notes(**more: Any) -> list[str]:
        settings = {"model": "tiny", "methods": ["zero"], "out": str(tmp_path / "out"), **more}
        planned = plan(Run(data=str(tickets(tmp_path / "tickets.csv")), **settings), backbone=tiny.backbone("llama"))
        return [note for note in planned.task.remarks if "--stop" in note or "stop text" in note or "--extract" in note]

    ((flag, value),) = settings.items()
    (note,) = notes(**settings)
    assert note.startswith(f"--{flag} {value!r} is not used, because every answer is one of the choices")
    assert notes() == [] and not any("not used" in note for note in notes(**settings, choices=["none"]))


def test_a_choice_of_unknown_characters_is_compared_and_may_be_right() -> None:
    """Of 26 examples, 57.7% of them right, it was said that no method can get any right."""
    letters: Any = SimpleNamespace(
        answer_ids=lambda runs: [ord(letter) for text, _ in runs for letter in text],
        target_tokenizer=SimpleNamespace(unknown=lambda ids: ids.count(ord("y"))),
    )
    bare, choices = Template(answer="{target}"), ("yes", "no")
    chosen = Task("t", (), (), (example("1", "yes", choices), example("2", "no", choices)), bare)
    (note,) = unwritable(letters, chosen)
    assert note.startswith("1 of 2 choices, such as 'yes', hold characters") and "no method" not in note
    (note,) = unwritable(letters, Task("t", (), (), (example("1", "yes"), example("2", "no")), bare))
    assert note.startswith("1 of 2 test examples have only answers") and note.endswith("no method can get those right.")
