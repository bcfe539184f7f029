"""The shelf of tasks: every task that can be read here keeps the contract; made look-alike files are read, damaged ones refused."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foreword import tasks
from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.util.errors import ForewordError

SHARED = Path(__file__).parents[2] / "shared"
DATA = SHARED / "data"
WITH_FILES = [name for name in tasks.names() if hasattr(tasks.module(name), "PLACE")]
COUNTS = {  # train, dev, test: as the sources' own sizes and the stated cuts give them
    "e2e": (42061, 547, 630), "dart": (60163, 2768, 5097), "webnlg": (18102, 870, 1862), "g2p": (4000, 500, 1000),
    "sst2": (6920, 872, 1821), "mtop": (759, 100, 1237), "topv2": (10000, 1975, 1981), "wikisql": (10000, 2000, 2000),
    "spider": (6700, 300, 1034), "trec": (4943, 509, 500), "ag-news": (3500, 500, 7600), "rte": (2240, 250, 277),
    "mrpc": (3676, 400, 1725), "gsm8k": (6973, 500, 1319), "geoquery": (548, 49, 277), "boolq": (1800, 200, 3270),
    "totto": (6, 2, 10), "logic2text": (8566, 1014, 990), "e2e-clean": (42045, 1484, 1847), "multirc": (1795, 205, 4848),
    "record": (39, 3, 3), "wsc": (8, 2, 104), "squad": (946, 123, 121), "cb": (200, 50, 56), "copa": (350, 50, 100),
    "wic": (4199, 400, 638), "qqp": (1800, 200, 7600), "commongen": (38308, 500, 992),
}  # fmt: skip


@functools.cache
def loaded(name: str) -> tuple[Task, float]:
    if hasattr(tasks.module(name), "PLACE"):
        if not DATA.is_dir():
            pytest.skip("the shared data folder is not here")
        if tasks.place(name, DATA) is None or not tasks.about(name, DATA).ready:
            pytest.skip(f"the files of {name} are not here")
    start = time.process_time()
    return tasks.load(name, DATA if DATA.is_dir() else None), time.process_time() - start


@pytest.mark.parametrize("name", tasks.names())
def test_the_contract_of_every_task(name: str) -> None:
    task, seconds = loaded(name)
    assert seconds < 8
    assert task.name.replace("_", "-") == name and task.source and task.metrics
    ids = [example.id for split in SPLITS for example in task.split(split)]
    assert len(set(ids)) == len(ids)
    for split in SPLITS:
        assert task.split(split), split
    for example in (*task.train, *task.dev, *task.test):
        assert example.targets and all(target.strip() for target in example.targets)
        assert not example.choices or set(example.targets) <= set(example.choices)
    assert all(example.choices for example in task.train) == (task.metrics[0] in ("accuracy", "multirc_f1"))
    assert set(task.metrics) <= set(tasks.about(name, DATA).metrics)


@pytest.mark.parametrize("name", tasks.names())
def test_wording_and_reading_are_a_round_trip(name: str) -> None:
    template = loaded(name)[0].template
    for split in SPLITS:
        for example in loaded(name)[0].split(split)[:500]:
            question = template.ask(example)
            assert question == question.rstrip() or not template.answer.startswith(" ")
            for target in example.targets:
                if not template.stop or template.stop not in target:
                    assert template.read(template.reply(target)) == target.strip()


@pytest.mark.parametrize("name", tasks.names())
def test_a_summary_and_a_stable_fingerprint(name: str) -> None:
    about = tasks.about(name, DATA if DATA.is_dir() else None)
    assert about.summary and "\n" not in about.summary
    task = loaded(name)[0]
    if len(task.train) > 15_000:
        pytest.skip("the largest are read once only, to keep the tests short")
    again = tasks.load(name.replace("-", "_").upper(), DATA if DATA.is_dir() else None)
    assert again.fingerprint == task.fingerprint


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts(name: str) -> None:
    task, _ = loaded(name)
    assert (len(task.train), len(task.dev), len(task.test)) == COUNTS[name]


def test_references_are_all_kept() -> None:
    dart, _ = loaded("dart")
    assert sum(len(example.targets) for example in dart.test) == 12551  # 12,552 of which one is empty
    assert all(len(example.targets) == 1 for example in dart.train)
    assert dart.test[0].fields["input"].startswith("Hawaii Five-O : notes : Episode: The Flight of the Jewels | ")
    assert "approximate" in dart.source and any("approximate" in note for note in dart.notes)
    e2e, _ = loaded("e2e")
    assert max(len(example.targets) for example in e2e.test) > 1 and e2e.test[0].fields["input"].startswith("name[")


def test_g2p_is_written_in_the_output_alphabet() -> None:
    task, _ = loaded("g2p")
    words = [example.fields["input"] for split in SPLITS for example in task.split(split)]
    assert len(set(words)) == 5500 and all(word.isascii() and word.islower() and 2 <= len(word) <= 24 for word in words)
    assert "15,178" in task.notes[0]
    tokenizer = SHARED / "models" / "g2p-bart-us" / "phonemes" / "tokenizer.json"
    if not tokenizer.is_file():
        pytest.skip("the shared model is not here")
    alphabet = set(json.loads(tokenizer.read_text())["model"]["vocab"])
    assert {letter for split in SPLITS for example in task.split(split) for letter in example.targets[0]} <= alphabet
    letters = json.loads((tokenizer.parents[1] / "tokenizer.json").read_text())["model"]["vocab"]
    assert {letter for word in words for letter in word} <= set(letters)


def test_spider_shows_the_schema() -> None:
    task, _ = loaded("spider")
    (example,) = [example for example in task.test if example.id == "test-1"]
    assert example.fields["question"] == "How many singers do we have?" and example.targets == (
        "select count(*) from singer",
    )
    assert example.fields["schema"].startswith("concert_singer | stadium : stadium_id , location , name , capacity")


def test_listing_imports_no_task_and_no_model_library() -> None:
    own = "m.startswith('foreword.tasks.') and not m.startswith('foreword.tasks._')"
    several = "not m.endswith('_tasks') and m != 'foreword.tasks.squad'"  # which MRQA's file reads; files of several tasks say their names
    loaded = f"[m for m in sys.modules if {own} and {several}]"
    heavy = "[m for m in ('torch', 'transformers', 'datasets', 'pyarrow', 'numpy') if m in sys.modules]"
    code = f"import sys, foreword.tasks as t; t.names(); print({loaded} + {heavy})"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ForewordError, match="There is no task 'dartt'; did you mean 'dart'"):
        tasks.load("dartt")


@pytest.mark.parametrize("name", WITH_FILES)
def test_absent_data_say_what_to_download(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREWORD_DATA", raising=False)
    module = tasks.module(name)
    assert module.GET and module.PLACE
    if hasattr(module, "HUB"):
        assert tasks.about(name, tmp_path).where == "hub"
        return
    for data_dir in (None, tmp_path):
        with pytest.raises(ForewordError, match="download") as caught:
            tasks.load(name, data_dir)
        assert (
            module.GET in str(caught.value)
            and f"'{module.PLACE}'" in str(caught.value)
            and "\n" not in str(caught.value)
        )
    (tmp_path / module.PLACE).mkdir(parents=True)
    with pytest.raises(ForewordError, match="put the file there"):
        tasks.load(name, tmp_path)
    with pytest.raises(ForewordError, match=r"data folder .* is not there"):
        tasks.load(name, tmp_path / "none")


def test_the_environment_names_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cr").mkdir()
    (tmp_path / "cr" / "custrev.all").write_text("".join(f"{n % 2} sentence {n}\n" for n in range(20)) + "1 \n")
    monkeypatch.setenv("FOREWORD_DATA", str(tmp_path))
    task = tasks.load_task("cr", metrics=["exact_match"])
    assert (len(task.train), len(task.dev), len(task.test)) == (16, 2, 2) and task.metrics == ("exact_match",)
    with pytest.raises(ForewordError, match="task 'cr' of the shelf has its own columns"):
        tasks.load_task("cr", input_column="text")


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


DART = json.dumps(
    [
        {
            "tripleset": [["a", "IS", "b"], ["a", "HAS", "c"]],
            "annotations": [{"source": "x", "text": "A is b."}, {"source": "x", "text": "A b."}],
        }
    ]
)


def test_the_official_train_file_comes_first(tmp_path: Path) -> None:
    names = ["train", "dev", "test"]
    write_files(tmp_path, {f"dart/dart-v1.1.1-full-{name}.json": DART.replace('"b"', f'"{name}"') for name in names})
    write_files(tmp_path, {"dart/dart-train.approx_rebuilt.json": "damaged"})
    task = tasks.load("dart", tmp_path)
    assert [example.fields["input"] for example in task.train] == ["a : is : train | a : has : c"] * 2
    assert "approximate" not in task.source and task.test[0].targets == ("A is b.", "A b.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DART[:-30], "Line 1 of .*train.json is not JSON"),
        (
            DART.replace("tripleset", "triples"),
            "Row 1 of .*train.json has no field 'tripleset'; did you mean 'triples'",
        ),
        (DART.replace('"IS", ', ""), "'tripleset' in row 1 of .*train.json is no list of triples"),
        ("{}", "does not hold a JSON list"),
        ("[7]", "Row 1 of .*train.json has no field 'tripleset'"),
        (DART.replace('"A is b."', "5"), "'text' in row 1 of .*train.json is no text"),
    ],
)
def test_damaged_json_names_the_row_and_the_field(tmp_path: Path, content: str, words: str) -> None:
    write_files(tmp_path, {f"dart/dart-v1.1.1-full-{name}.json": DART for name in ("dev", "test")})
    write_files(tmp_path, {"dart/dart-v1.1.1-full-train.json": content})
    with pytest.raises(ForewordError, match=words):
        tasks.load("dart", tmp_path)


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("sst2", {"sst2/stsa.binary.train": "1 good\n2 odd\n"}, "Line 2 of .*train starts with '2'"),
        ("mrpc", {"mrpc/msr_paraphrase_train.txt": "head\n1\t2\t3\tone\n"}, "Line 2 of .*train.txt is not a label"),
        (
            "commongen",
            {"commongen/commongen.train.src_alpha.txt": "a b\n", "commongen/commongen.train.tgt.txt": "A b.\nB a.\n"},
            "has 1 lines",
        ),
        ("gsm8k", {"gsm8k/train.jsonl": '{"question": "q", "answer": "none"}\n'}, "no '#### number'"),
        ("gsm8k", {"gsm8k/train.jsonl": '{"question": "q", "answer": "#### 1"}\n{"question"\n'}, "Line 2 of"),
        (
            "rte",
            {"superglue/RTE/train.jsonl": '{"premise": "p", "hypothesis": "h", "label": "entails"}\n'},
            "did you mean 'entailment'",
        ),
        (
            "mtop",
            {"mtop/en/train.txt": "1\tIN:A\tslots\tsay it\n", "mtop/en/eval.txt": "", "mtop/en/test.txt": ""},
            "Line 1 of .*train.txt is no MTOP row",
        ),
        ("g2p", {"g2p/gb_gold.json": '["a"]', "g2p/us_gold.json": "{}"}, "no mapping from words"),
        (
            "spider",
            {"spider/tables.json": "[]", "spider/train_spider.json": '[{"db_id": "d", "question": "q", "query": "s"}]'},
            "database 'd'",
        ),
        (
            "webnlg",
            {"webnlg/train.compact.jsonl": '{"triples": ["a | b"], "refs": ["x"]}\n'},
            "in row 1 .* has 2 parts",
        ),
    ],
)
def test_damaged_task_files_are_refused(tmp_path: Path, name: str, files: dict[str, str], words: str) -> None:
    with pytest.raises(ForewordError, match=words) as caught:
        write_files(tmp_path, files)
        write_files(tmp_path, {f"sst2/stsa.binary.{split}": "1 x\n" for split in ("dev", "test")})
        write_files(tmp_path, {"mrpc/msr_paraphrase_test.txt": "head\n"})
        tasks.load(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_mtop_in_its_official_layout(tmp_path: Path) -> None:
    line = "1\tIN:CALL\tslots\tcall Ann's mum\tcalling\ten_XX\t[IN:CALL [SL:WHO Ann 's mum ] ]\t" + json.dumps(
        {"tokens": ["call", "Ann", "'s", "mum"]}
    )
    write_files(
        tmp_path / "mtop", {f"en/{split}.txt": line.replace("Ann", split) + "\n" for split in ("train", "eval", "test")}
    )
    task = tasks.load("mtop", tmp_path)
    assert task.dev == (Example("eval-1", {"input": "call eval 's mum"}, ("[IN:CALL [SL:WHO eval 's mum ] ]",)),)
    assert task.notes == () and "official" in task.source


def test_mtop_scored_on_eval_cuts_dev_from_train(tmp_path: Path) -> None:
    def rows(split: str, count: int) -> str:
        words = [f"{split}{number}" for number in range(count)]
        cells = [f"1\tIN:A\t\t\t\t\t[IN:A {word} ]\t{json.dumps({'tokens': ['say', word]})}" for word in words]
        return "\n".join(cells) + "\n"

    write_files(
        tmp_path / "mtop", {f"en/{split}.txt": rows(split, size) for split, size in (("train", 12), ("eval", 5))}
    )
    task = tasks.load("mtop-dev", tmp_path)
    assert [len(task.split(split)) for split in SPLITS] == [9, 3, 5]
    assert [example.id for example in task.test] == [f"eval-{number}" for number in range(1, 6)]
    assert {example.question.split()[-1][:5] for example in (*task.train, *task.dev)} == {"train"}
    assert tasks.about("mtop-dev", tmp_path).ready, "the test file is not read"
    held = tasks.scored("mtop-dev")
    assert held is not None and (held.split, held.name, held.official) == ("eval", "dev", 2235)


def test_xsemplr_s_part_of_mtop_has_no_eval_split_to_score(tmp_path: Path) -> None:
    write_files(tmp_path / "mtop", {f"{split}.en.compact.tsv": "utterance\tparse\n" for split in ("dev", "test")})
    assert not tasks.about("mtop-dev", tmp_path).ready
    with pytest.raises(ForewordError, match=r"has no en/train\.txt or train\.txt"):
        tasks.load("mtop-dev", tmp_path)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "sst2",
            {
                "train": {"text": "fine", "label": 1},
                "validation": {"text": "bad", "label": 0},
                "test": {"text": "so", "label": 1},
            },
        ),
        (
            "gsm8k",
            {
                "train": {"question": "how many", "answer": "so\n#### 1,000"},
                "test": {"question": "q", "answer": "#### 2"},
            },
        ),
        (
            "rte",
            {
                "train": {"sentence1": "p", "sentence2": "h", "label": 0},
                "validation": {"sentence1": "p", "sentence2": "g", "label": 1},
            },
        ),
        (
            "mrpc",
            {
                "train": {"sentence1": "p", "sentence2": "h", "label": 0},
                "test": {"sentence1": "p", "sentence2": "g", "label": 1},
            },
        ),
        (
            "qqp",
            {
                "train": {"question1": "p", "question2": "h", "label": 0},
                "validation": {"question1": "p", "question2": "g", "label": 1},
            },
        ),
        (
            "boolq",
            {
                "train": {"passage": "p", "question": "h", "answer": True},
                "validation": {"passage": "p", "question": "g", "answer": False},
            },
        ),
        ("ag-news", {"train": {"text": "news", "label": 3}, "test": {"text": "olds", "label": 0}}),
        *(
            (name, {"train": row | {"label": 1}, "validation": row | {"label": 0 if name != "wsc" else 1}})
            for name, row in (
                ("cb", {"premise": "p", "hypothesis": "h"}),
                ("copa", {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause"}),
                ("wic", {"sentence1": "p", "sentence2": "h", "word": "w"}),
                ("multirc", {"question": "q", "answer": "a", "paragraph": "p", "idx": {"paragraph": 0, "question": 1}}),
                ("record", {"query": "q @placeholder", "entities": ["b", "a"], "passage": "p", "answers": ["a"]}),
                ("wsc", {"text": "Ann says she is.", "span1_text": "Ann", "span2_text": "she", "span2_index": 2}),
                ("squad", {"question": "q?", "context": "c", "answers": {"text": ["a", "a"]}}),
            )
        ),
        (
            "commongen",
            {"train": {"concepts": ["a", "b"], "target": "A b."}, "validation": {"concepts": ["c"], "target": "C."}},
        ),
    ],
)
def test_hub_rows_become_the_same_task(
    name: str, rows: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in with the hub's columns: the shape of the rows is read without any network."""
    from foreword.tasks import _parts

    words = {"train": "train", "validation": "dev", "test": "test"}
    splits = {words[split]: [row] for split, row in rows.items()}
    monkeypatch.setattr(_parts, "hub_splits", lambda dataset, config: (splits, (), ()))
    monkeypatch.setattr(
        _parts, "carved", lambda train, size, seed=0: (list(train), [Example("cut", {"input": "x"}, ("x",))])
    )
    monkeypatch.delenv("FOREWORD_DATA", raising=False)
    task = tasks.load(name)
    question = task.template.ask(task.train[0])
    assert question and task.train[0].targets[0].strip() and task.test
    broken = {split: [{"other": 1}] for split in splits}
    monkeypatch.setattr(_parts, "hub_splits", lambda dataset, config: (broken, (), ()))
    with pytest.raises(ForewordError, match="has another shape than expected"):
        tasks.load(name)
