"""Choices, empty answers and metrics of tables as people have them: what fits the data is taken and said, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from entry import foreword, refused
from entry import save_text as text
from foreword.cli.options import settings
from foreword.config.run import Run
from foreword.data.examples import Columns, examples
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.metrics import METRICS
from foreword.tasks import task_from_files
from foreword.util.errors import ForewordError

# -- choices ------------------------------------------------------------------------------------------------------------


def test_choices_from_a_list_and_from_a_file(tmp_path: Path) -> None:
    assert settings({"choices": '["No, it is not", "Yes, it is"]'}) == {"choices": ["No, it is not", "Yes, it is"]}
    path = text(tmp_path / "labels.txt", "No, it is not\nYes, it is\n\n")
    assert settings({"choices": str(path)}) == {"choices": ["No, it is not", "Yes, it is"]}
    assert settings({"choices": str(text(tmp_path / "l.json", '["a, b", 1.50]'))}) == {"choices": ["a, b", "1.50"]}
    assert settings({"choices": "a, b"}) == {"choices": ["a", "b"]}
    assert settings({"stop": '["\\n\\n", "###"]'}) == {"stop": ["\n\n", "###"]}
    for doubles in ("yes, yes", '["no", "yes", "yes "]', str(text(tmp_path / "d.txt", "yes\nno\nyes\n"))):
        with pytest.raises(ForewordError, match="--choices holds 'yes' twice; name each once"):
            settings({"choices": doubles})
    with pytest.raises(ForewordError, match="choices holds 'yes' twice"):
        Run(model="m", choices=["yes", "yes "])
    with pytest.raises(ForewordError, match=r"--choices .* is no JSON list"):
        settings({"choices": "[a, b]"})


def test_each_row_may_have_its_own_choices() -> None:
    rows: list[dict[str, Any]] = [
        {"input": "q", "options": ["red", "green"], "target": "1"},
        {"input": "r", "options": '["0", "1", "2"]', "target": 0},
    ]
    parsed = examples(rows, Columns(choices="options", index=0))
    assert [(example.choices, example.targets) for example in parsed] == [
        (("red", "green"), ("green",)),
        (("0", "1", "2"), ("0",)),
    ]
    (example,) = examples([rows[0] | {"target": "2"}], Columns(choices="options", index=1))
    assert example.targets == ("green",)
    (example,) = examples(
        [{"input": "q", "target": "B", "choices": {"text": ["x", "y"], "label": ["A", "B"]}}],
        Columns(choices="choices"),
    )
    assert example.targets == ("y",)
    with pytest.raises(
        ForewordError, match=r"no place among its 2 choices, which are counted from 0 to 1.*--target-index 1"
    ):
        examples([rows[0] | {"target": "2"}], Columns(choices="options", index=0))
    with pytest.raises(ForewordError, match=r"none of the choices; where it is the answer's place.*--target-index 0"):
        examples([rows[0]], Columns(choices="options"))
    with pytest.raises(ForewordError, match="holds the choice 'red' twice"):
        examples([rows[0] | {"options": ["red", "red "]}], Columns(choices="options"))


def test_a_place_may_be_written_with_a_point_and_advice_leads_out() -> None:
    """pandas writes 1.0 in a column with gaps, which was refused with advice to count from 1, and there to count from 0."""
    row = {"input": "q", "options": ["red", "green"]}
    for written in (1.0, "1.0", "1"):
        (example,) = examples([row | {"target": written}], Columns(choices="options", index=0))
        assert example.targets == ("green",)
    advice: dict[tuple[str, int | None], str] = {
        ("2.0", 0): "or give --target-index 1",
        ("0.0", 1): "or give --target-index 0",
        ("1.5", 0): "mend that row.",
        ("7", 1): "mend that row.",
        ("2", None): "give --target-index 1",
        ("1.0", None): "give --target-index 0",
        ("7", None): "none of the choices. Known",
    }
    for (target, index), says in advice.items():
        with pytest.raises(ForewordError, match=says):
            examples([row | {"target": target}], Columns(choices="options", index=index))


def test_a_place_among_choices_needs_choices() -> None:
    """`--target-index` had no effect without them: the numbers were the answers."""
    for index in (0, 1):
        with pytest.raises(ForewordError, match=r"row 1 of the data is to be a place .* --target-index out"):
            examples([{"input": "a", "target": "1"}], Columns(index=index))
    (without_answer,) = examples([{"input": "a"}], Columns(index=0), answers_needed=False)
    assert without_answer.targets == ()


def test_rows_with_their_own_choices_are_scored(tmp_path: Path) -> None:
    rows = [{"q": f"n {n}", "opts": ["ba", "lo", f"ri {n}"], "gold": n % 3} for n in range(6)]
    path = text(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    document = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--input-column", "q", "--target-column", "gold",
        "--choices-column", "opts", "--target-index", 0, "--method", "zero", "--out", tmp_path / "o", "--json",
    ).json  # fmt: skip
    assert document["examples"] == 6 and next(iter(document["metrics"])) == "accuracy"


# -- empty answers, answers taken out -----------------------------------------------------------------------------------


def test_an_empty_answer_is_legal_where_the_user_says_so(tmp_path: Path) -> None:
    rows = [{"input": f"q {n}", "target": "" if n % 2 else "an answer of words"} for n in range(40)]
    path = text(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    refused("show", "--test", path, says=("empty", "--allow-empty"))
    document = foreword("show", "--test", path, "--allow-empty", "--json").json
    assert [example["targets"] for example in document["examples"]] == [
        ["an answer of words"],
        [""],
        ["an answer of words"],
    ]
    template = Template(empty_answers=True)
    assert template.read(template.reply("") + "\n\nInput: more") == "" == template.read("\n\nInput: more")
    assert Template().read("\n\nyes\n") == "yes"
    result = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--allow-empty", "--method", "zero", "--metrics", "exact_match",
        "--out", tmp_path / "o", "--json",
    )  # fmt: skip
    assert result.code == 0


def test_an_answer_is_taken_out_by_an_expression(tmp_path: Path) -> None:
    template = Template(extract=r"answer is (\w+)")
    assert template.read(" So the answer is 42.\n") == "42" and template.read(" no idea\n") == "no idea"
    assert Template(extract=r"\d+").read(" about 42 or 43\n") == "42"
    assert Template().as_dict() == {
        "instruction": "", "question": "Input: {input}\nOutput:", "answer": " {target}", "separator": "\n\n", "stop": "\n"
    }  # fmt: skip
    assert template.as_dict()["extract"] == r"answer is (\w+)"
    path = text(tmp_path / "t.jsonl", '{"input": "q", "target": "a"}\n')
    refused("show", "--test", path, "--extract", "(", says=("--extract", "regular expression"))
    slow = Template(extract=r"(a+)+$")
    with pytest.raises(ForewordError, match="nested repetitions"):
        slow.read("a" * 5000 + "b")


# -- metrics and labels that fit the data ---------------------------------------------------------------------------------


def own(tmp_path: Path, targets: list[str], **how: Any) -> Task:
    path = tmp_path / "own.jsonl"
    path.write_text(
        "".join(json.dumps({"input": f"q {n}", "target": target}) + "\n" for n, target in enumerate(targets))
    )
    return task_from_files("own", path, **how)


def test_one_long_target_does_not_choose_the_metric(tmp_path: Path) -> None:
    task = own(tmp_path, ["yes"] * 59 + ["an answer of seven words in all"])
    assert task.metrics[0] == "exact_match"
    perfect = [example.targets[0] for example in task.test]
    assert all(METRICS[name].score(perfect, [example.targets for example in task.test]) == 100 for name in task.metrics)


@pytest.mark.parametrize(
    ("sentence", "first"),
    [
        ("他昨天去了北京的一家书店买书", "bleu_zh"),
        ("彼は昨日東京の本屋へ行きました", "bleu_char"),
        ("เขาไปร้านหนังสือเมื่อวานนี้", "bleu_char"),
        ("वह कल किताबों की दुकान पर गया था", "bleu_intl"),
        ("Он вчера ходил в книжный магазин", "bleu_intl"),
        ("Er ging gestern in eine Buchhandlung", "bleu"),
    ],
)
def test_sentences_of_every_script_get_metrics_that_perfect_answers_reach(
    tmp_path: Path, sentence: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bleu_ja", "bleu_ko", "bleu_flores200"):  # whatever is installed here
        monkeypatch.setitem(_shelf_copy(monkeypatch), name, replace(METRICS[name], absence=lambda: "absent"))
    task = own(tmp_path, [f"{sentence} {n}" for n in range(60)])
    assert task.metrics[0] == first and len(task.metrics) == 5
    for name in task.metrics:
        assert METRICS[name].score(
            [example.targets[0] for example in task.test], [example.targets for example in task.test]
        ) == pytest.approx(100)


def _shelf_copy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    copied = dict(METRICS)
    monkeypatch.setattr("foreword.metrics._files", lambda: copied)
    return copied


@pytest.mark.parametrize("text", ["你好", "สวัสดี", "नमस्ते", "привет", "שלום", "hello", "!?", "a the"])
def test_perfect_answers_of_every_script_score_full_marks(text: str) -> None:
    for name in ("rouge_l_unicode", "token_f1_unicode", "bleu_char"):
        score = METRICS[name].score([text * 4], [[text * 4]])
        assert score == pytest.approx(100), (name, text)
        assert METRICS[name].score(["zzz"], [[text * 4]]) == 0
    assert METRICS["rouge_l"].score(["你好"], [["你好"]]) == 0, (
        "the official one sees Latin letters only, under its own name"
    )


def test_bleu_by_language_is_sacrebleus(tmp_path: Path) -> None:
    outputs, references = ["他昨天去了北京 today", "书店在那里"], [["他昨天去了上海 today"], ["书店就在那里"]]
    for name, tokenizer in (("bleu_zh", "zh"), ("bleu_char", "char"), ("bleu_intl", "intl")):
        official = sacrebleu.corpus_bleu(outputs, [[targets[0] for targets in references]], tokenize=tokenizer)
        assert METRICS[name].score(outputs, references) == pytest.approx(official.score, abs=1e-9)
        assert f"tok:{tokenizer}" in METRICS[name].signature()


def test_a_metric_that_gives_perfect_answers_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ForewordError, match=r"'bleu' cannot decide here: the 20 test references .* score 0.0 .*--metrics exact_match"
    ):
        own(tmp_path, ["yes"] * 60, metrics=["bleu"])
    task = own(tmp_path, ["yes"] * 60, metrics=["exact_match", "bleu"])
    assert any("score 0.0 by 'bleu', not 100" in note for note in task.notes)


def test_few_short_targets_are_taken_as_choices_and_said(tmp_path: Path) -> None:
    targets = [["billing", "technical issue", "refund"][n % 3] for n in range(300)]
    task = own(tmp_path, targets)
    assert task.metrics == ("accuracy",) and task.test[0].choices == ("billing", "refund", "technical issue")
    assert any(
        "3 distinct short targets ('billing', 'refund', 'technical issue'), which are taken as the choices" in note
        for note in task.notes
    )
    free = own(tmp_path, targets, choices=["none"])
    assert free.metrics[0] == "exact_match" and not free.test[0].choices
    assert settings({"choices": "none"}) == {"choices": ["none"]}
    result = foreword(
        "compare", "--model", "reference-small", "--data", tmp_path / "own.jsonl", "--methods", "zero", "--dry-run"
    )
    assert "are taken as the choices" in " ".join(result.out.split())
    result = foreword(
        "compare", "--model", "reference-small", "--data", tmp_path / "own.jsonl", "--methods", "zero", "--dry-run", "--choices", "none"
    )  # fmt: skip
    assert "taken as the choices" not in " ".join(result.out.split())
    rare = ["yes", "no"] * 30 + ["maybe"]
    for other in (["yes"] * 60, [f"label {n}" for n in range(60)], [f"{n % 2} {'x' * 40}" for n in range(60)], rare):
        assert not own(tmp_path, other).test[0].choices
