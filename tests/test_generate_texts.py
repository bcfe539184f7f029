"""`foreword generate` on a text, on lines and with a decoding of its own: what a file or the server would be told, and one sentence for
what does not go together."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

import entry
import foreword
import serving
from foreword.engine import load_backbone
from foreword.prompts import store

SCHEMA = {
    "type": "object",
    "properties": {"who": {"enum": ["ada", "bob"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["who", "count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("generate") / "model")


@pytest.fixture(scope="module")
def prompt(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate") / "p"
    with load_backbone(str(model)) as backbone:
        store.save(serving.soft(backbone, 4, 1), folder)
    return folder


def generated(monkeypatch: pytest.MonkeyPatch, text: str, *argv: object, verb: str = "generate") -> entry.CommandResult:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    ran = entry.foreword(verb, *argv, "--max-new-tokens", 9)
    assert ran.code == 0, ran.err
    return ran


def test_a_text_and_lines_are_answered_as_a_file_is(
    model: Path, prompt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["bana 1 lo", "x"]
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": text} for text in texts])
    expected = [
        line["output"] for line in generated(monkeypatch, "", "-m", model, "-p", prompt, "-d", data, "--json").lines
    ]
    for text, answer in zip(texts, expected, strict=True):
        assert generated(monkeypatch, "", text, "-m", model, "-p", prompt).out == f"{answer}\n"
    for written in ("bana 1 lo\nx\n", "\ufeffbana 1 lo\nx\n", "bana 1 lo\nx", "bana 1 lo\r\nx\r\n"):
        lines = generated(monkeypatch, written, "-", "-m", model, "-p", prompt)
        assert lines.out == "".join(f"{answer}\n" for answer in expected)
    ran = generated(monkeypatch, "bana 1 lo\nx", "-", "-m", model, "-p", prompt, "--json")
    assert [line["output"] for line in ran.lines] == expected


def test_an_answer_of_a_line_is_its_text_with_line_ends_alone_escaped(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every backslash was doubled, so that an answer in JSON was none any more; a carriage return went through as it is."""
    for choices in (['{"a": "\\"b\\\\"}', '{"a": "\\"c\\\\"}'], ["ba\nlo\r\nri", "na\nku\r\nlo"]):
        flags = ("-", "-m", model, "--choices", json.dumps(choices))
        answers = [line["output"] for line in generated(monkeypatch, "bana\nx\n", *flags, "--json").lines]
        assert set(answers) <= set(choices)
        expected = [answer.replace("\n", "\\n").replace("\r", "\\r") for answer in answers]
        assert generated(monkeypatch, "bana\nx\n", *flags).out == "".join(f"{line}\n" for line in expected)
        assert "{" not in choices[0] or expected == answers


def test_the_example_of_the_help_sends_a_line_end_when_it_is_copied() -> None:
    """It was in double quotes, where a shell leaves a backslash and an n."""
    (line,) = [line for line in entry.foreword("generate", "--help").out.splitlines() if "Text:" in line]
    shell = ["bash", "-c", f'set -- {line}; printf %s "$3"']
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "Facts: ...\nText:"


def test_a_sampled_text_is_what_the_server_draws_and_inputs_of_a_file_differ(
    model: Path, prompt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = ("-m", model, "-p", prompt, "--temperature", 1.6, "--top-p", 0.95, "--seed")
    for seed in (1, 2):
        spoken = generated(monkeypatch, "bana 1 lo", *drawn, seed, verb="chat").out
        assert generated(monkeypatch, "", "bana 1 lo", *drawn, seed).out == spoken
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": "bana 1 lo"}] * 4)
    several = [
        generated(monkeypatch, "", "-d", data, *drawn, 1, "--json", "--batch-size", size).lines for size in (1, 4)
    ]
    assert several[0] == several[1] and len({line["output"] for line in several[0]}) > 1
    whole = generated(monkeypatch, "", "bana 1 lo", *drawn, 1).out
    stop = whole.strip()[3:5]
    assert (
        generated(monkeypatch, "bana 1 lo", *drawn, 1, "--stop", stop, verb="chat").out.strip()
        == whole.partition(stop)[0].strip()
    )


def test_every_answer_is_json_by_a_schema(model: Path, prompt: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": f"bana {number}"} for number in range(5)])
    for more in ((), ("--temperature", 1.5), ("-p", prompt)):
        command = ("generate", "-m", model, "-d", data, "--json-schema", schema, "--json", *more)
        ran = entry.foreword(*command, "--max-new-tokens", 60)
        assert (ran.code, ran.err, len(ran.lines)) == (0, "", 5)
        for line in ran.lines:
            jsonschema.validate(json.loads(line["output"]), SCHEMA)
    cut = entry.foreword("generate", "bana", "-m", model, "--json-schema", schema, "--max-new-tokens", 3)
    assert cut.code == 0 and "1 of 1 answer was ended by --max-new-tokens 3" in " ".join(cut.err.split())


def test_what_does_not_go_together_is_one_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = entry.save_rows(tmp_path / "in.jsonl", [{"input": "x"}])
    schema = tmp_path / "schema.json"
    schema.write_text("[]", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n \n"))
    entry.refused("generate", "x", "-m", model, "-d", data, says=("A text to answer", "--data"))
    entry.refused("generate", "-", "-m", model, says=("no text to answer",))
    entry.refused("generate", "", "-m", model, says=("no text to answer",))
    entry.refused("generate", "x", "-m", model, "--top-p", 0, says=("top_p",))
    entry.refused("generate", "x", "-m", model, "--json-schema", schema, says=("schema.json", "JSON object"))
    entry.refused("generate", "x", "-m", model, "--json-schema", tmp_path / "no.json", says=("no.json",))
    entry.refused("generate", "x", "-m", model, "--choices", "a,b", "--temperature", 1, says=("choices", "sampling"))


def test_each_line_is_answered_by_one(model: Path, prompt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python takes for a line's end is none to other programs, and a blank line would put all behind it out of step."""
    lines = generated(monkeypatch, "bana\u2028lo\x0bx\nx\n", "-", "-m", model, "-p", prompt)
    assert lines.out.count("\n") == 2
    for text, says in (("x\n\nx\n", "Line 2 of the standard input is blank"), ("x\n\udcff\n", "Line 2")):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        entry.refused("generate", "-", "-m", model, "-p", prompt, says=(says,))
    entry.refused("generate", "\udcff", "-m", model, "-p", prompt, says=("The text is not UTF-8",))


def test_a_text_fills_the_one_column_that_the_question_shows(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It always filled the column `input`, so that a prompt of another column was refused for a row of a temporary file."""
    question = ("-m", model, "--question", "Title: {title}\nOut:")
    data = entry.save_rows(tmp_path / "in.jsonl", [{"title": "bana 1 lo"}])
    expected = generated(monkeypatch, "", *question, "-d", data, "--json").lines[0]["output"]
    assert generated(monkeypatch, "", "bana 1 lo", *question).out == f"{expected}\n"
    assert generated(monkeypatch, "bana 1 lo\n", "-", *question).out == f"{expected}\n"
    with foreword.Predictor(model, question=question[-1], max_new_tokens=9) as predictor:
        assert predictor.generate("bana 1 lo") == predictor.generate([{"title": "bana 1 lo"}]) == [expected]
    several = "Title: {title}\n{input}\nOut:"
    says = ("A text alone is given", "the columns title and body; give --data FILE with")
    entry.refused("generate", "x", "-m", model, "--question", several, "--input-column", "body", says=says)
    with (
        foreword.Predictor(model, question=several) as predictor,
        pytest.raises(foreword.ForewordError, match="the columns title and input; give rows with those columns"),
    ):
        predictor.generate(["x"])


def test_a_text_alone_brings_no_choices_of_its_own(model: Path, tmp_path: Path) -> None:
    """It was refused for a column that a row of a temporary file lacks."""
    with load_backbone(str(model)) as backbone:
        settings = {"choices": [], "choices_column": "opts"}
        store.save(serving.soft(backbone, 4, 1, settings=settings), chooses := tmp_path / "p")
    says = (
        "the prompt answers by choices of each input's own (column 'opts')",
        "--data FILE with that column",
        "--choices",
    )
    entry.refused("generate", "x", "-m", model, "-p", chooses, says=says)
    entry.refused(
        "generate", "x", "-m", model, "--choices-column", "opts", says=("--choices-column asks for", "'opts'")
    )
    with (
        foreword.Predictor(model, chooses) as predictor,
        pytest.raises(foreword.ForewordError, match=r"column 'opts'\); give rows with that column"),
    ):
        predictor.generate(["x"])
    chosen = entry.foreword("generate", "x", "-m", model, "-p", chooses, "--choices", "ba,lo")
    assert chosen.code == 0 and chosen.out.strip() in ("ba", "lo"), chosen.err
