"""Bad files of examples and inputs too long, through the real door: one sentence that says what was asked, found and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import entry
from entry import SMALL, refused

# -- files of examples ----------------------------------------------------------------------------------------------------


def lines(*rows: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "data.jsonl"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return path

    return write


GOOD = [json.dumps(row) for row in entry.rows(20)]
FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "missing": (lambda folder: folder / "nowhere.jsonl", ("no file", "nowhere.jsonl", "check the path")),
    "no such name": (lambda folder: folder / "nowhere", ("no file, folder or task", "nowhere")),
    "empty": (lines(), ("data.jsonl", "is empty", "at least one row")),
    "broken line": (
        lines(*GOOD[:6], '{"input": "x", "target": ', *GOOD[6:]),
        ("Line 7", "data.jsonl", "not JSON", "mend"),
    ),
    "no object": (lines(*GOOD[:2], "[1, 2]"), ("Line 3", "list", "object")),
    "missing column": (
        lines(*(row.replace('"target"', '"targets"') for row in GOOD)),
        ("column 'target'", "row 1", "'targets'"),
    ),
    "empty target": (
        lines(*GOOD[:4], '{"input": "x", "target": "  "}'),
        ("'target'", "row 5", "empty", "leave the row out"),
    ),
    "null target": (lines(*GOOD[:4], '{"input": "x", "target": null}'), ("'target'", "row 5", "null")),
    "number as text": (lines(*GOOD[:4], '{"input": ["x"], "target": "y"}'), ("'input'", "row 5", "a list", "text")),
    "too few": (lines(*GOOD[:2]), ("2 distinct questions", "train split", "more rows")),
    "one ending": (
        lambda folder: (folder / "data.xls").write_text("x") and folder / "data.xls",
        (".xls", ".jsonl", ".csv"),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_examples(case: str, model: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    write, says = FILES[case]
    refused("compare", "-m", model, "-d", write(tmp_path), "--out", tmp_path / "run", says=says)
    assert not (tmp_path / "run").exists()


def test_a_table_with_a_short_row(model: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    table = tmp_path / "table.csv"
    table.write_text("input,target\na,b\nc\n", encoding="utf-8")
    refused("tune", "-m", model, "-d", table, "--out", tmp_path / "p", says=("Line 3", "1 cells", "header has 2"))


def test_an_empty_split(model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    folder = tmp_path / "splits"
    folder.mkdir()
    for name, text in (("train", data.read_text()), ("dev", data.read_text()), ("test", "")):
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    refused(
        "compare", "-m", model, "-d", folder, "--out", tmp_path / "run", says=("test.jsonl", "is empty", "at least one")
    )
    (folder / "train.jsonl").unlink()
    refused("compare", "-m", model, "-d", folder, "--out", tmp_path / "run", says=("no train file", "dev.jsonl"))


def test_a_target_outside_the_choices(model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    refused(
        "compare",
        "-m",
        model,
        "-d",
        data,
        "--choices",
        "good,bad",
        "--out",
        tmp_path,
        says=("none of the choices", "good"),
    )


def test_an_input_of_generate(model: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    inputs = tmp_path / "in.jsonl"
    inputs.write_text('{"id": 1, "input": "a"}\n{"id": 1, "input": "b"}\n', encoding="utf-8")
    refused("generate", "-m", model, "-d", inputs, "--id-column", "id", says=("id '1'", "row 2", "row 1"))
    inputs.write_text('{"text": "a"}\n', encoding="utf-8")
    refused("generate", "-m", model, "-d", inputs, says=("column 'input'", "Known: text"))
    refused("generate", "-m", model, says=("no inputs", "--data"))
    refused(
        "generate",
        "-m",
        model,
        "-d",
        inputs,
        "--input-column",
        "text",
        "--method",
        "icl",
        says=("'icl'", "--demonstrations"),
    )
    refused("generate", "-m", model, "-d", inputs, "--method", "pt", says=("'pt'", "soft prompt", "--prompt"))


# -- an input that is too long --------------------------------------------------------------------------------------------


def test_an_input_longer_than_the_window(model: Path, tmp_path: Path) -> None:
    rows = entry.rows(30)
    long = [{"id": f"long-{n}", "input": f"{n} " + "ba lo ri " * 80, "target": "na"} for n in range(2)]
    named = [row | {"id": f"short-{n}"} for n, row in enumerate(rows)]
    train, dev, test = (tmp_path / f"{name}.jsonl" for name in ("train", "dev", "test"))
    for path, part in ((train, [*named[:20], long[0]]), (dev, named[20:25]), (test, [long[1], *named[25:]])):
        entry.save_rows(path, part)
    run = (
        "compare",
        "-m",
        model,
        "-d",
        train,
        "--dev",
        dev,
        "--test",
        test,
        "--id-column",
        "id",
        "--methods",
        "zero,pt",
        "--seed",
        0,
    )
    run = (*run, "--out", tmp_path / "run", *SMALL)
    refused(*run, says=("long-0", "positions", "--too-long drop"))
    result = entry.foreword(*run, "--too-long", "drop", "--json")
    assert result.code == 0, result.err
    assert result.json["examples"] == 5
    (note,) = [note for note in result.json["notes"] if note.startswith("Left out")]
    assert "window of 160 positions: 1 of 21 train and 1 of 6 test examples; every method has the same rest." in note
    inputs = ("generate", "-m", model, "-d", test, "--id-column", "id", "--max-new-tokens", 4, "--json")
    refused(*inputs, says=("long-1", "--too-long drop"))
    dropped = entry.foreword(*inputs, "--too-long", "drop")
    assert [line["id"] for line in dropped.lines] == [f"short-{n}" for n in range(25, 30)]
    assert "1 of 6 inputs do not fit" in dropped.err
    refused(*run, "--too-long", "cut", says=("too_long", "'cut'", "'auto'", "'refuse'", "'drop'"))


def test_an_answer_that_leaves_no_room(model: Path, data: Path, tmp_path: Path) -> None:
    run = ("compare", "-m", model, "-d", data, "--out", tmp_path / "run", "--methods", "pt")
    for more in (("--max-new-tokens", 160), ("--prompt-length", 100, "--max-new-tokens", 60)):
        refused(*run, *more, "--too-long", "drop", says=("160 positions", "none for an input", "--max-new-tokens"))
    seq2seq = entry.save_model(tmp_path / "bart", family="bart")
    refused("generate", "-m", seq2seq, "-d", data, "--max-new-tokens", 161, says=("160 positions", "--max-new-tokens"))
