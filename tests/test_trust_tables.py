"""Tables as people have them: read as they are meant, or refused with the flag that says how."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import sacrebleu
from pyarrow import parquet

from entry import foreword, refused
from foreword.cli.options import settings
from foreword.data.examples import Columns, examples
from foreword.data.readers import Form, read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.metrics import METRICS
from foreword.tasks import load_task, task_from_files
from foreword.util.errors import ForewordError

PAIR = [{"input": "a", "target": "b"}, {"input": "c", "target": "d"}]


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


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


def test_sheets_shards_and_saved_folders(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (("input", "target"), ("a", 1), ("c", 2.5)):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
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


# -- choices ------------------------------------------------------------------------------------------------------------


def test_choices_from_a_list_and_from_a_file(tmp_path: Path) -> None:
    assert settings({"choices": '["No, it is not", "Yes, it is"]'}) == {"choices": ["No, it is not", "Yes, it is"]}
    path = text(tmp_path / "labels.txt", "No, it is not\nYes, it is\n\n")
    assert settings({"choices": str(path)}) == {"choices": ["No, it is not", "Yes, it is"]}
    assert settings({"choices": str(text(tmp_path / "l.json", '["a, b", 1.50]'))}) == {"choices": ["a, b", "1.50"]}
    assert settings({"choices": "a, b"}) == {"choices": ["a", "b"]}
    assert settings({"stop": '["\\n\\n", "###"]'}) == {"stop": ["\n\n", "###"]}
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
