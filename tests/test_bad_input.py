"""Bad input, through the real door: one sentence on stderr that says what was asked, found and what to do, exit code 2, no traceback."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import entry
from entry import SMALL, refused
from foreword.util import files


@pytest.fixture(scope="module")
def prompt(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prompts") / "mine"
    assert entry.foreword("tune", "-m", model, "-d", data, "--out", out, *SMALL).code == 0
    return out


# -- prompts and models ---------------------------------------------------------------------------------------------------


def test_a_prompt_of_another_backbone(prompt: Path, data: Path, tmp_path: Path) -> None:
    other = entry.save_model(tmp_path / "other", seed=1)
    wider = entry.save_model(tmp_path / "bloom", family="opt")
    flags = ("-m", other, "--prompt", prompt, "-d", data)
    for verb in ("evaluate", "generate"):
        refused(verb, *flags, says=("tuned on", "another model", "its own model"))
    refused(
        "tune",
        "-m",
        other,
        "-d",
        data,
        "--init",
        "carried",
        "--init-prompt",
        prompt,
        "--out",
        tmp_path / "p",
        says=("another model",),
    )
    refused("generate", "-m", wider, "--prompt", prompt, "-d", data, says=("columns", "wide"))


def truncated(folder: Path, name: str, copy: Path) -> Path:
    copy.mkdir()
    for path in folder.iterdir():
        raw = path.read_bytes()
        (copy / path.name).write_bytes(raw[: len(raw) // 2] if path.name == name else raw)
    return copy


def test_a_truncated_prompt(model: Path, data: Path, prompt: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    for name, words in (
        ("adapter_model.safetensors", "damaged"),
        ("adapter_config.json", "damaged"),
        ("foreword.json", "damaged"),
    ):
        cut = truncated(prompt, name, tmp_path / name)
        refused("evaluate", "-m", model, "--prompt", cut, "-d", data, says=(name, words))


def test_a_prompt_that_is_none(model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    command = ("evaluate", "-m", model, "-d", data, "--prompt")
    refused(*command, tmp_path / "nowhere", says=("no prompt folder", "nowhere", "foreword tune"))
    refused(*command, tmp_path, says=("adapter_config.json", "check the path"))
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    refused(*command, tmp_path, says=("LORA", "PROMPT_TUNING"))


def test_a_damaged_or_missing_model(model: Path, data: Path, tmp_path: Path) -> None:
    def compare(where: object, *says: str) -> None:
        refused("compare", "-m", where, "-d", data, "--methods", "zero", "--out", tmp_path / "run", says=says)

    compare(tmp_path / "nowhere", "no model folder", "nowhere", "check the path")
    compare(tmp_path, "no config.json", "save_pretrained")
    compare(truncated(model, "model.safetensors", tmp_path / "cut"), "could not be loaded", "whole")
    compare(truncated(model, "tokenizer.json", tmp_path / "cut words"), "could not be loaded")
    pickled = truncated(model, "none", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    compare(pickled, "no model.safetensors", "no pickles", "save_pretrained")
    compare("reference-of-nobody", "neither a folder here nor reachable", "did you mean 'reference-")
    assert not (tmp_path / "run").exists()


# -- places that cannot be written ----------------------------------------------------------------------------------------


@pytest.fixture
def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("I am no folder", encoding="utf-8")
    return tmp_path / "file" / "run"


def test_an_unwritable_folder(model: Path, data: Path, below_a_file: Path, no_model_is_loaded: None) -> None:
    refused("compare", "-m", model, "-d", data, "--out", below_a_file, says=("Cannot write", "file", "choose a folder"))
    refused("evaluate", "-m", model, "-d", data, "--out", below_a_file, says=("Cannot write", "choose a folder"))
    refused("tune", "-m", model, "-d", data, "--out", below_a_file / "p", says=("Cannot write", "choose a folder"))
    refused(
        "generate", "-m", model, "-d", data, "--out", below_a_file / "a.jsonl", says=("Cannot write", "choose a folder")
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
def test_a_folder_that_even_root_may_not_write(model: Path, data: Path, no_model_is_loaded: None) -> None:
    refused("compare", "-m", model, "-d", data, "--out", "/proc/foreword", says=("Cannot write", "/proc/foreword"))


def test_a_full_folder_that_holds_no_prompt(model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    refused("tune", "-m", model, "-d", data, "--out", tmp_path, says=("not empty", "no prompt", "--out"))
    refused("tune", "-m", model, "-d", data, "--out", tmp_path / "thesis.txt", says=("thesis.txt", "--out"))


def test_a_disk_that_fills_up_while_a_record_is_written(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, *args: Any, **more: Any) -> int:
        if path.parent.name == "records":
            write(path, text[:100], *args, **more)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, text, *args, **more)

    run = ("compare", "-m", model, "-d", data, "--methods", "zero", "--out", tmp_path / "run", "--max-new-tokens", 4)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        result = entry.foreword(*run)
    last = result.err.splitlines(keepends=True)[-1]
    entry.one_sentence(result.code, last, ("Cannot write", "records", "No space left", "free some space"))
    assert list((tmp_path / "run" / "records").iterdir()) == [], "no half record is left"
    assert entry.foreword(*run).code == 0, "and with room again the same command finishes"


def test_no_part_is_taken_from_a_living_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tidy takes what nobody holds, puts back what was being replaced, and leaves the files of others alone."""
    monkeypatch.setattr(files, "YOUNG", -1.0)
    (tmp_path / ".a.json.dead.part").write_text("{", encoding="utf-8")
    (tmp_path / ".p.dead.part").mkdir()
    (tmp_path / ".q.dead.old" / "q").mkdir(parents=True)
    (tmp_path / ".other").write_text("", encoding="utf-8")
    with files.whole_file(tmp_path / "b.json") as part:
        part.write_text("{}", encoding="utf-8")
        files.tidy(tmp_path)
        assert part.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other", "b.json", "q"]
    (tmp_path / ".a.json.dead.part").write_text("{", encoding="utf-8")
    (tmp_path / ".z.json.dead.part").write_text("{", encoding="utf-8")
    files.tidy(tmp_path, "a.json")
    assert not (tmp_path / ".a.json.dead.part").exists() and (tmp_path / ".z.json.dead.part").exists()


# -- names and settings ---------------------------------------------------------------------------------------------------

NAMES: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "task": (("-t", "sst3"), ("task 'sst3'", "'sst2'", "Known")),
    "task and data": (("-t", "sst2", "-d", "x.jsonl"), ("Both task ('sst2') and data ('x.jsonl')", "keep the one")),
    "neither": ((), ("no task", "--task", "--data")),
    "method": (("-d", "DATA", "--methods", "zero,ilc"), ("method 'ilc'", "'icl'", "Known")),
    "shots of zero": (("-d", "DATA", "--methods", "zero:3"), ("zero:3", "shows none")),
    "method's retriever": (("-d", "DATA", "--methods", "icl:bm52"), ("retriever 'bm52'", "'bm25'")),
    "retriever": (("-d", "DATA", "--retriever", "densest"), ("retriever 'densest'", "'dense'")),
    "encoder": (("-d", "DATA", "--encoder", "backbone:max"), ("backbone:max", "backbone:mean")),
    "metric": (("-d", "DATA", "--metrics", "blue"), ("metric 'blue'", "'bleu'")),
    "dtype": (("-d", "DATA", "--dtype", "float23"), ("dtype", "'float23'", "'float32'")),
    "device": (("-d", "DATA", "--device", "gpu"), ("device 'gpu'", "Known", "cuda")),
    "init": (("-d", "DATA", "--init", "zeros"), ("init", "'zeros'", "Known: labels, random, text, vocab")),
    "init text": (("-d", "DATA", "--init", "text"), ("init_text is empty", "words")),
    "a text that no init reads": (
        ("-d", "DATA", "--init-text", "ba lo"),
        ("tuning.init_text is given", "tuning.init is 'vocab'", "(--init text)"),
    ),
    "a prompt that no init reads": (
        ("-d", "DATA", "--init-prompt", "p", "--init", "random"),
        ("tuning.init_prompt is given", "tuning.init is 'random'", "(--init warm_start)"),
    ),
    "a text of an override": (("-d", "DATA", "tuning.init_text=ba"), ("tuning.init_text is given", "(--init text)")),
    "a text of another override": (
        ("-d", "DATA", "tuning.init_text=ba", "tuning.init=random"),
        ("tuning.init_text is given", "'random'", "(--init text)"),
    ),
    "init labels": (("-d", "DATA", "--init", "labels"), ("labels", "--choices")),
    "init carried": (("-d", "DATA", "--init", "carried"), ("init_prompt is empty", "folder")),
    "setting": (("-d", "DATA", "tuning.lerning_rate=1"), ("setting 'tuning.lerning_rate'", "'tuning.learning_rate'")),
    "not key=value": (("-d", "DATA", "seeds"), ("'seeds'", "key=value")),
    "wrong type": (("-d", "DATA", "tuning.max_steps=many"), ("tuning.max_steps", "'many'", "whole number")),
    "no number": (("-d", "DATA", "--limit", "0"), ("limit is 0", "at least 1")),
    "no method": (("-d", "DATA", "--methods", ","), ("methods", "one or more")),
    "twice": (("-d", "DATA", "--methods", "zero,zero"), ("methods", "'zero' twice")),
    "config": (("-c", "nowhere.toml"), ("no configuration", "nowhere.toml")),
    "config key": (("-d", "DATA", "-c", "KEY"), ("setting 'lerning'", "Known")),
    "config broken": (("-d", "DATA", "-c", "BROKEN"), ("not valid TOML", "line 2", "mend")),
    "config type": (("-d", "DATA", "-c", "TYPE"), ("seeds", "'0,1'", "a list")),
    "template": (("-d", "DATA", "--question", "Input:"), ("'Input:'", "names no field", "{input}")),
    "template's field": (("-d", "DATA", "--question", "{inptu}"), ("column 'inptu'", "'input'")),
    "data folder": (("-t", "sst2", "--data-dir", "nowhere"), ("data folder nowhere", "--data-dir")),
}
TOML = {"KEY": 'lerning = 1\nmodel = "x"', "BROKEN": 'model = "x"\nseeds = [1', "TYPE": 'seeds = "0,1"'}


@pytest.mark.parametrize("case", NAMES)
def test_names_and_settings(case: str, model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    argv, says = NAMES[case]
    arguments: list[object] = []
    for word in argv:
        if word in TOML:
            path = tmp_path / f"{word}.toml"
            path.write_text(TOML[str(word)], encoding="utf-8")
            word = path
        arguments.append(data if word == "DATA" else word)
    refused("compare", "-m", model, "--out", tmp_path / "run", *arguments, says=says)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_model(data: Path) -> None:
    for verb in ("compare", "tune", "generate", "evaluate"):
        refused(verb, "-d", data, says=("no model", "--model"))


def test_a_method_that_cannot_be_tuned(model: Path, data: Path, tmp_path: Path, no_model_is_loaded: None) -> None:
    refused(
        "tune",
        "-m",
        model,
        "-d",
        data,
        "--method",
        "icl",
        "--out",
        tmp_path / "p",
        says=("'icl'", "no soft prompt", "ipt"),
    )


def test_a_device_that_is_not_there(model: Path, data: Path, tmp_path: Path) -> None:
    refused(
        "compare",
        "-m",
        model,
        "-d",
        data,
        "--device",
        "cuda:99",
        "--out",
        tmp_path / "run",
        says=("'cuda:99'", "--device cpu"),
    )


def test_a_fault_is_said_to_be_one(model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no fault of the input is not blamed on it, and still shows no traceback."""
    from foreword.study import compare

    def broken(*args: object, **more: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(compare, "summarise", broken)
    result = entry.foreword(
        "compare", "-m", model, "-d", data, "--methods", "zero", "--max-new-tokens", 4, "--out", tmp_path
    )
    assert result.code == 1 and result.out == ""
    assert result.err.splitlines()[-1].startswith(
        "foreword: This is a fault in foreword, not in your input (RuntimeError: two lines)"
    )


# -- as a process ---------------------------------------------------------------------------------------------------------


def process(*argv: object, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit or 0, limit or 0))

    return subprocess.run(
        [sys.executable, "-m", "foreword", *map(str, argv)],
        capture_output=True, text=True, timeout=120, preexec_fn=small_files if limit else None, check=False,
    )  # fmt: skip


def test_as_a_process(data: Path, tmp_path: Path) -> None:
    completed = process("compare", "-m", tmp_path / "nowhere", "-d", data, "--out", tmp_path / "run")
    assert completed.stdout == ""
    entry.one_sentence(completed.returncode, completed.stderr, ("no model folder", "nowhere"))


def test_a_prompt_that_the_disk_cannot_hold(model: Path, data: Path, tmp_path: Path) -> None:
    """The system's own limit on the size of a file stands for a full disk: the checkpoint does not fit."""
    completed = process(
        "tune",
        "-m",
        model,
        "-d",
        data,
        "--out",
        tmp_path / "p",
        *SMALL[:2],
        "--prompt-length",
        40,
        "--max-steps",
        2,
        limit=4000,
    )
    assert completed.stdout == ""
    entry.one_sentence(completed.returncode, completed.stderr, ("Cannot write", "File too large", "free some space"))
    assert not (tmp_path / "p").exists() and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("exact_match,blec", ("'blec' reads the fact 'logic_str'", "example 1", "leave it out of --metrics")),
        ("accuracy,mrpc_f1", ("'mrpc_f1' takes the labels not_equivalent, equivalent", "leave it out of --metrics")),
        ("mrpc_f1", ("'mrpc_f1' takes the labels", "'ba", "none of them", "score this task with another metric")),
    ],
)
def test_a_metric_that_cannot_score_the_data_is_refused_before_a_model_is_loaded(
    tmp_path: Path, metrics: str, says: tuple[str, ...]
) -> None:
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(30, choices=("ba", "bana")))
    own = ("-m", tmp_path / "no-model", "-d", data, "--metrics", metrics, "--out", tmp_path / "out")
    refused("evaluate", *own, "--method", "zero", says=says)
    refused("compare", *own, "--methods", "pt", "--dry-run", says=says)
    assert not (tmp_path / "out").exists()
