"""What users' data and wording must not do to an answer: each fault once seen, with the right value as its test."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from entry import foreword, refused, save_rows
from entry import save_pairs as write
from foreword.data.examples import Example, divided, examples, merged, shared_questions
from foreword.data.template import Template
from foreword.engine import load_backbone
from foreword.metrics.spider_match import elementai, suite
from foreword.prompts.retrieve import make
from foreword.prompts.retrieve.bm25 import pieces
from foreword.tasks import task_from_files
from foreword.tasks._leaks import leaks
from foreword.util.errors import ForewordError

TWO = [("the parcel came late", "negative"), ("the parcel came late", "positive")]
TWO += [("lovely shop", "positive"), ("lovely shop", "negative")]


# -- one input, different labels ----------------------------------------------------------------------------------------


def test_conflicting_test_labels_are_each_scored(tmp_path: Path) -> None:
    """Whatever label stands at an input, half of its two rows are right: 50.0 on 4, never 100.0 on 2."""
    path = write(tmp_path / "f.jsonl", TWO)
    document = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--choices", "positive,negative",
        "--method", "zero", "--out", tmp_path / "o", "--json",
    ).json  # fmt: skip
    assert (document["examples"], document["metrics"]["accuracy"]["score"]) == (4, 50.0)
    assert any(
        "4 of 4 test rows have an input that other rows give another label (2 inputs)" in n for n in document["notes"]
    )


def test_rows_of_one_input_without_choices_are_one_example_and_counted(tmp_path: Path) -> None:
    pairs = [(f"question {n // 2}", f"a long answer with words {n}") for n in range(60)]
    task = task_from_files("mine", write(tmp_path / "a.jsonl", pairs))
    assert len(task.test) == 10 and all(len(example.targets) == 2 for example in task.test)
    assert any(
        note.startswith("20 test rows ask 10 questions: the 20 rows that share an input are 10 ") for note in task.notes
    )


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
    example = Example("x1", {"input": FORMS[0]}, ("?",))

    def encode(texts: Any) -> Any:
        import numpy as np

        return np.ones((len(texts), 2), dtype=np.float32)

    shown = make(retriever, pool, encode=encode).find(example, 2)
    assert [demonstration.example.id for demonstration in shown] == ["t2"]
    assert shared_questions(pool, [example]) == 1


def test_forms_of_one_question_land_in_one_split() -> None:
    rows = [Example(f"{n}-{k}", {"input": f"{form} {n}"}, ("x",)) for n in range(20) for k, form in enumerate(FORMS)]
    for part in divided(rows, [5, 5], seed=1):
        questions = {example.fields["input"].rpartition(" ")[2] for example in part}
        assert len(part) == len(questions) * len(FORMS)


def test_forms_are_scored_as_they_are_written() -> None:
    """Only what is equal character by character is one example: a scored row is never changed."""
    rows = [Example(str(n), {"input": form}, (str(n),)) for n, form in enumerate(FORMS)]
    assert [example.fields["input"] for example in merged(rows)] == FORMS


def test_a_trailing_blank_does_not_leak_the_answer(tmp_path: Path) -> None:
    r = random.Random(1)
    names = [
        "Bomis",
        "Vuris",
        "Groba",
        "Dritel",
        "Klavis",
        "Nedo",
        "Tasin",
        "Preru",
        "Niven",
        "Sabel",
        "Stonar",
        "Dradar",
    ]
    rows = []
    for _ in range(60):
        question, answer = " ".join(r.sample(names, 4)), " ".join(r.sample(names, 2))
        rows += [(question, answer), (question + " ", answer)]
    task = task_from_files("dup", write(tmp_path / "dup.jsonl", rows))
    splits = {
        name: {example.fields["input"].strip() for example in task.split(name)} for name in ("train", "dev", "test")
    }
    assert not splits["train"] & (splits["dev"] | splits["test"])
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [34, 6, 20]


def test_near_twins_are_counted(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(400)]
    train = [(" ".join(words[n * 20 : n * 20 + 20]), f"answer {n}") for n in range(20)]
    test = [(train[0][0] + " more", "answer"), ("quite another question", "answer")]
    task = task_from_files(
        "mine",
        write(tmp_path / "a.jsonl", train),
        write(tmp_path / "d.jsonl", [("d", "e")]),
        write(tmp_path / "t.jsonl", test),
    )
    assert any(note.startswith("1 of 2 test examples have a near twin in train") for note in task.notes)


def test_signs_that_carry_the_meaning_are_no_twins() -> None:
    """Any two strings of brackets were alike, and so were 10 + 12, 10 - 12 and 10 * 12."""

    def questions(*texts: str) -> list[Example]:
        return [Example(text, {"input": text}, ("x",)) for text in texts]

    rng = random.Random(0)
    brackets = questions(*{"".join(rng.choices("()[]{}", k=12)) for _ in range(200)})
    assert leaks(brackets[:100], brackets[100:]) == []
    assert leaks(brackets, questions(f" {brackets[0].id} "))[0].how == "alike", "blanks are still put aside"
    others = questions("10 - 12", "10 * 12", "10/12", "10 ^ 12", "10 < 12", "-10 12", "10 € 12")
    assert leaks(questions("10 + 12"), others) == []
    assert [leak.how for leak in leaks(questions("10 + 12"), questions("10+12", "(10 + 12)?"))] == ["alike", "alike"]
    assert len(leaks(questions("covid-19 - is it over?", "a/b"), questions("Covid 19: is it over", "a - b"))) == 2


# -- wording ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "target", "stop"),
    [
        (" {target}.", "3.5", "\n"), (" ({target})", "f(x)", "\n"), (" A {target}", "Apple", "\n"), (" {target}", "x", "。"),
        ("\n\n{target}", "x", "\n\n"), (" {target}", "two\nlines", "\n\n"), (" {target}", "x", ("###", "\n\n")),
    ],
)  # fmt: skip
def test_what_was_to_be_said_is_read_back(answer: str, target: str, stop: str | tuple[str, ...]) -> None:
    template = Template(answer=answer, stop=stop)
    assert template.read(template.reply(target)) == target
    assert template.read(template.reply(target) + template.stops[0] + "Input: more") == target
    assert template.misread([target]) == (0, "")


def test_reading_takes_off_no_more_than_the_wording() -> None:
    assert Template(answer=" A {target}").read(" Apple pie") == "Apple pie"
    assert Template(answer=" {target}.").read(" yes. And so on") == "yes"
    assert Template(stop="\n\n").read("\n\nyes\n\nInput:") == "yes"
    assert Template(stop=("###", "。")).read(" yes。no ###") == "yes"


def test_a_wording_that_cannot_be_read_back_is_said(tmp_path: Path) -> None:
    pairs = [(f"q {n}", f"e.g. this {n}" if n % 2 else f"something else {n}") for n in range(60)]
    template = Template(answer=" {target}.")
    task = task_from_files("mine", write(tmp_path / "a.jsonl", pairs), template=template)
    (note,) = [remark for remark in task.remarks if "cannot be read back" in remark]
    assert "' is read as 'e.g'" in note and "' {target}'" in note and note.startswith("30 targets")


@pytest.mark.parametrize("stop", ["。", "é", "###", "\n"])
def test_a_stop_text_ends_an_answer_whatever_its_tokens(stop: str) -> None:
    """A byte-level tokenizer writes 。 in three tokens none of which is the character."""
    backbone = load_backbone("reference-small")
    ids = backbone.target_tokenizer.ids("yes" + stop, first=False)
    assert ids[-1] in backbone.target_tokenizer.ending_in(stop[-1])


@pytest.mark.parametrize("question", ["{0}\nOut:", "{input:d}", "{input!x}", "{a.b}", "{a[0]}", "{ 0 }"])
def test_any_column_is_named_as_plain_text(question: str) -> None:
    name = question.partition("}")[0].strip("{ ")
    template = Template(question=question)
    assert template.names() == [name]
    assert template.ask(Example("1", {name: "q"}, ("x",))).startswith("q")
    with pytest.raises(ForewordError, match="no column"):
        examples([{"input": "q", "target": "x"}] if name != "input" else [{}], fields_needed=template.names())


@pytest.mark.parametrize("question", ["{input} {}", "{input", "input}", "{}", "{{input}}", '{"q": "{input}"}'])
def test_a_question_that_is_not_well_formed_is_refused(question: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", TWO)
    refused(
        "show",
        "--test",
        path,
        "--question",
        question,
        says=("question template", "write e.g." if "{{" in question else "brace"),
    )


def test_doubled_braces_are_literal() -> None:
    template = Template(question='{{"q": "{input}"}}')
    assert template.ask(Example("1", {"input": "x {target} {{"}, ("y",))) == '{"q": "x {target} {{"}'


def test_the_question_never_holds_the_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", TWO)
    refused("show", "--test", path, "--question", "{input} {target}", says=("'target'", "answer", "--question"))
    refused("show", "--test", path, "--input-column", "target", says=("'target'", "answer", "--input-column"))


def test_literal_braces_are_said(tmp_path: Path) -> None:
    pairs = [(f"q {n}", f"some words {n}") for n in range(60)]
    template = Template(instruction="Read {input}.", answer=" {label}: {target}")
    notes = task_from_files("mine", write(tmp_path / "a.jsonl", pairs), template=template).remarks
    assert any("instruction" in note and "'{input}'" in note for note in notes)
    assert any("answer" in note and "'{label}'" in note for note in notes)


# -- words of every script ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("दिन दीन दान", ["दिन", "दीन", "दान"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("كِتَابٌ جَدِيدٌ", ["كِتَابٌ", "جَدِيدٌ"]),
        ("שָׁלוֹם עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
        ("İstanbul ISTANBUL", ["i̇stanbul", "istanbul"]),
        ("STRAẞE straße STRASSE", ["strasse"] * 3),
        ("ﬁne ｆｉｎｅ", ["fine", "fine"]),
        ("café cafe\u0301", ["café", "café"]),
        ("ភាសាខ្មែរ", ["ភា", "សា", "ខ្", "មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ພາສາ", ["ພ", "າ", "ສ", "າ"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("བོད་སྐད", ["བོད", "སྐད"]),
        ("你好 世界", ["你", "好", "世", "界"]),
        ("スーパー", ["ス", "ー", "パ", "ー"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("snake_case, it's 3.5", ["snake", "case", "it", "s", "3", "5"]),
    ],
)
def test_words_of_every_script(text: str, words: list[str]) -> None:
    folded = [unicodedata.normalize("NFKC", word) for word in words]
    assert pieces(text) == folded


def test_a_similarity_never_exceeds_one() -> None:
    pool = [Example("1", {"input": "rain " * 20}, ("a",)), Example("2", {"input": "sun and clouds"}, ("b",))]
    pool += [Example(str(n), {"input": f"other words {n}"}, ("c",)) for n in range(3, 9)]
    shown = make("bm25", pool).find(Example("x", {"input": "rain today"}, ("?",)), 2)
    assert shown[-1].example.id == "1" and all(
        0 <= demonstration.similarity <= 1 for demonstration in shown if demonstration.similarity is not None
    )


# -- official scores of nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["", "  ", "\t", "'"])
def test_an_empty_prediction_is_dropped_as_the_official_tool_does(prediction: str, tmp_path: Path) -> None:
    table = {
        "db_id": "d", "table_names_original": ["t"], "column_names_original": [[-1, "*"], [0, "a"]], "foreign_keys": [],
    }  # fmt: skip
    save_rows(tmp_path / "tables.jsonl", [table])
    cases = save_rows(
        tmp_path / "cases.jsonl", [{"id": "1", "db_id": "d", "gold": "SELECT a FROM t", "prediction": prediction}]
    )
    result = foreword("score", "spider_match", cases, "--json")
    assert result.code == 0, result.err
    if not prediction.strip():
        assert result.json["per_example"][0]["out"] == {"error": "dropped_blank_line"}


def test_no_zip_of_a_shifted_copy_can_fail_on_nothing() -> None:
    assert elementai(()) == [] == suite(())
    assert elementai(("inner", "join")) == ["join"]
