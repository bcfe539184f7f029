"""What a tokenizer must not do to a user's text: blanks, control tokens, choices it cannot tell apart, and room for an answer."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import transformers

from entry import foreword, refused, save_model
from entry import save_pairs as write
from foreword.config.run import load
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import load_backbone
from foreword.models import reference
from foreword.prompts.methods import METHODS
from foreword.study.boundary import bounded
from foreword.study.representable import representable
from foreword.study.resolve import scored_task, task_of
from foreword.study.trial import Spec, Trial
from foreword.util.errors import ForewordError

# -- the blank between question and answer, control tokens -------------------------------------------------------------


def test_a_trailing_blank_in_the_question_costs_nothing(tmp_path: Path) -> None:
    scores = []
    for number, (question, answer) in enumerate(
        [("Input: {input}\nOutput: ", "{target}"), ("Input: {input}\nOutput:", " {target}")]
    ):
        document = foreword(
            "evaluate", "--model", "reference-small", "--task", "mini-dart", "--method", "icl", "--limit", 12, "--train-limit", 60,
            "--question", question, "--answer", answer, "--max-new-tokens", 24, "--out", tmp_path / str(number), "--json",
        ).json  # fmt: skip
        scores.append(document["metrics"]["bleu"]["score"])
        assert (number == 0) == any("blank between question and answer was moved" in note for note in document["notes"])
    assert scores[0] == scores[1] > 0


@pytest.mark.parametrize("model", ["reference-small", "tinystories"])
@pytest.mark.parametrize(
    ("question", "answer"), [("In: {input}\nOut: ", "{target}"), ("In: {input}\nOut:", " {target}")]
)
def test_a_demonstrations_answer_has_the_trained_answers_tokens(
    model: str, question: str, answer: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("shared") / "models" / "tinystories-656k" if model == "tinystories" else model
    backbone = load_backbone(str(folder))
    rows = tuple(Example(str(n), {"input": f"the dog {n}"}, (f"a cat {n}",)) for n in range(6))
    task = bounded(backbone, Task("t", rows[:4], (), rows[4:], Template(question=question, answer=answer)))
    layout = Trial(Spec("few", replace(METHODS["few"], k=1), 0, Tuning(), 8), backbone, task, Path()).layout()
    ids = layout.lay(task.test[0]).row().prefix
    (shown,) = [
        example
        for example in task.train
        if task.template.demonstration(example) == layout.context(task.test[0]).segments[0].text
    ]  # type: ignore[union-attr]
    trained = layout.training_row(shown).answer[:-1]
    assert any(ids[at : at + len(trained)] == trained for at in range(len(ids)))
    whole = task.template.ask(shown) + task.template.reply(shown.targets[0])
    assert backbone.tokenizer.ids(whole, first=True)[-len(trained) :] == trained, "and those that the whole text has"


def test_users_text_is_never_a_control_token() -> None:
    backbone = load_backbone("reference-small")
    end = backbone.eos[0]
    text = "use <|end|> now"
    template = Template(question="{input}<|end|>\nOut:", answer=" {target}")
    example = Example("1", {"input": text}, (text,))
    own = backbone.tokenizer.ids(template.question_runs(example), first=True)
    assert own.count(end) == 1, "the template's own, and not the user's"
    answer = backbone.answer_ids(template.replied(text))
    assert answer.count(end) == 1 and answer[-1] == end
    assert template.read(backbone.target_tokenizer.text(answer)) == text
    split = Template(question="<|{input}|>")
    assert end not in backbone.tokenizer.ids(split.question_runs(Example("2", {"input": "end"}, ("x",))), first=True)
    assert backbone.tokenizer.ids((("a <|end|>", True), (" b", False)), first=True) == backbone.tokenizer.ids(
        "a <|end|> b", first=True
    )


def test_a_doubled_start_is_dropped_and_show_marks_specials(shared: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [("once upon </s> a time", "yes")])
    document = foreword(
        "show", "--model", shared / "models" / "stories260k", "--test", path, "--method", "zero", "--instruction", "<s>Say.", "--json"
    ).json  # fmt: skip
    assert document["ids"][0] == 1 and document["ids"].count(1) == 1 and 2 not in document["ids"]
    assert len(document["ids"]) == document["tokens"] == sum(piece["tokens"] for piece in document["pieces"])
    assert [piece["controls"] for piece in document["pieces"]] == [["<s>"], [], []]
    text = foreword(
        "show", "--model", shared / "models" / "stories260k", "--test", path, "--method", "zero", "--question", "{input}</s>\nOut:"
    ).out  # fmt: skip
    assert "question, control tokens </s>" in text and "start, control tokens <s>" in text


# -- what a tokenizer can carry, and room for it --------------------------------------------------------------------------


def test_choices_that_are_one_to_the_model_are_refused(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "tinystories-656k"
    path = write(tmp_path / "t.jsonl", [(f"story {n}", "坏") for n in range(30)])
    for verb in (["compare", "--data", path, "--methods", "zero"], ["evaluate", "--test", path, "--method", "zero"]):
        refused(
            *verb,
            "--model",
            model,
            "--choices",
            "好,坏",
            "--out",
            tmp_path / "o",
            says=("'好' and '坏'", "same tokens"),
        )
    refused("generate", "--model", model, "--data", path, "--choices", "好,坏", says=("'好' and '坏'", "same tokens"))


def test_a_choice_that_begins_another_needs_an_end() -> None:
    backbone = load_backbone("reference-small")
    rows = (Example("1", {"input": "q"}, ("no",), ("no", "no way")),)
    task = Task("t", rows, (), (), Template())
    assert representable(backbone, task) is task
    endless = copy.copy(backbone)
    endless.eos = ()
    with pytest.raises(ForewordError, match="'no' begins the choice 'no way' in tokens"):
        representable(endless, task)


def test_targets_that_cannot_be_written_are_counted_by_every_verb(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "tinystories-656k"
    path = write(tmp_path / "t.jsonl", [(f"story {n}", f"the end {n}" if n % 3 else f"好 {n}") for n in range(30)])
    document = foreword(
        "evaluate",
        "--model",
        model,
        "--test",
        path,
        "--method",
        "zero",
        "--limit",
        30,
        "--out",
        tmp_path / "o",
        "--json",
    ).json
    (note,) = [note for note in document["notes"] if "cannot be written by the tokenizer" in note]
    assert note.startswith("10 of 30 distinct targets") and "'好 0' comes back as" in note
    assert (
        "cannot be written by the tokenizer"
        in foreword("generate", "--model", model, "--data", path, "--limit", 2, "--json").err
    )
    tuned = foreword("tune", "--model", model, "--data", path, "--max-steps", 1, "--out", tmp_path / "p", "--json").json
    assert any("cannot be written by the tokenizer" in note for note in tuned["notes"])


def test_targets_longer_than_the_limit_are_counted_before_anything_runs(tmp_path: Path) -> None:
    pairs = [(f"q {n}", "some words " * (60 if n == 7 else 2)) for n in range(30)]
    path = write(tmp_path / "t.jsonl", pairs)
    ask = [
        "evaluate",
        "--model",
        "reference-small",
        "--test",
        path,
        "--method",
        "zero",
        "--question",
        "{input}:",
        "--out",
        tmp_path / "o",
    ]
    refused(
        *ask,
        "--max-new-tokens",
        20,
        says=("1 target of dev and test has more than --max-new-tokens 20", "'row-8'", "give --max-new-tokens"),
    )
    assert not (tmp_path / "o").exists()
    document = foreword(*ask, "--max-new-tokens", 20, "--too-long", "drop", "--json").json
    assert any("1 target of dev and test has more than --max-new-tokens 20" in note for note in document["notes"])
    document = foreword(*ask, "--json").json
    assert any(note.startswith("--max-new-tokens was raised from 64 to ") for note in document["notes"])


def test_a_limit_on_what_is_scored_leaves_the_pool(tmp_path: Path) -> None:
    document = foreword(
        "show", "--model", "reference-small", "--task", "mini-dart", "--method", "icl", "--limit", 2, "--json"
    ).json
    whole = foreword(
        "show",
        "--model",
        "reference-small",
        "--task",
        "mini-dart",
        "--method",
        "icl",
        "--example",
        document["example"],
        "--json",
    ).json
    assert document["pieces"] == whole["pieces"]
    run = load(None, flags={"model": "none", "task": "mini-dart", "limit": 3})
    assert len(scored_task(run, whole_pool=True).train) == len(task_of(run.model_copy(update={"limit": None})).train)
    assert len(scored_task(run, whole_pool=True).test) == len(task_of(run).train) == 3


def test_dropped_demonstrations_are_printed_and_one_is_one(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model")
    train = write(tmp_path / "a.jsonl", [(f"{'ba lo ri ' * 16}{n}", f"na {n}") for n in range(8)])
    test = write(tmp_path / "t.jsonl", [("tem " * 9, "na")])
    result = foreword(
        "evaluate", "--model", model, "--data", train, "--dev", train, "--test", test, "--method", "icl:bm25:3", "--max-new-tokens", 8,
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert result.code == 0 and ", 1 example\n" in result.out, result
    assert "demonstrations did not fit the window and were left out" in " ".join(result.out.split())


def test_a_tokenizer_that_knows_more_tokens_than_the_model_has_vectors(tmp_path: Path) -> None:
    folder = tmp_path / "E"
    shutil.copytree(reference.folder("small"), folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    ask = [
        "evaluate",
        "--model",
        folder,
        "--task",
        "mini-dart",
        "--limit",
        3,
        "--train-limit",
        10,
        "--max-new-tokens",
        4,
    ]
    result = foreword(*ask, "--method", "icl:dense", "--out", tmp_path / "o", "--json")
    assert result.code == 0, result.err
    refused(
        *ask,
        "--question",
        "{input}[PAD]",
        "--method",
        "zero",
        "--out",
        tmp_path / "p",
        says=("'[PAD]'", "vectors for 2048 tokens alone"),
    )
    path = write(tmp_path / "t.jsonl", [("text with [PAD] in it", "yes")])
    shown = foreword("show", "--model", folder, "--test", path, "--method", "zero", "--json").json
    assert max(shown["ids"]) < len(tokenizer) - 1, "in users' text it is text"
