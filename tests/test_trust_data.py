"""What users' data and wording must not do to an answer: each fault once seen, with the right value as its test."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from entry import foreword, refused, save_rows
from foreword.data import Example, divided, examples, merged, shared_questions
from foreword.retrieve import make
from foreword.tasks import task_from_files

TWO = [("the parcel came late", "negative"), ("the parcel came late", "positive")]
TWO += [("lovely shop", "positive"), ("lovely shop", "negative")]


def write(path: Path, pairs: list[tuple[str, str]]) -> Path:
    return save_rows(path, [{"input": asked, "target": answer} for asked, answer in pairs])


# -- one input, different labels ----------------------------------------------------------------------------------------


def test_conflicting_test_labels_are_each_scored(tmp_path: Path) -> None:
    """Whatever label stands at an input, half of its two rows are right: 50.0 on 4, never 100.0 on 2."""
    path = write(tmp_path / "f.jsonl", TWO)
    told = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--choices", "positive,negative",
        "--method", "zero", "--out", tmp_path / "o", "--json",
    ).json  # fmt: skip
    assert (told["examples"], told["metrics"]["accuracy"]["score"]) == (4, 50.0)
    assert any("4 of 4 test rows have an input that other rows give another label (2 inputs)" in n for n in told["notes"])


def test_rows_of_one_input_without_choices_are_one_example_and_counted(tmp_path: Path) -> None:
    pairs = [(f"question {n // 2}", f"a long answer with words {n}") for n in range(60)]
    task = task_from_files("mine", write(tmp_path / "a.jsonl", pairs))
    assert len(task.test) == 3 and all(len(one.targets) == 2 for one in task.test)
    assert any(note.startswith("6 test rows ask 3 questions: the 6 rows that share an input are 3 ") for note in task.notes)


# -- the same question in another form ----------------------------------------------------------------------------------

FORMS = [
    "Where is the café?",
    "Where is the café? ",
    "Where is\xa0the café?",
    unicodedata.normalize("NFD", "Where is the café?"),
    "WHERE IS THE CAFÉ?",
    "Where is the\r\ncafé?",
    "Where is the ca\u200bfé?",
    "Where is  the\tcafé?",
    "Where is the ｃａｆé?",
]


@pytest.mark.parametrize("form", FORMS[1:], ids=ascii)
@pytest.mark.parametrize("retriever", ["bm25", "random", "dense"])
def test_a_twin_in_another_form_is_never_shown(form: str, retriever: str) -> None:
    pool = [Example("t1", {"input": form}, ("yes",)), Example("t2", {"input": "What else?"}, ("no",))]
    asked = Example("x1", {"input": FORMS[0]}, ("?",))

    def encode(texts: Any) -> Any:
        import numpy as np

        return np.ones((len(texts), 2), dtype=np.float32)

    shown = make(retriever, pool, encode=encode).find(asked, 2)
    assert [one.example.id for one in shown] == ["t2"]
    assert shared_questions(pool, [asked]) == 1


def test_forms_of_one_question_land_in_one_split() -> None:
    rows = [Example(f"{n}-{k}", {"input": f"{form} {n}"}, ("x",)) for n in range(20) for k, form in enumerate(FORMS)]
    for part in divided(rows, [5, 5], seed=1):
        asked = {one.fields["input"].rpartition(" ")[2] for one in part}
        assert len(part) == len(asked) * len(FORMS)


def test_forms_are_scored_as_they_are_written() -> None:
    """Only what is equal character by character is one example: a scored row is never changed."""
    rows = [Example(str(n), {"input": form}, (str(n),)) for n, form in enumerate(FORMS)]
    assert [one.fields["input"] for one in merged(rows)] == FORMS


def test_a_trailing_blank_does_not_leak_the_answer(tmp_path: Path) -> None:
    r = random.Random(1)
    names = "Bomis Vuris Groba Dritel Klavis Nedo Tasin Preru Niven Sabel Stonar Dradar".split()
    rows = []
    for _ in range(60):
        asked, answer = " ".join(r.sample(names, 4)), " ".join(r.sample(names, 2))
        rows += [(asked, answer), (asked + " ", answer)]
    task = task_from_files("dup", write(tmp_path / "dup.jsonl", rows))
    splits = {name: {one.fields["input"].strip() for one in task.split(name)} for name in ("train", "dev", "test")}
    assert not splits["train"] & (splits["dev"] | splits["test"])
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [48, 6, 6]


def test_near_twins_are_counted(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(400)]
    train = [(" ".join(words[n * 20 : n * 20 + 20]), f"answer {n}") for n in range(20)]
    test = [(train[0][0] + " more", "answer"), ("quite another question", "answer")]
    task = task_from_files(
        "mine", write(tmp_path / "a.jsonl", train), write(tmp_path / "d.jsonl", [("d", "e")]), write(tmp_path / "t.jsonl", test)
    )
    assert any(note.startswith("1 of 2 test examples have a near twin in train") for note in task.notes)
