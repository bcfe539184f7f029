"""What a new contributor adds, a file each, in a copy of the sources: a metric, a task from a CSV, a method, a retriever and an init are
tested by standing on their shelves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METRIC = '''"""Whether an output holds a reference somewhere."""

from foreword.metrics.base import mean_metric

METRICS = (mean_metric("holds", of=lambda output, other: float(other in output), source="of this test, an example",
    signature=lambda: "holds|1"),)
'''
TASK = '''"""The capital of a country, from a CSV file.

Source: made by hand; split 80/10/10 by question and seed 0.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.examples import Example
from foreword.data.readers import read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import File, pick

NAME, SUMMARY, LICENCE, PLACE = "capitals", "The capital of a country", "CC0", "capitals"
GET, METRICS = "capitals.csv (CC0)", ("exact_match",)
FILES = (File("all", "capitals.csv", {"rows": 40}),)


def lookalike(folder: Path) -> None:
    """Made-up rows in the file's layout."""
    rows = "".join(f"land {number},town {number}\\n" for number in range(40))
    (folder / "capitals.csv").write_text("country,capital\\n" + rows)


def load(folder: Path | None) -> Task:
    """The task from its file."""
    assert folder is not None
    rows = read_rows(pick(folder, FILES, "all"))
    made = [Example(f"row-{n}", {"input": row["country"]}, (row["capital"],)) for n, row in enumerate(rows, 1)]
    train, dev, test = parts.three(made)
    template = Template(instruction="Name the capital.", question="Country: {input}\\nCapital:")
    return Task(NAME, tuple(train), tuple(dev), tuple(test), template, METRICS, "made by hand", (parts.ONE_PIECE,))
'''
RETRIEVER = '''"""The retriever `first`: the questions of the lowest ids."""

from foreword.prompts.retrieve.pool import Kind, Pool, Ranked, by_id


def first_retriever(pool):
    """The questions of the lowest ids."""
    ordered = Pool(by_id(pool.examples), pool.seed)

    def rank(examples, barred, k):
        return [[(n, None) for n in range(len(ordered.groups)) if n not in bars][:k] for bars in barred]

    return Ranked("first", ordered, rank)


RETRIEVER = Kind("first", first_retriever, lambda: "first|by:id")
'''
METHOD = '    "pt-two": Method(soft=True, demonstrations="fixed", instruction=True, k=2, trainable="prompt"),\n'
INIT = '''def frequent(backbone, length, rng, source):
    """Rows of the most frequent tokens, in their order."""
    return backbone.embed(backbone.tokenizer.frequent(length))


_OWN: dict[str, Init] = {"frequent": frequent, '''
TESTS = {
    "test_metrics.py": "holds",
    "test_tasks.py": "capitals",
    "test_tasks_lookalike.py": "capitals and layout",
    "test_methods.py": "pt-two",
    "test_retrieve.py": "first and (never or signature or order)",
    "test_inits.py": "frequent and gpt2",
}


@pytest.mark.slow
def test_a_file_each_is_enough(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    package = tmp_path / "src" / "foreword"
    (package / "metrics" / "holds.py").write_text(METRIC)
    (package / "tasks" / "capitals.py").write_text(TASK)
    (package / "prompts" / "retrieve" / "first.py").write_text(RETRIEVER)
    for name, mark, text in (
        ("methods.py", '    "ipt-fixed": Method(', METHOD + '    "ipt-fixed": Method('),
        ("inits.py", "_OWN: dict[str, Init] = {", INIT),
    ):
        path = package / "prompts" / name
        assert path.read_text().count(mark) == 1
        path.write_text(path.read_text().replace(mark, text))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), str(tmp_path / "tests")])}
    selected = " or ".join(f"({file.removesuffix('.py')} and {words})" for file, words in TESTS.items())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-k", selected, *TESTS]
    ran = subprocess.run(command, cwd=tmp_path / "tests", env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:]
    for file in TESTS:
        assert f"PASSED {file}" in ran.stdout or f"PASSED tests/{file}" in ran.stdout, (file, ran.stdout[-2000:])
