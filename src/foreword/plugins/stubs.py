"""Stubs of a package with one item of its own: the item, its entry point and a test of its contract, which passes as it stands."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.metrics import METRICS
from foreword.prompts.inits import INITS
from foreword.prompts.methods import ROWS
from foreword.prompts.retrieve import RETRIEVERS
from foreword.tasks import TASKS
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import writable_folder, write_text
from foreword.util.plugins import KINDS, Shelf

SHELVES: Mapping[str, Shelf[Any]] = {
    "metric": METRICS,
    "task": TASKS,
    "method": ROWS,
    "retriever": RETRIEVERS,
    "init": INITS,
}
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")

PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "foreword-{name}"
version = "0.1.0"
dependencies = ["foreword"]

[project.entry-points."{group}"]
{name} = "{module}:{attribute}"

[tool.setuptools]
py-modules = ["{module}"]
"""

METRIC = '''"""The metric {name}: the part of the reference's words that the output has."""


def score(output: str, references: list[str]) -> float:
    """From 0 to 1; the score of a set is the mean, times 100."""
    return max(_part(output.split(), reference.split()) for reference in references)


def _part(words: list[str], expected: list[str]) -> float:
    if not expected:
        return float(not words)
    return sum(word in words for word in expected) / len(expected)
'''

TASK = '''"""The task {name}: what it asks, and where its examples come from."""

from __future__ import annotations

from pathlib import Path

from foreword import Example, Task, Template

NAME = "{name}"
SUMMARY = "one line that says what is asked"
METRICS = ("exact_match",)


def load(folder: Path | None = None) -> Task:
    """The task. Read your own files here, from beside this file; ids are distinct over the splits."""
    names = ["ada", "ben", "cleo", "dan", "eve", "finn", "gia", "hal", "ida", "jon"]
    examples = [Example(f"{{NAME}}-{{name}}", {{"input": name}}, (name.upper(),)) for name in names]
    return Task(
        NAME,
        train=tuple(examples[:6]),
        dev=tuple(examples[6:8]),
        test=tuple(examples[8:]),
        template=Template(instruction="Write the name in capitals.", question="Name: {{input}}\\nCapitals:"),
        metrics=METRICS,
        source="made by hand",
    )
'''

METHOD = '''"""The method {name}: a row of choices from which follows what stands before an input."""

from foreword import Method

METHOD = Method(soft=True, demonstrations="fixed", instruction=True, k=1, trainable="prompt")
'''

RETRIEVER = '''"""The retriever {name}: the training examples whose questions share the most words with the input."""

from __future__ import annotations

from collections.abc import Sequence

from foreword import Example
from foreword.prompts.retrieve import Kind, Pool, Ranked, Retriever


def retrieve(pool: Pool) -> Retriever:
    """A retriever over the distinct questions of the pool, `pool.texts`."""
    words = [set(text.lower().split()) for text in pool.texts]

    def rank(
        examples: Sequence[Example], barred: Sequence[Sequence[int]], k: int
    ) -> list[list[tuple[int, float | None]]]:
        """For each example the k best questions but the barred ones, best first: (number in the pool, similarity)."""
        rankings: list[list[tuple[int, float | None]]] = []
        for example, bars in zip(examples, barred, strict=True):
            own = set(example.text.lower().split())
            scores = {{number: len(own & words[number]) for number in range(len(words)) if number not in bars}}
            best = sorted(scores, key=lambda number: (-scores[number], number))[:k]
            rankings.append([(number, float(scores[number])) for number in best])
        return rankings

    return Ranked("{name}", pool, rank)


def signature() -> str:
    """What decides the choice beside the examples and this file: constants, versions of libraries."""
    return "{name}|1"


RETRIEVER = Kind("{name}", retrieve, signature)
'''

INIT = '''"""The init strategy {name}: where the rows of a soft prompt start."""

from __future__ import annotations

from random import Random
from typing import Any

from foreword import Backbone


def start(backbone: Backbone, length: int, rng: Random, source: Any) -> Any:
    """[P, H]: the embedding rows of tokens drawn from the hundred most frequent ones."""
    frequent = backbone.tokenizer.frequent(100)
    return backbone.embed([rng.choice(frequent) for _ in range(length)])
'''

TEST = '''"""{name} keeps the contract of foreword's own {kind}s."""

import {module}
from foreword.plugins import contracts


def test_the_contract() -> None:
    contracts.{kind}({argument})
'''

STUBS = {
    "metric": (METRIC, "score"),
    "task": (TASK, ""),
    "method": (METHOD, "METHOD"),
    "retriever": (RETRIEVER, "RETRIEVER"),
    "init": (INIT, "start"),
}


def write_stub(kind: str, name: str, folder: Path) -> Path:
    """A package's folder for an item of this kind: `pyproject.toml`, the item's file, its test. Gives the item's file. Raises
    ForewordError for an unknown kind, a name that is taken or cannot be one, also for that of a module that Python would import in the
    item's stead, and a folder that is not empty."""
    if kind not in STUBS:
        raise unknown("kind of item", kind, STUBS)
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        raise ForewordError(
            f"'{name}' cannot be the name of a {kind}; write small letters, digits and -, such as my-{kind}."
        )
    if name in SHELVES[kind]:
        raise ForewordError(f"There is a {kind} '{name}' already; choose another name.")
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:  # a folder of that name is no module
        raise ForewordError(
            f"Python has a module '{module}' already and would import that one; choose another name, such as my-{name}."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ForewordError(f"{folder} is there and not empty; give --out a new folder.")
    text, attribute = STUBS[kind]
    writable_folder(folder)
    entry = PROJECT.format(name=name, module=module, group=KINDS[kind], attribute=attribute)
    write_text(folder / "pyproject.toml", entry if attribute else entry.replace(f"{module}:", module))
    argument = f"{module}.{attribute}" if attribute else module
    write_text(folder / f"test_{module}.py", TEST.format(name=name, module=module, kind=kind, argument=argument))
    write_text(folder / f"{module}.py", text.format(name=name))
    return folder / f"{module}.py"
