"""Reading users' tables: what comes back is what was written, and a damaged file is refused in one sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foreword.data.examples import Columns, Example, divided, examples, merged, shared_questions
from foreword.data.readers import endings, read_lines, read_rows
from foreword.util.errors import ForewordError

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
TEXTS = [".jsonl", ".json", ".csv", ".tsv"]
NAMES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=6).filter(
        lambda t: "\ufeff" not in t
    ),
    min_size=2,
    max_size=4,
    unique_by=lambda t: t.strip(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    names = draw(NAMES)
    return [{name: draw(TEXT) for name in names} for _ in range(draw(st.integers(1, 5)))]


def written(rows: list[dict[str, str]], ending: str, line_end: str = "\r\n") -> bytes:
    if ending in (".jsonl", ".json"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    stream = io.StringIO(newline="")
    delimiter = "\t" if ending == ".tsv" else ","
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return stream.getvalue().encode()


def refusal(path: Path, content: bytes | str, **how: bool) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ForewordError) as caught:
        read_rows(path, **how)
    sentence = str(caught.value)
    assert path.name in sentence and "\n" not in sentence and sentence.endswith(".")
    return sentence


@QUICK
@given(
    rows=tables(),
    ending=st.sampled_from([".jsonl", ".json", ".csv", ".tsv"]),
    bom=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_rows_come_back_as_written(
    tmp_path: Path, rows: list[dict[str, str]], ending: str, bom: bool, line_end: str
) -> None:
    path = tmp_path / f"table{ending}"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + written(rows, ending, line_end))
    assert read_rows(path) == rows


@QUICK
@given(rows=tables())
def test_parquet_comes_back_as_written(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = tmp_path / "table.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert read_rows(path) == rows


@QUICK
@given(
    rows=tables(),
    ending=st.sampled_from([*TEXTS, ".parquet"]),
    share=st.floats(0, 1),
    flip=st.integers(0, 255),
)
def test_a_damaged_file_is_refused_or_read_but_never_a_traceback(
    tmp_path: Path, rows: list[dict[str, str]], ending: str, share: float, flip: int
) -> None:
    path = tmp_path / f"table{ending}"
    if ending == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_bytes(written(rows, ending))
    raw = bytearray(path.read_bytes())
    cut = int(len(raw) * share)
    for damaged in (raw[:cut], raw[:cut] + bytes([flip]) + raw[cut + 1 :]):
        path.write_bytes(damaged)
        try:
            read = read_rows(path)
        except ForewordError as error:
            assert "table" in str(error)
        else:
            assert read and all(isinstance(row, dict) for row in read)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv"])
@QUICK
@given(rows=tables(), data=st.data())
def test_a_cut_file_never_gives_a_changed_row(
    tmp_path: Path, ending: str, rows: list[dict[str, str]], data: st.DataObject
) -> None:
    """A cut file gives the first rows as they were; only the very last cell, where it was cut, may be shorter."""
    path = tmp_path / f"table{ending}"
    raw = written(rows, ending)
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        read = read_rows(path)
    except ForewordError:
        return
    assert read[:-1] == rows[: len(read) - 1]
    name = list(rows[0])[-1]
    last, whole = read[-1].pop(name), dict(rows[len(read) - 1])
    assert whole.pop(name).startswith(last) and read[-1] == whole


def test_broken_json_line_is_named(tmp_path: Path) -> None:
    good = '{"input": "a", "target": "b"}\n'
    assert "Line 3 of" in refusal(tmp_path / "a.jsonl", good * 2 + '{"input": "a", "tar\n' + good)
    assert "Line 2 of" in refusal(tmp_path / "b.jsonl", good + "[1, 2]\n")
    assert "JSON list where an object" in refusal(tmp_path / "b.jsonl", good + "[1, 2]\n")
    assert "Line 4 of" in refusal(tmp_path / "c.json", '[\n{"input": "a"},\n{"input": "b"},\n{"input" "c"}\n]')
    assert "Item 2" in refusal(tmp_path / "d.json", '[{"input": "a"}, 7]')
    assert "Line 1 of" in refusal(tmp_path / "e.jsonl", '{"input": NaN}\n')
    assert "surrogate" in refusal(tmp_path / "f.jsonl", '{"input": "\\ud800"}\n')
    assert "Line 1 of" in refusal(tmp_path / "g.jsonl", "[" * 100_000)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "1"}\n\n  \n{"a": "2"}\n\n')
    assert read_rows(path) == [{"a": "1"}, {"a": "2"}]


def test_tables_name_the_physical_line(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "a.csv", 'input,target\n"two\nlines",b\nc,d,e\n')
    assert "Line 4 of" in sentence and "3 cells where the header has 2" in sentence
    assert "Line 3 of" in refusal(tmp_path / "b.csv", 'input,target\na,b\n"never closed,b\nc,d\n')
    assert "names the column 'a' twice" in refusal(tmp_path / "c.csv", "a,a\n1,2\n")
    assert "a column has no name" in refusal(tmp_path / "d.tsv", "a\t\n1\t2\n")
    assert "Line 2 of" in refusal(tmp_path / "e.csv", 'a,b\n"quoted" and more,x\n')
    assert "holds no rows" in refusal(tmp_path / "f.csv", "input,target\n")
    assert "is empty" in refusal(tmp_path / "g.csv", " \n")


def test_a_tsv_without_quoting_keeps_every_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('a\tb\n"quoted" and more\t"x\n')
    assert read_rows(path, quoted=False) == [{"a": '"quoted" and more', "b": '"x'}]
    assert read_rows(path) == read_rows(path, quoted=False), "it reads no other way"
    assert "Line 2 of" in refusal(path, path.read_text(), quoted=True)


def test_other_unreadable_files(tmp_path: Path) -> None:
    assert "Line 2 of" in refusal(tmp_path / "a.csv", b"input,target\ncaf\xe9,b\n")
    assert "not UTF-8" in refusal(tmp_path / "b.jsonl", '{"input": "a"}\n'.encode("utf-16"))
    assert "not a whole Parquet file" in refusal(tmp_path / "c.parquet", b"PAR1 is not enough PAR1")
    with pytest.raises(ForewordError, match="There is no file"):
        read_rows(tmp_path / "none.csv")
    with pytest.raises(ForewordError, match=r"by its ending '\.xls'; use one of: \.csv, \.json"):
        read_rows(tmp_path / "table.xls")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ForewordError, match="is a folder"):
        read_rows(tmp_path / "folder.csv")
    assert endings() == [".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".xlsx"]


def test_large_cells_and_the_csv_modules_own_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("input,target\n" + "x" * 300_000 + ",b\n")
    assert len(read_rows(tmp_path / "a.csv")[0]["input"]) == 300_000
    assert csv.field_size_limit() == before


def test_only_line_feeds_and_carriage_returns_end_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\u2028still\r\ntwo\x85still\n\nfour".encode())
    assert read_lines(tmp_path / "a.txt") == ["one\u2028still", "two\x85still", "", "four"]


ROWS = [{"input": "q1", "target": "a1", "note": "x"}, {"input": "q2", "target": "a2", "note": "y"}]


def test_examples_take_the_named_columns_only() -> None:
    first, second = examples(ROWS, prefix="train")
    assert (first.id, dict(first.fields), first.targets) == ("train-1", {"input": "q1"}, ("a1",))
    assert second.id == "train-2"
    rows = [{"premise": "p", "hypothesis": "h", "gold": "yes", "split": "x"}]
    (example,) = examples(rows, Columns(target="gold"), fields_needed=["hypothesis", "premise"], choices=["no", "yes"])
    assert dict(example.fields) == {"hypothesis": "h", "premise": "p"} and example.choices == ("no", "yes")
    (example,) = examples([{"text": "t", "input": "other", "target": 3}], Columns("text"))
    assert dict(example.fields) == {"input": "t"} and example.targets == ("3",)


def test_references_may_be_a_list_or_a_json_list() -> None:
    rows = [{"input": "q", "target": "a", "refs": ["b", "a", "c"]}, {"input": "r", "target": "d", "refs": '["e"]'}]
    parsed = examples(rows, Columns(references="refs"))
    assert [example.targets for example in parsed] == [("a", "b", "c"), ("d", "e")]
    (example,) = examples([{"input": "q", "target": ["b", 2]}], Columns(references="target"))
    assert example.targets == ("b", "2")
    with pytest.raises(ForewordError, match=r"is a list where text was expected; .* --references-column target"):
        examples([{"input": "q", "target": ["b", 2]}])
    (example,) = examples([{"input": "q", "refs": ["b", 2]}], Columns(references="refs"))
    assert example.targets == ("b", "2")


@pytest.mark.parametrize(
    ("row", "how", "words"),
    [
        ({"inputs": "q", "target": "a"}, {}, "no column 'input' in row 2 of mine.csv.*did you mean 'inputs'"),
        ({"input": "q", "targt": "a"}, {}, "no column 'target' in row 2 of mine.csv.*did you mean 'targt'"),
        ({"input": "q", "target": "  "}, {}, "'target' in row 2 of mine.csv is empty"),
        ({"input": "", "target": "a"}, {}, "'input' in row 2 of mine.csv is empty"),
        ({"input": None, "target": "a"}, {}, "'input' in row 2 of mine.csv is null"),
        ({"input": float("nan"), "target": "a"}, {}, "'input' in row 2 of mine.csv is null"),
        ({"input": ["q"], "target": "a"}, {}, "'input' in row 2 of mine.csv is a list"),
        ({"input": "q", "target": b"a"}, {}, "'target' in row 2 of mine.csv is bytes"),
        ({"input": "q", "target": {"a": 1}}, {}, "'target' in row 2 of mine.csv is an object"),
        (
            {"input": "q", "target": "a", "refs": "plain"},
            {"columns": Columns(references="refs")},
            "'refs' in row 2 .* no list",
        ),
        (
            {"input": "q", "target": "a", "refs": []},
            {"columns": Columns(references="refs")},
            "'refs' in row 2 .* no list",
        ),
        (
            {"input": "q", "target": "a", "refs": ["x", None]},
            {"columns": Columns(references="refs")},
            "'refs' in row 2 .* null",
        ),
        ({"input": "q", "target": "good!"}, {"choices": ["good", "a1"]}, "'good!' in row 2 .* did you mean 'good'"),
        ({"input": "q", "target": "a", "id": "7"}, {"columns": Columns(id="id")}, "'7' in row 2 .* row 1 already"),
    ],
)
def test_a_bad_row_is_named(row: dict[str, object], how: dict[str, object], words: str) -> None:
    first = {"input": "q", "target": "a1", "refs": ["r"], "id": 7}
    with pytest.raises(ForewordError, match=words):
        examples([first, row], origin="mine.csv", **how)  # type: ignore[arg-type]


def test_answers_may_be_absent_where_none_are_needed() -> None:
    rows = [{"input": "q"}, {"input": "r", "target": ""}, {"input": "s", "target": "a"}, {"input": "t", "target": None}]
    assert [example.targets for example in examples(rows, answers_needed=False)] == [(), (), ("a",), ()]
    with pytest.raises(ForewordError, match="holds no rows"):
        examples([])


def some(pairs: list[tuple[int, str]]) -> list[Example]:
    return [Example(f"row-{n}", {"input": f"q{question}"}, (answer,)) for n, (question, answer) in enumerate(pairs)]


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), max_size=30).map(some)


@QUICK
@given(dataset=PAIRS, sizes=st.lists(st.integers(0, 4), max_size=3), seed=st.integers(0, 5), data=st.data())
def test_divided_parts_share_no_question_and_lose_no_row(
    dataset: list[Example], sizes: list[int], seed: int, data: st.DataObject
) -> None:
    parts = divided(dataset, sizes, seed=seed)
    assert sorted(example.id for part in parts for example in part) == sorted(example.id for example in dataset)
    questions = [{example.question for example in part} for part in parts]
    assert sum(map(len, questions)) == len(set().union(*questions))
    left = len({example.question for example in dataset})
    for part, size in zip(questions, sizes, strict=False):
        assert len(part) == min(size, left)
        left -= len(part)
    other = divided(data.draw(st.permutations(dataset)), sizes, seed=seed)
    assert [{example.id for example in part} for part in other] == [{example.id for example in part} for part in parts]


@QUICK
@given(dataset=PAIRS)
def test_merged_keeps_every_answer_of_every_question(dataset: list[Example]) -> None:
    merged_examples = merged(dataset)
    assert len({example.question for example in merged_examples}) == len(merged_examples)
    pairs = {(example.question, target) for example in merged_examples for target in example.targets}
    assert pairs == {(example.question, target) for example in dataset for target in example.targets}
    assert sum(len(example.targets) for example in merged_examples) == len(pairs)
    assert shared_questions(dataset, merged_examples) == len(merged_examples)
    assert Columns().target == "target"
