"""`foreword tasks --check`: right files are called right, changed and missing ones named, leaks found, damaged files refused."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

import lookalike
from foreword import tasks
from foreword.cli.app import app
from foreword.data.examples import Example
from foreword.tasks import _check
from foreword.tasks._files import File, examined
from foreword.tasks._leaks import NEAR, Leak, leaks
from foreword.util.errors import ForewordError

DATA = Path(__file__).parents[2] / "shared" / "data"
FILED = [name for name in tasks.names() if hasattr(tasks.module(name), "PLACE")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookalike.write(tmp_path_factory.mktemp("data"))


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["tasks", *words])
    return result.exit_code, result.stdout


@pytest.mark.parametrize("name", FILED)
def test_what_is_here_is_right(name: str) -> None:
    """Counts and digests of every file of the shared folder; one task at a time, the largest files once."""
    if not DATA.is_dir() or tasks.place(name, DATA) is None:
        pytest.skip("the real files are not here")
    module = tasks.module(name)
    folder = tasks.place(name, DATA)
    assert folder is not None
    looked = _check._looked(module, folder)
    there = [file for file in looked if file.word != "missing"]
    assert there and all(file.word == "right" for file in there), [(file.name, file.word) for file in there]
    assert all(file.digest for file in there if set(file.counts) != {"files"})
    known = [file for file in there if file.digest]
    places = (module.PLACE, *getattr(module, "ALSO", ()))
    assert all(any(key.startswith(f"{place}/") for place in places for key in _check.digests()) for _ in known)


@pytest.mark.slow
def test_the_whole_check_on_real_files() -> None:
    if not DATA.is_dir():
        pytest.skip("the shared data folder is not here")
    code, output = run("--check", "--json", "--data-dir", str(DATA))
    document = json.loads(output)
    assert code == 0 and document["right"]
    words = {task["name"]: task["word"] for task in document["tasks"]}
    assert words["mrpc"] == "Present and official." and words["mrqa-race"].startswith(
        "Missing: RACE.jsonl.gz. To have it, put"
    )
    assert "train is part of the official rows" in words["boolq"]


def test_a_file_of_another_size_is_wrong(root: Path) -> None:
    code, output = run("mrpc", "--check", "--data-dir", str(root))
    assert code == 2
    assert "mrpc: WRONG. msr_paraphrase_train.txt: 48 rows where 4,076 are expected." in output
    code, output = run("mrpc", "--check", "--json", "--data-dir", str(root))
    document = json.loads(output)
    assert code == 2 and not document["right"] and document["tasks"][0]["wrong"]
    assert [split["examples"] for split in document["tasks"][0]["splits"]] == [36, 12, 12]


def test_a_changed_file_of_the_right_size_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lookalike.write(tmp_path, "subj")
    module = tasks.module("subj")
    monkeypatch.setattr(module, "FILES", (File("all", "subj.all", {"rows": 60}),))
    _, digest = examined(module.FILES[0], folder / "subj", {})
    monkeypatch.setattr(_check, "digests", lambda: {"subj/subj.all": digest})
    assert tasks.check("subj", folder).word == "Present and official." and not tasks.check("subj", folder).wrong
    assert run("subj", "--check", "--data-dir", str(folder))[0] == 0
    path = folder / "subj" / "subj.all"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not tasks.check("subj", folder).wrong, "other line ends are the same content"
    path.write_text(path.read_text().replace("1 ", "0 ", 1))
    checked = tasks.check("subj", folder)
    assert checked.wrong and "its content differs from the copy on record" in checked.word
    assert "subj.all" in checked.word and checked.files[0].digest in checked.word


def test_json_digests_go_by_values(tmp_path: Path) -> None:
    rows = [{"b": 1, "a": "é"}, {"a": "x", "b": 2}]
    (tmp_path / "one.json").write_text(json.dumps(rows, indent=3))
    (tmp_path / "two.jsonl").write_text(
        "\n\n".join(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
    )
    (tmp_path / "three.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    digests = {
        examined(File("x", name, {"rows": 2}), tmp_path, {})[1] for name in ("one.json", "two.jsonl", "three.jsonl.gz")
    }
    assert len(digests) == 1


def test_missing_files_have_a_clear_word(tmp_path: Path) -> None:
    checked = tasks.check("totto", tmp_path)
    assert not checked.wrong and checked.where == "" and checked.splits == ()
    assert checked.word.startswith(
        "Missing: totto_train_data.jsonl, totto_dev_data.jsonl. To have it, put totto_data.zip"
    )
    assert run("totto", "--check", "--data-dir", str(tmp_path))[0] == 0
    lookalike.write(tmp_path, "totto")
    (tmp_path / "totto" / "totto_dev_data.jsonl").unlink()
    assert tasks.check("totto", tmp_path).word.startswith(
        "totto_train_data.jsonl: 48 rows where 120,761 are expected. Missing: totto_dev"
    )
    assert tasks.check("boolq", tmp_path).word.endswith("It can be had from the hub as google/boolq.")


def test_a_damaged_file_fails_the_check(tmp_path: Path) -> None:
    folder = lookalike.write(tmp_path, "gsm8k")
    path = folder / "gsm8k" / "train.jsonl"
    path.write_text(path.read_text()[:-20])
    code, output = run("gsm8k", "--check", "--data-dir", str(folder))
    assert code == 2 and "Line 48 of" in output


def test_files_that_are_not_on_record_are_named(tmp_path: Path) -> None:
    folder = lookalike.write(tmp_path, "cr")
    (folder / "cr" / "mine.txt").write_text("x")
    (folder / "cr" / "LICENSE").write_text("x")
    assert tasks.check("cr", folder).others == ("mine.txt",)


def test_the_list_names_sizes_licence_metrics_and_what_is_here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREWORD_DATA", raising=False)
    code, output = run("--json", "--data-dir", str(root))
    listed = {task["name"]: task for task in json.loads(output)}
    assert code == 0 and set(listed) == set(tasks.names())
    for task in listed.values():
        assert task["ready"] and task["metrics"] and task["summary"]
        assert task["where"] == "made here" or (task["licence"] and task["splits"] and task["download"])
    dart = {split["split"]: split for split in listed["dart"]["splits"]}
    assert dart["train"]["official"] == 30526 and dart["test"]["file"] == "dart-v1.1.1-full-test.xml"
    code, output = run("dart")
    assert code == 0 and "train 30,526, dev 2,768, test 5,097 entries" in output and "to be downloaded" in output
    assert run("dartt")[0] != 0
    assert run("--check", "--examples")[0] != 0


def test_the_examples_flag_prints_the_page_of_a_task(root: Path) -> None:
    code, output = run("gsm8k", "--examples", "--data-dir", str(root))
    assert code == 0 and "## gsm8k" in output and "Solve the problem and give the final number." in output


def example_of(name: str, *words: str) -> Example:
    return Example(name, {f"f{k}": word for k, word in enumerate(words)}, ("x",))


def test_leaks_are_exact_alike_or_near() -> None:
    train = [
        example_of("t1", "What is the Time, in Rome?", "clock"),
        example_of("t2", "one two three four five six seven eight nine ten", "a b"),
    ]
    scored = [
        example_of("s1", "What is the Time, in Rome?", "clock"),
        example_of("s2", "what is the time in rome", "Clock!"),
        example_of("s3", "ten two three four five six seven eight nine one zero", "a b"),
        example_of("s4", "one two three four five six seven eight nine ten", "c d"),
        example_of("s5", "what is the time in paris", "clock"),
    ]
    assert leaks(train, scored) == [Leak("s1", "t1", "exact"), Leak("s2", "t1", "alike"), Leak("s3", "t2", "near")]
    assert leaks([], scored) == [] and leaks(train, []) == []


def test_no_near_pair_is_missed() -> None:
    """The index against every pair compared."""
    rng = Random("leaks")
    words = [f"w{n}" for n in range(30)]
    bases = [rng.sample(words, 20) for _ in range(12)]

    def near(name: str) -> Example:
        base = list(rng.choice(bases))
        for _ in range(rng.randrange(4)):
            base[rng.randrange(20)] = rng.choice(words)
        return example_of(name, " ".join(base), rng.choice(("u v", "u w")))

    train, scored = [near(f"t{n}") for n in range(120)], [near(f"s{n}") for n in range(60)]
    leaked = {leak.scored for leak in leaks(train, scored)}

    def overlap(first: Example, second: Example) -> float:
        sets = [
            (set(a.split()), set(b.split())) for a, b in zip(first.fields.values(), second.fields.values(), strict=True)
        ]
        return min(len(a & b) / len(a | b) for a, b in sets)

    expected = {example.id for example in scored if max(overlap(example, other) for other in train) >= NEAR}
    assert leaked == expected and 5 < len(expected) < 60


def test_retrieval_never_shows_an_exact_leak() -> None:
    from foreword.prompts.retrieve import make

    train = [example_of("t1", "the same question", "x"), example_of("t2", "another one", "y")]
    assert [
        demonstration.example.id
        for demonstration in make("bm25", train).find(example_of("s1", "the same question", "x"), 2)
    ] == ["t2"]


DAMAGE = [
    ("dart", "dart/dart-v1.1.1-full-test.xml", lambda raw: raw[: len(raw) // 2], r"Line \d+ of .*test.xml is not XML"),
    (
        "dart",
        "dart/dart-v1.1.1-full-test.xml",
        lambda raw: raw.replace(" | OWNS", ", OWNS", 1),
        "'mtriple' in entry 1 of .*test.xml has 2 parts",
    ),
    ("webnlg", "webnlg/data/v1.6/en/dev/2triples/Town.xml", lambda raw: raw[:-30], "Line .* of .*Town.xml is not XML"),
    ("totto", "totto/totto_dev_data.jsonl", lambda raw: raw[:-60], r"Line 8 of .*dev_data.jsonl is not JSON"),
    (
        "totto",
        "totto/totto_dev_data.jsonl",
        lambda raw: raw.replace("[1, 2]", "[1, 9]", 1),
        r"'highlighted_cells' in row 1 of .* names \[1, 9\]",
    ),
    (
        "totto",
        "totto/totto_train_data.jsonl",
        lambda raw: raw.replace('"is_header"', '"header"', 1),
        "'table' in row 1 of .* is no table of cells",
    ),
    (
        "logic2text",
        "logic2text/dataset/test.json",
        lambda raw: raw.replace("logic_str", "logic", 1),
        "Row 1 of .*test.json has no field 'logic_str'",
    ),
    (
        "logic2text",
        "logic2text/dataset/test.json",
        lambda raw: raw.replace('["place", "sold"]', "[]", 1),
        "Row 1 of .*test.json has an empty",
    ),
    (
        "mtop",
        "mtop/en/eval.txt",
        lambda raw: raw.replace(" ] ]", " ]", 1),
        "'decoupled form' in row 1 of .*eval.txt has brackets that do not pair",
    ),
    (
        "topv2",
        "topv2/music_test.tsv",
        lambda raw: raw.replace(" ] ]", " ] ] ]", 1),
        "'semantic_parse' in row 1 of .*music_test.tsv has brackets",
    ),
    (
        "spider",
        "spider/tables.json",
        lambda raw: raw.replace("[0, ", "[7, "),
        "'column_names_original' in row 1 of .*tables.json",
    ),
    (
        "spider",
        "spider/dev.json",
        lambda raw: raw.replace('"db_id": "shop"', '"db_id": "shops"', 1),
        "Row 1 of .*dev.json asks the database 'shops'",
    ),
    ("squad", "squad/dev-v1.1.json", lambda raw: raw[: len(raw) // 2], "Line 1 of .*dev-v1.1.json is not JSON"),
    (
        "squad",
        "squad/dev-v1.1.json",
        lambda raw: raw.replace('"answers": [{', '"answers": [], "x": [{', 1),
        "'answers' in row 1 of .* holds no answer",
    ),
    (
        "multirc",
        "superglue/MultiRC/val.jsonl",
        lambda raw: raw.replace('"label": 0', '"label": 3', 1),
        "'label' in row 1 of .*val.jsonl is '3'",
    ),
    (
        "record",
        "superglue/ReCoRD/val.jsonl",
        lambda raw: raw.replace('"start"', '"begin"', 1),
        "'entities' in row 1 of .*val.jsonl is no list of starts",
    ),
    (
        "wsc",
        "superglue/WSC/val.jsonl",
        lambda raw: raw.replace(" she asked", " they asked", 1),
        "pronoun 'she' in row 1 of .*val.jsonl is not in",
    ),
    ("qqp", "QQP/dev.tsv", lambda raw: raw.partition("\n")[2], "Line 1 of .*dev.tsv is not the header"),
    ("e2e", "e2e_nlg/devset.csv", lambda raw: raw.partition("\n")[2], "Row 1 of .*devset.csv has no field 'mr'"),
    (
        "ag-news",
        "ag_news/test.csv",
        lambda raw: raw + '5,"half',
        r"Line 14 of .*test.csv starts a row that cannot be read",
    ),
]


@pytest.mark.parametrize(
    ("name", "file", "damage", "words"), DAMAGE, ids=[f"{case[0]}-{k}" for k, case in enumerate(DAMAGE)]
)
def test_damage_is_named_by_file_line_and_field(tmp_path: Path, name, file, damage, words) -> None:  # type: ignore[no-untyped-def]
    folder = lookalike.write(tmp_path, file.split("/")[0])
    tasks.load(name, folder)
    path = folder / file
    path.write_text(damage(path.read_text()))
    with pytest.raises(ForewordError, match=words) as caught:
        tasks.load(name, folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith((".", ". "))


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    folder = lookalike.write(tmp_path, "spider")
    path = folder / "spider/database/shop/shop.sqlite"
    before = path.read_bytes()
    tasks.load("spider-with-cells", folder)
    assert path.read_bytes() == before and sorted(file.name for file in path.parent.iterdir()) == ["shop.sqlite"]
    path.write_bytes(b"this is no database at all, but a line of text" * 40)
    with pytest.raises(
        ForewordError,
        match=r"column 'Name' of the table 'Seller' in .*shop.sqlite cannot be read \(file is not a database\)",
    ):
        tasks.load("spider-with-cells", folder)
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(ForewordError, match="no such table"):
        tasks.load("spider-with-cells", folder)
    path.unlink()
    with pytest.raises(ForewordError, match=r"There is no database .*shop.sqlite"):
        tasks.load("spider-with-cells", folder)


def test_a_gzip_that_breaks_off_is_named(tmp_path: Path) -> None:
    folder = lookalike.write(tmp_path, "mrqa", "squad")
    path = folder / "mrqa/RACE.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ForewordError, match=r"RACE.jsonl.gz is not a whole gzip file"):
        tasks.load("mrqa-race", folder)
    path.write_bytes(gzip.compress(b'{"header": {}}\n{"context": "x", "qas": [{"question"\n'))
    with pytest.raises(ForewordError, match=r"Line 2 of .*RACE.jsonl.gz is not JSON"):
        tasks.load("mrqa-race", folder)


def test_a_logicnlg_table_without_a_header_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "logic2text"
    (folder / "all_csv").mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (folder / f"{split}_lm.json").write_text(json.dumps({"t.csv": [["A sentence .", [0], split, "None"]]}))
    for content, words in (
        ("only#one#line\n", "has no header with rows below"),
        ("a#b\n1#2\n3\n", r"Line 3 of .*t.csv has 1 cells where the header has 2"),
        ("", "has no header"),
    ):
        (folder / "all_csv" / "t.csv").write_text(content)
        with pytest.raises(ForewordError, match=words):
            tasks.load("logic2text", tmp_path)
    (folder / "all_csv" / "t.csv").write_text("a\n1\n")
    (folder / "test_lm.json").write_text(json.dumps({"t.csv": [["A sentence .", [4], "x", "None"]]}))
    with pytest.raises(ForewordError, match=r"Sentence 1 of .*test_lm.json, of the table 't.csv'"):
        tasks.load("logic2text", tmp_path)
