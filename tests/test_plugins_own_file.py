"""A metric in a user's own file: known by its text, tried before a model is loaded, refused in one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import entry
import tiny
from foreword.data.task import Task
from foreword.metrics import metric, own, read_named
from foreword.metrics.scores import rehearsed
from foreword.plugins import contracts
from foreword.study.remembered import recalled
from foreword.util.errors import ForewordError


def written(folder: Path, body: str, name: str = "my_metric.py") -> str:
    (folder / name).write_text(body)
    return f"{folder / name}:score"


def test_a_users_function_is_a_metric_known_by_its_text(tmp_path: Path) -> None:
    name = written(tmp_path, "def score(output, references):\n    return float(output in references)\n")
    measure = own.read(name)
    assert measure.score(["a", "b"], [["a", "c"], ["a"]]) == 50.0 and metric(name) is measure
    again = written(tmp_path, "def score(output, references):\n    return float(output in references) \n")
    assert again == name and own.read(name).signature() != measure.signature()
    assert not list(tmp_path.glob("__pycache__")), "nothing is written beside the user's file"
    written(
        tmp_path,
        "import dataclasses\n@dataclasses.dataclass\nclass Half:\n    x: float = 0.5\ndef score(o, r):\n    return Half().x\n",
    )
    assert own.read(name).score(["a"], [["b"]]) == 50.0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("def score(:", r"cannot be run \(SyntaxError"),
        ("import no_such_library", r"cannot be run \(ModuleNotFoundError: .*a metric's file stands alone"),
        ("raise SystemExit(1)", r"cannot be run \(SystemExit: 1\)"),
        (
            "def rate(output, references): return 1",
            r"the file has no 'score'; write my_metric.py:FUNCTION; it has rate",
        ),
        ("score = 5", "is int; name a function of an output and its references"),
        ("class score: pass", "is type; name a function"),
    ],
)
def test_a_file_that_holds_no_metric_is_refused(body: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match=sentence):
        own.read(written(tmp_path, body))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("    return len(output)", r"gave \d+ for the output .*, and a score must be a number from 0 to 1"),
        ("    return 'good'", "gave good for the output"),
        ("    return float('nan')", "gave nan for the output"),
        ("    return None", "gave None for the output"),
        (
            "    return 1 / len(output)",
            r"failed on the output '' \(ZeroDivisionError: division by zero, line 2\); mend",
        ),
        ("    COUNT.append(1); return 1 / len(COUNT)\nCOUNT = []", "and then .* for the same output"),
    ],
)
def test_a_function_that_cannot_be_a_score_is_refused_before_a_model_is_loaded(
    body: str, sentence: str, tmp_path: Path
) -> None:
    name = written(tmp_path, f"def score(output, references):\n{body}\n")
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(30))
    text = entry.refused(
        "compare", "-m", tmp_path / "no-model", "-d", data, "--metrics", name, "-o", tmp_path / "out", says=()
    )
    assert re.search(sentence, text), text
    assert not (tmp_path / "out" / "records").exists()


METRICS_OF_A_PACKAGE = """
import json
import numpy as np
from foreword.metrics import Metric

def of(value):
    def statistics(outputs, references, facts=()):
        return np.array([[value(o, r, f), 1.0] for o, r, f in zip(outputs, references, facts or [{}] * len(outputs))])
    return statistics

def mean(sums):
    return 100 * sums[..., 0] / sums[..., 1]

def measure(value, **more):
    return Metric("mine", 100.0, "mine", of(value), mean, lambda: "1", **more)

facts = measure(lambda o, r, f: float(o in r and f["table"] == "t"), needs=("table",))
fails = measure(lambda o, r, f: {"a": 1.0}[o])
beyond = measure(lambda o, r, f: 5.0)
none = measure(lambda o, r, f: float("nan"))

def score(output, references):
    return float(json.loads(output) == references[0])
"""


def test_a_whole_metric_is_rehearsed_as_a_function_is(tmp_path: Path) -> None:
    """One that reads facts was refused wherever it was named, one that fails was a traceback, and none was held to its range."""
    path = str(tmp_path / "mine.py")
    (tmp_path / "mine.py").write_text(METRICS_OF_A_PACKAGE)
    rehearsed([own.read(f"{path}:facts").name], [("a",), ("b",)], [{"table": "t"}, {"table": "t"}])
    contracts.metric(own.read(f"{path}:facts"), [("a",), ("b",)], [{"table": "t"}, {"table": "t"}])
    for attribute, sentence in (
        ("fails", "failed on the output '' .KeyError: ''.; mend it"),
        ("beyond", "gave 500 for the output 'a', and its scores are to lie from 0 to 100"),
        ("none", "gave nan for the output 'a'"),
        ("facts", "reads the fact 'table'"),
    ):
        with pytest.raises(ForewordError, match=sentence):
            rehearsed([own.read(f"{path}:{attribute}").name], [("a",)])


def test_the_line_that_failed_is_of_the_users_file(tmp_path: Path) -> None:
    """Not of the library that it calls."""
    (tmp_path / "mine.py").write_text(METRICS_OF_A_PACKAGE)
    line = METRICS_OF_A_PACKAGE.split("\n").index("    return float(json.loads(output) == references[0])") + 1
    with pytest.raises(ForewordError, match=rf"JSONDecodeError: .*, line {line}\); mend the function"):
        rehearsed([own.read(f"{tmp_path}/mine.py:score").name], [("a",)])


def test_no_file_and_no_function_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match="cannot be read: No such file"):
        own.read(f"{tmp_path}/none.py:score")
    name = written(tmp_path, "def score(output, references): return 1")
    with pytest.raises(
        ForewordError, match=r"the file is named without its function; write my_metric.py:FUNCTION; it has score"
    ):
        own.read(name.removesuffix(":score"))


def test_all_that_a_user_names_are_read_and_the_unknown_refused(tmp_path: Path) -> None:
    name = written(tmp_path, "def score(output, references):\n    return 1.0\n")
    read_named([name, "bleu"])
    assert metric(name).score(["a"], [["b"]]) == 100.0
    with pytest.raises(ForewordError, match="There is no metric 'blue'"):
        read_named(iter([name, "blue"]))


def test_a_prompts_folder_runs_no_file(tmp_path: Path) -> None:
    """The code of a file runs where the user names it, and nowhere else: not for a record, nor for a prompt of somebody else's."""
    from foreword.config.run import Run
    from foreword.prompts.soft_prompt import Provenance, SoftPrompt

    name = written(
        tmp_path, f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\ndef score(o, r): return 1\n"
    )
    task = Task("mine", (), (), (), metrics=(name,))
    entry_of_task = SimpleNamespace(NAME="mine", SUMMARY="A task.", load=lambda folder: task)
    for reads in (lambda: metric(name), lambda: contracts.task(entry_of_task)):
        with pytest.raises(ForewordError, match=f"runs only where you name it; give --metrics {name}"):
            reads()
    values = tiny.soft(tiny.backbone("gpt2"), 2)
    assert values is not None
    prompt = SoftPrompt(values, Provenance(backbone="m", settings={"metrics": [name, "bleu"]}))
    assert recalled(Run(model="m"), prompt).metrics == ["bleu"]
    assert not (tmp_path / "ran").exists()


def test_a_users_metric_decides_a_comparison(tmp_path: Path) -> None:
    name = written(tmp_path, "def score(output, references):\n    return 0.25\n")
    model, out = entry.save_model(tmp_path / "model"), tmp_path / "out"
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(30))
    argv = ("compare", "-m", model, "-d", data, "--methods", "zero", "--max-new-tokens", 8, "-o", out)
    ran = entry.foreword(*argv, "--metrics", f"{name},exact_match", "--json")
    assert ran.code == 0 and ran.json["metric"] == name, ran.err
    (record,) = [json.loads(path.read_text()) for path in out.glob("records/*")]
    assert record["scores"][name] == 25.0 and "file|sha256:" in record["spec"]["metrics"][name]
    assert "found finished 1" in entry.foreword(*argv, "--metrics", f"{name},exact_match").out
    written(tmp_path, "def score(output, references):\n    return 0.5\n")
    assert "trials run 1" in entry.foreword(*argv, "--metrics", f"{name},exact_match").out, (
        "another text is another metric"
    )
    assert own.in_file(name) and not own.in_file("bleu")
