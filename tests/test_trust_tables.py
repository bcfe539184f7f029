"""Tables as people have them: read as they are meant, or refused with the flag that says how."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from entry import foreword, refused
from entry import save_text as text
from foreword.config.run import Run
from foreword.data.examples import Columns, examples
from foreword.data.readers import Form, read_rows
from foreword.study.resolve import checked
from foreword.tasks import load_task, task_from_files
from foreword.util.errors import ForewordError

PAIR = [{"input": "a", "target": "b"}, {"input": "c", "target": "d"}]


def refusal(path: Path, content: str, **how: Any) -> str:
    with pytest.raises(ForewordError) as caught:
        read_rows(text(path, content), **how)
    return str(caught.value)


# -- quotation marks ----------------------------------------------------------------------------------------------------


def stray(delimiter: str) -> str:
    lines = [f"input{delimiter}target"] + [f"plain text {i}{delimiter}positive" for i in range(40)]
    lines[6], lines[33] = f'"Late again{delimiter}negative', f'so much for service"{delimiter}negative'
    return "\n".join(lines) + "\n"


def test_a_stray_quote_swallows_no_rows_of_a_tsv(tmp_path: Path) -> None:
    path = text(tmp_path / "f.tsv", stray("\t"))
    rows = read_rows(path)
    assert len(rows) == 40 and rows[5] == {"input": '"Late again', "target": "negative"}
    document = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--choices", "positive,negative", "--method", "zero",
        "--too-long", "drop", "--out", tmp_path / "o", "--json",
    ).json  # fmt: skip
    assert document["examples"] == 40


def test_a_stray_quote_in_a_csv_is_refused(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "f.csv", stray(","))
    assert (
        "Line 7 of" in sentence
        and "holds 28 lines, each of which could be a row" in sentence
        and "--quoting none" in sentence
    )
    assert len(read_rows(tmp_path / "f.csv", form=Form("none"))) == 40
    assert len(read_rows(tmp_path / "f.csv", form=Form("standard"))) == 13
    refused("show", "--test", tmp_path / "f.csv", says=("Line 7", "--quoting"))
    assert foreword("show", "--test", tmp_path / "f.csv", "--quoting", "none", "--json").json["splits"]["test"] == 40


def test_letters_of_several_lines_are_no_rows(tmp_path: Path) -> None:
    letters = [
        ("Dear sir,\nthe parcel, late as ever,\ncame, thanks", "bad"),
        ("1,000 thanks\nfor all", "good"),
        ("x", "good"),
    ]
    body = "input,target\n" + "".join(f'"{letter}",{label}\n' for letter, label in letters)
    assert [(row["input"], row["target"]) for row in read_rows(text(tmp_path / "a.csv", body))] == letters


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_official_mrpc_file_reads(shared: Path, tmp_path: Path, split: str) -> None:
    content = (shared / "data" / "mrpc" / f"msr_paraphrase_{split}.txt").read_text(encoding="utf-8-sig")
    header, *lines = [line.rstrip("\r").split("\t") for line in content.split("\n") if line.strip()]
    standard = list(csv.reader(io.StringIO(content), delimiter="\t"))
    assert len(standard) < len(lines), "its stray marks swallow rows of a reader of quotation marks"
    rows = read_rows(text(tmp_path / "mrpc.tsv", content))
    assert [list(row.values()) for row in rows] == [[cell.strip() for cell in line] for line in lines]
    assert all(len(row) == len(header) for row in rows)


# -- shapes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolon.csv", "input;target\na;b\nc;d\n"),
        ("sep.csv", "sep=;\ninput;target\na;b\nc;d\n"),
        ("sep_bom.csv", "\ufeffsep=|\r\ninput|target\r\na|b\r\nc|d\r\n"),
        ("tabs.csv", "input\ttarget\na\tb\nc\td\n"),
        ("index.csv", ",input,target\n0,a,b\n1,c,d\n"),
        ("header.csv", " input , target \na,b\nc,d\n"),
        ("one.json", json.dumps({"data": PAIR}, indent=1)),
        ("version.json", json.dumps({"version": "1.1", "rows": PAIR})),
        ("columns.json", json.dumps({"input": ["a", "c"], "target": ["b", "d"]}, indent=1)),
        ("pandas.json", json.dumps({"input": {"0": "a", "1": "c"}, "target": {"0": "b", "1": "d"}})),
        ("list.json", json.dumps(PAIR, indent=2)),
        ("lines.json", "\n".join(map(json.dumps, PAIR))),
        ("lines.ndjson", "\n".join(map(json.dumps, PAIR))),
        ("keys.jsonl", '{" input": "a", "target ": "b"}\n{"input": "c", "target": "d"}\n'),
    ],
)
def test_a_shape_that_people_have_is_read(tmp_path: Path, name: str, content: str) -> None:
    assert read_rows(text(tmp_path / name, content)) == PAIR
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_rows(packed) == PAIR


def test_one_object_over_several_lines_is_one_row(tmp_path: Path) -> None:
    assert read_rows(text(tmp_path / "a.json", json.dumps(PAIR[0], indent=2))) == PAIR[:1]


def test_squads_own_file_gives_one_row_a_question(tmp_path: Path) -> None:
    questions = [
        {
            "id": "1",
            "question": "who?",
            "answers": [{"text": "Ada", "answer_start": 0}, {"text": "Ada L.", "answer_start": 0}],
        }
    ]
    path = text(
        tmp_path / "s.json",
        json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": [{"context": "c", "qas": questions}]}]}),
    )
    (row,) = read_rows(path)
    (example,) = examples([row], Columns("question", references="answers"))
    assert example.targets == ("Ada", "Ada L.") and row["context"] == "c"
    (example,) = examples(
        [{"question": "who?", "answers": {"text": ["Ada"], "answer_start": [0]}}],
        Columns("question", references="answers"),
    )
    assert example.targets == ("Ada",)


def test_chats_of_one_question_are_read() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (example,) = examples([{"messages": turns}])
    assert (dict(example.fields), example.targets) == ({"input": "q"}, ("a",))


@pytest.mark.parametrize(
    ("row", "flags"),
    [
        ({"prompt": "q", "response": "a"}, "--input-column prompt --target-column response"),
        ({"text": "q", "label": "a"}, "--input-column text --target-column label"),
        ({"question": "q", "answers": ["a"]}, "--input-column question --references-column answers"),
        ({"input": "q", "output": "a"}, "give --target-column output"),
    ],
)
def test_a_known_shape_names_its_flags(row: dict[str, Any], flags: str) -> None:
    with pytest.raises(ForewordError, match=flags):
        examples([row])


def test_two_lists_and_uneven_columns_are_refused(tmp_path: Path) -> None:
    assert "'train' and 'test'" in refusal(tmp_path / "a.json", json.dumps({"train": PAIR, "test": PAIR}))
    assert "different lengths (input 2, target 1)" in refusal(
        tmp_path / "b.json", '{"input": ["a", "b"], "target": ["c"]}'
    )
    assert "names differ in blanks" in refusal(tmp_path / "c.jsonl", '{"input": "a", "input ": "b"}\n')


def test_options_say_how_a_table_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("café~x\nthé~y\n".encode("latin-1"))
    flags = ["--test", path, "--delimiter", "~", "--encoding", "latin-1", "--header", "input,target"]
    shown = foreword("show", *flags, "--json").json
    assert [row["targets"] for row in shown["examples"]] == [["x"], ["y"]] and "café" in shown["examples"][0]["text"]
    refused("show", "--test", path, says=("UTF-8", "--encoding"))
    refused("show", "--test", path, "--encoding", "klingon", says=("klingon", "latin-1"))
    refused("show", "--test", path, "--encoding", "latin-1", "--delimiter", "ab", says=("'ab'", "one character"))


def test_a_header_line_is_no_example(tmp_path: Path) -> None:
    """With --header, the file's own header line became an example, and its label a class."""
    body = "".join(f"some text {n},{'good' if n % 2 else 'bad'}\n" for n in range(20))
    form = Form(header=("input", "target"))
    for line in ("text,label", "Review text,Verdict"):
        path = text(tmp_path / "h.csv", f"{line}\n{body}")
        with pytest.raises(ForewordError, match=r"Line 1 of \S*h.csv looks like a header line .*; leave --header out"):
            read_rows(path, form=form)
    with pytest.raises(ForewordError, match="looks like a header line"):
        read_rows(text(tmp_path / "q.csv", "Question,Answer\nWho?,Ann\nWhere?,Rome\n"), form=form)
    for line in ("a good one,good", "word,good", "what of it?,neutral", "cat,good"):
        assert len(read_rows(text(tmp_path / "h.csv", f"{line}\n{body}"), form=form)) == 21, line
    assert len(read_rows(text(tmp_path / "w.csv", "text\nword\nword\n"), form=Form(header=("input",)))) == 3


def test_an_option_that_holds_for_nothing_is_refused(tmp_path: Path) -> None:
    lines = text(tmp_path / "a.jsonl", '{"input": "a", "target": "b"}\n')
    table = text(tmp_path / "a.csv", "input;target\na;b\n")
    options = {"delimiter": ";", "quoting": "none", "header": ["x"], "encoding": "latin-1"}
    for option, value in options.items():
        sources: list[dict[str, str]] = [
            {"data": "a.parquet"},
            {"data": "a.xlsx"},
            {"data": "owner/name"},
            {"task": "dart"},
        ]
        sources += [] if option == "encoding" else [{"data": str(lines)}, {"data": "no.json.gz"}, {"test": str(lines)}]
        for source in sources:
            with pytest.raises(ForewordError, match=f"^--{option} is given, .*; leave it out.$"):
                checked(Run(model="m", **source, **{option: value}))
        for source in (
            {"data": str(table)},
            {"data": str(lines), "test": str(table)},
            {"data": str(tmp_path)},
            {"data": "-"},
        ):
            assert checked(Run(model="m", **source, **{option: value}))
        assert checked(Run(model="m", data=str(lines), **{option: value}), beside=[str(table)])
    checked(Run(model="m", task="dart", quoting="auto", encoding="UTF-8", delimiter="", header=[]))
    with pytest.raises(ForewordError, match=r"^--data-dir x is for built-in tasks"):
        checked(Run(model="m", data=str(lines), data_dir="x"))
    refused("show", "--test", lines, "--delimiter", ";", says=("--delimiter", "CSV and TSV", "leave it out"))


def test_sheets_shards_and_saved_folders(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (("input", "target"), ("a", 1), ("c", 2.5)):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    for cells in (("d", None), ("e", "#N/A")):  # an empty cell at the end, and a formula that failed
        book.active.append(cells)
    book.save(tmp_path / "gaps.xlsx")
    rows = read_rows(tmp_path / "gaps.xlsx")
    assert [list(row) for row in rows] == [["input", "target"]] * 4 and rows[2]["target"] is None
    with pytest.raises(ForewordError, match=r"row 4 .*the formula failed: #N/A"):
        examples([*rows[:2], rows[0], rows[3]])
    book.active.delete_rows(4, 2)
    assert [example.targets for example in examples(read_rows(tmp_path / "a.xlsx"))] == [("1",), ("2.5",)]
    book.create_sheet("other").append(("x",))
    book.save(tmp_path / "b.xlsx")
    with pytest.raises(ForewordError, match="Sheet, other"):
        read_rows(tmp_path / "b.xlsx")
    (tmp_path / "c.xlsx").write_bytes(b"PK no")
    with pytest.raises(ForewordError, match="not a whole Excel file"):
        read_rows(tmp_path / "c.xlsx")
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    for shard in range(2):
        rows = [{"input": f"q {shard} {n}", "target": f"some answer {n}"} for n in range(20)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"train-0000{shard}-of-00002.parquet")
    task = load_task(tmp_path / "set")
    assert len(task.train) + len(task.dev) + len(task.test) == 40
    (folder / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(ForewordError, match="1 of the 2 shards"):
        load_task(tmp_path / "set")


def test_a_folder_of_save_to_disk_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = {"input": [f"q {n}" for n in range(30)], "target": [f"some long answer {n}" for n in range(30)]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)}).save_to_disk(tmp_path / "dict")
    for name in ("one", "dict"):
        assert len(load_task(tmp_path / name).train) == 17


def test_a_name_of_the_hub_is_hinted() -> None:
    with pytest.raises(ForewordError, match="give hub:imdb"):
        load_task("imdb")


def test_stdin_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (
        "\n".join(map(json.dumps, PAIR)),
        json.dumps(PAIR),
        "input,target\na,b\nc,d\n",
        "input\ttarget\na\tb\nc\td\n",
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert read_rows("-") == PAIR
    rows = [{"input": f"q {n}", "target": f"some long answer {n}"} for n in range(30)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(map(json.dumps, rows)).encode())))
    assert len(load_task("-").train) == 17


# -- values -------------------------------------------------------------------------------------------------------------


def test_numbers_stand_as_they_are_written(tmp_path: Path) -> None:
    written = ["0.000001", "1.50", "1e400", "12345678901234567", "0.12345678901234567", "-0", "1E5"]
    path = text(
        tmp_path / "a.jsonl", "".join(f'{{"input": "q {n}", "target": {number}}}\n' for n, number in enumerate(written))
    )
    assert [example.targets for example in examples(read_rows(path, as_written=True))] == [
        (number,) for number in written
    ]
    assert [example.targets[0] for example in task_from_files("t", path, path, path).test] == written
    table = pyarrow.table({"input": ["q"], "target": pyarrow.array([0.1], pyarrow.float32()), "small": [0.000001]})
    parquet.write_table(table, tmp_path / "a.parquet")
    (row,) = read_rows(tmp_path / "a.parquet", as_written=True)
    assert examples([row])[0].targets == ("0.1",)
    assert examples([row], Columns(target="small"))[0].targets == ("0.000001",)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "the key 'input' stands twice" in refusal(tmp_path / "a.jsonl", '{"input":"d","input":"e","target":1}\n')
    assert "the key 'input' stands twice" in refusal(tmp_path / "a.json", '[{"input":"d","input":"e","target":1}]')


def test_a_choice_may_be_written_as_another_number() -> None:
    rows = [{"input": "q", "target": 0.0}, {"input": "r", "target": "1.0"}, {"input": "s", "target": np.nan}]
    assert [example.targets for example in examples(rows[:2], choices=["0", "1"])] == [("0",), ("1",)]
    with pytest.raises(ForewordError, match="is null"):
        examples(rows, choices=["0", "1"])


def test_plain_values_are_text() -> None:
    values = [
        (True, "true"),
        (False, "false"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (decimal.Decimal("1.50"), "1.50"),
    ]
    values += [
        (datetime.datetime(2024, 2, 29, 12), "2024-02-29 12:00:00"),
        (decimal.Decimal("1E+3"), "1000"),
        (1e300, "1e+300"),
    ]
    rows = [{"input": "q", "target": value} for value, _ in values]
    assert [example.targets[0] for example in examples(rows)] == [written for _, written in values]


def test_answers_have_no_white_space_at_their_ends(tmp_path: Path) -> None:
    rows = [{"input": "q", "target": "yes "}, {"input": "r", "target": "\xa0no\n"}]
    assert [example.targets for example in examples(rows, choices=[" yes", "no "])] == [("yes",), ("no",)]
    assert [example.targets for example in examples(rows)] == [("yes",), ("no",)]
    (example,) = examples([{"input": "q", "refs": ["a ", " a"]}], Columns(references="refs"))
    assert example.targets == ("a",)
    path = text(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    scores = foreword(
        "evaluate", "--model", "reference-small", "--test", path, "--method", "zero", "--choices", "yes,no", "--metrics",
        "accuracy,exact_match", "--out", tmp_path / "o", "--json",
    ).json["metrics"]  # fmt: skip
    assert scores["accuracy"]["score"] == scores["exact_match"]["score"]
