"""Input made to break a reader: too large, too deep, of the wrong kind, damaged inside; each is refused in one sentence, or read."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import pytest
from pyarrow import parquet

import entry
import lookalike
from foreword import tasks
from foreword.config import run as config
from foreword.data.examples import Columns, examples
from foreword.data.readers import limits, read_rows
from foreword.data.template import Template
from foreword.study.resolve import checked, task_of
from foreword.train.pretrain.texts import Written
from refusals import sentence

ROW = {"input": "a", "target": "b"}


# -- limits ---------------------------------------------------------------------------------------------------------------


def test_a_small_gzip_of_zeros_is_no_gigabyte(tmp_path: Path) -> None:
    """Members of a gzip file follow each other: 600 KB that unpack to 576 MB."""
    path = tmp_path / "zeros.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(2**24), mtime=0) * 36)
    assert path.stat().st_size < 2**20
    began = time.process_time()
    sentence(lambda: read_rows(path), "zeros.jsonl.gz", "unpacks to more than 536,870,912 bytes", "smaller file")
    assert time.process_time() - began < 4


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for name in ("sparse.csv", "sparse.parquet", "sparse.jsonl.gz"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(5 * 10**9)
        sentence(lambda name=name: read_rows(tmp_path / name), name, "5,000,000,000 bytes", "1,073,741,824")  # type: ignore[misc]


def test_a_small_parquet_of_twenty_million_rows(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    zeros = pyarrow.nulls(20_000_000, pyarrow.int8())
    parquet.write_table(pyarrow.table({"input": zeros, "target": zeros}), path)
    assert path.stat().st_size < 2**21
    sentence(lambda: read_rows(path), "many.parquet", "more than 2,000,000 rows")


def test_a_parquet_whose_words_stand_for_gigabytes(tmp_path: Path) -> None:
    """Of a dictionary each word stands there once, however many rows have it."""
    path = tmp_path / "wide.parquet"
    column = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 4_000, pyarrow.int32()), pyarrow.array(["x" * 10**6])
    )
    parquet.write_table(
        pyarrow.table({"input": column.cast(pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))}), path
    )
    assert path.stat().st_size < 2**21
    sentence(lambda: read_rows(path), "wide.parquet", "unpacks to more than 536,870,912 bytes")


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv"])
def test_one_row_longer_than_any_example(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"long{ending}"
    long = "x" * (limits.CELL + 10)
    if ending in (".csv", ".tsv"):
        path.write_text(
            "input,target\n".replace(",", "\t" if ending == ".tsv" else ",")
            + f"{long}{',' if ending == '.csv' else chr(9)}b\n"
        )
    else:
        path.write_text(json.dumps([ROW | {"input": long}] if ending == ".json" else ROW | {"input": long}))
    sentence(lambda: read_rows(path), path.name, "16,777,216")


def test_lines_and_objects_without_end(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}' + b"\n" * 2**24, 1) * 3)
    sentence(lambda: read_rows(tmp_path / "lines.jsonl.gz"), "lines", "10,000,000")
    (tmp_path / "objects.json").write_bytes(b'[{"a": 1}' + b",[]" * (limits.OBJECTS + 1) + b"]")
    sentence(lambda: read_rows(tmp_path / "objects.json"), "more than 10,000,000 lists and objects")


def test_a_workbook_with_a_row_at_its_end(tmp_path: Path) -> None:
    """A sheet's own word on its size, or a row's on its number, makes no row of blanks."""
    book = openpyxl.Workbook()
    book.active.append(["input", "target"])
    book.active.append(["a", "b"])
    stream = io.BytesIO()
    book.save(stream)
    for number, refusal_words in (("2", ""), ("1048576", ""), ("99999999999", "more than 2,000,000 rows")):
        path = tmp_path / f"sheet-{number}.xlsx"
        with zipfile.ZipFile(stream) as packed, zipfile.ZipFile(path, "w") as other:
            for name in packed.namelist():
                inside = packed.read(name).replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')
                other.writestr(
                    name, inside.replace(b'<row r="2"', f'<row r="{number}"'.encode()) if "sheet1" in name else inside
                )
        if refusal_words:
            sentence(lambda path=path: read_rows(path), path.name, refusal_words)  # type: ignore[misc]
        else:
            assert read_rows(path) == [ROW]


def test_a_text_of_one_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"x" * (2**24 + 10))
    sentence(lambda: Written(path), "Line 1", "long.txt", "16,777,216")


# -- configurations, overrides, labels, templates --------------------------------------------------------------------------

DIGITS = "1" * 5_000
TOMLS = (
    f"shots = {DIGITS}",
    f"seeds = [{DIGITS}]",
    "seeds = " + "[" * 5_000,
    "tuning = " + "{a = " * 900,
    "x = 0x" + "f" * 9_000,
    "limit = 2024-13-45",
    'stop = "\\ud800"',
    "shots = 1e300",
    "seeds = [1e300]",
    "tuning.max_steps = 1e300",
    "answers = 1" + "0" * 400,
    "batch_size = 1000000000001",
    "[" + ".".join("a" * 3_000) + "]",
    "shots = 0x" + "f" * 5_000,
    "seeds = [[0x" + "f" * 5_000 + "]]",
    "seeds = [0x" + "f" * 5_000 + "]",
)


@pytest.mark.parametrize("place", range(len(TOMLS)))
def test_a_toml_that_no_reader_can_take(place: int, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'model = "x"\n{TOMLS[place]}\n', encoding="utf-8")
    sentence(lambda: config.load(path))


@pytest.mark.parametrize(
    "override",
    [
        f"shots={DIGITS}",
        f"seeds={DIGITS}",
        "seeds=" + "[" * 5_000,
        "limit=1e300",
        "shots=1e300",
        "tuning.max_steps=²",
        "seeds=①",
        f"seeds=[{DIGITS}]",
        "margin=" + "[" * 900,
        "empty_answers=" + "{a = " * 900,
    ],
)
def test_an_override_that_no_reader_can_take(override: str) -> None:
    sentence(lambda: config.load(None, [override], defaults={"model": "x"}), override.partition("=")[0])


def test_a_number_beyond_use_is_told_its_limit() -> None:
    message = sentence(lambda: config.load(None, ["amortize_over=1000000000001"], defaults={"model": "x"}))
    assert (
        message
        == "amortize_over is 1000000000001, but must be a whole number of at least 1, at most 1,000,000,000,000."
    )


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("icl:²", ("retriever '²'",)),
        ("few:①", ("'①'", "number of demonstrations")),
        ("icl:٣", ("retriever",)),
        (f"icl:{DIGITS}", ("retriever",)),
        ("few:0", ("'0'",)),
        ("icl:3:4", ("2 numbers of demonstrations, 3 and 4", "keep the one")),
        ("icl:bm25:random:dense", ("3 retrievers, bm25 and random and dense", "keep the one")),
        ("few:2:2", ("2 numbers",)),
    ],
)
def test_a_label_that_says_two_things_or_nothing(label: str, words: tuple[str, ...]) -> None:
    sentence(lambda: checked(config.Run(model="x", methods=[label])), *words)


def test_a_label_with_a_retriever_and_a_number_stays(tmp_path: Path) -> None:
    for label in ("icl:bm25:3", "icl:3:bm25", "few:4", "icl:random"):
        checked(config.Run(model="x", methods=[label]))


def test_a_question_that_shows_the_answer(tmp_path: Path) -> None:
    path = entry.save_rows(
        tmp_path / "data.jsonl", [row | {"accepted": [row["target"], "x"]} for row in entry.rows(30)]
    )
    for question in ("{input} {target}", "Say {target}:"):
        sentence(
            lambda question=question: tasks.load_task(path, template=Template(question=question)),
            "'target'",
            "which is the answer",
        )  # type: ignore[misc]
    with_references = {"template": Template(question="{input} {accepted}"), "references_column": "accepted"}
    sentence(lambda: tasks.load_task(path, **with_references), "'accepted'", "which is the answer")  # type: ignore[arg-type]
    rows = [{"input:>2000000000": "wide", "target": "b"}]
    (example,) = examples(rows, Columns(), fields_needed=["input:>2000000000"])
    assert Template(question="{input:>2000000000}").ask(example) == "wide", "a column's name, and no width"


def test_an_expression_that_calls_itself() -> None:
    """Which of the two limits it meets first, memory or a second, is the machine's."""
    message = sentence(lambda: Template(extract="(?R)").read(" an answer"), "--extract")
    assert "memory" in message or "takes longer than 1 s on one output" in message


# -- values that Python cannot hold ----------------------------------------------------------------------------------------


def test_a_date_out_of_range_hurts_only_who_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "dates.parquet"
    far = pyarrow.array([2**60, 0], pyarrow.int64()).view(pyarrow.timestamp("ms"))
    parquet.write_table(pyarrow.table({"input": ["a", "b"], "target": ["x", "y"], "when": far}), path)
    rows = read_rows(path)
    assert [example.fields["input"] for example in examples(rows)] == ["a", "b"]
    sentence(lambda: examples(rows, Columns(input="when")), "'when' in row 1", "cannot be read", "as text")
    assert examples(rows[1:], Columns(input="when"))[0].fields["input"] == "1970-01-01 00:00:00"


def test_columns_that_are_no_text_are_still_read(tmp_path: Path) -> None:
    """A table whose other columns hold durations, nested dates, broken text or an unknown time zone is read."""
    path = tmp_path / "odd.parquet"
    columns: dict[str, Any] = {
        "input": ["a"],
        "target": ["x"],
        "zone": pyarrow.array([0], pyarrow.int64()).view(pyarrow.timestamp("ms", "Nowhere/Land")),
        "nested": pyarrow.ListArray.from_arrays(
            [0, 1], pyarrow.array([2**60], pyarrow.int64()).view(pyarrow.timestamp("ms"))
        ),
        "broken": pyarrow.array([b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string()),
        "long": pyarrow.array([2**62], pyarrow.int64()).view(pyarrow.duration("s")),
    }
    parquet.write_table(pyarrow.table(columns), path)
    rows = read_rows(path)
    assert examples(rows)[0].targets == ("x",)
    for name in ("nested", "broken", "long"):
        sentence(lambda name=name: examples(rows, Columns(input=name)), f"'{name}' in row 1")  # type: ignore[misc]


def test_half_a_surrogate_pair_stands_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"input": "\\ud800", "target": "b"}\n')
    sentence(lambda: read_rows(tmp_path / "a.jsonl"), "Line 1", "surrogate")
    (tmp_path / "a.csv").write_text('input,target,references\na,b,"[""\\ud800""]"\n')
    sentence(lambda: examples(read_rows(tmp_path / "a.csv"), Columns(references="references")), "'references' in row 1")
    lookalike.write(tmp_path, "logic2text")
    path = tmp_path / "logic2text/dataset/test.json"
    path.write_text(path.read_text().replace('"topic": "', '"topic": "\\ud800', 1))
    sentence(lambda: tasks.load("logic2text", tmp_path), "test.json", "surrogate")


# -- memory while a checkpoint is written -----------------------------------------------------------------------------------

WRITING = """
import resource, sys, torch
from pathlib import Path
from foreword.train import checkpoint
tensors = {"model.a": torch.ones(32 * 2**20)}  # 128 MB
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
limit = int(status["VmData"].split()[0]) * 1024 + 60 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
checkpoint.write(Path(sys.argv[1]), tensors, {"step": 1})
read = checkpoint.read(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is counted as Linux counts it")
def test_a_checkpoint_is_written_without_a_copy_of_itself(tmp_path: Path) -> None:
    """With less memory left than the numbers take, the process is not aborted: they are written from where they stand."""
    path = tmp_path / "checkpoint.safetensors"
    done = subprocess.run([sys.executable, "-c", WRITING, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode >= 0, done.stderr[-500:]
    assert path.stat().st_size > 128 * 2**20, done.stderr[-500:]


def test_a_name_that_no_disk_can_hold_is_one_sentence() -> None:
    for more in ({}, {"split": "60/20/20"}, {"folds": 3}):
        run = config.Run(model="x", data="x" * 5_000, **more)  # type: ignore[arg-type]
        sentence(lambda run=run: task_of(run, pooled=run.folds is not None), "xxx")  # type: ignore[misc]
