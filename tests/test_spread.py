"""Scoring over several processes: the same numbers as in one, whoever starts it; it refuses to pass where no worker worked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from foreword.metrics import METRICS, _spread, spider_match, totto
from foreword.metrics._spread import spread
from foreword.util.errors import ForewordError

TEXT = "the a big red cat dog won 3 cups , in 1998 . Bern's <null> naïve &amp; (one) % ' \" 東 京"
WORDS = TEXT.split()
SCHEMA = {
    "table_names_original": ["Singer", "Song"],
    "column_names_original": [[-1, "*"], [0, "Id"], [0, "Name"], [1, "Id"], [1, "Title"]],
    "foreign_keys": [[3, 1]],
}
OTHER = {**SCHEMA, "foreign_keys": []}
QUERIES = (
    "SELECT name FROM singer",
    "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.id WHERE T2.title = 'a'",
    "SELECT count(*) FROM song GROUP BY title HAVING count(*) > 3",
    "SELECT title , id FROM song ORDER BY id DESC LIMIT 2",
)


def text(rng: Random, size: int = 9) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, size)))


def tables(count: int) -> tuple[list[str], list[list[str]], list[dict[str, Any]]]:
    """Outputs, references and facts for PARENT of ToTTo, no two tables alike."""
    rng = Random("spread/parent")
    outputs, references, facts = [], [], []
    for n in range(count):
        grid = [[{"value": f"{text(rng, 3)} {n}", "is_header": k == 0} for _ in range(3)] for k in range(3)]
        titles = {f"table_{name}": f"{name} {text(rng)}" for name in ("page_title", "section_title", "section_text")}
        facts.append({"table": grid, "highlighted_cells": [[1, 0], [2, rng.randrange(3)]], **titles})
        references.append([text(rng) for _ in range(rng.randint(1, 3))])
        outputs.append(rng.choice([text(rng), references[-1][0], grid[1][0]["value"], ""]))
    return outputs, references, facts


def queries(count: int) -> tuple[list[str], list[list[str]], list[dict[str, Any]]]:
    """Outputs, references and facts for Spider's exact set match, on two databases."""
    rng = Random("spread/spider")
    golds = [rng.choice(QUERIES) for _ in range(count)]
    outputs = [rng.choice([gold, gold.upper(), rng.choice(QUERIES), gold[:-3]]) for gold in golds]
    return outputs, [[gold] for gold in golds], [{"schema": rng.choice((SCHEMA, OTHER))} for _ in golds]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Three cores, whatever the machine has, and every worker that was started on them."""
    started: list[subprocess.Popen[str]] = []
    start = _spread._started

    def counted(work: Any) -> subprocess.Popen[str] | None:
        worker = start(work)
        assert worker is not None
        started.append(worker)
        return worker

    monkeypatch.setattr(_spread, "_cores", lambda: 3)
    monkeypatch.setattr(_spread, "_started", counted)
    return started


@pytest.mark.parametrize(
    ("name", "module", "make_examples"), [("parent", totto, tables), ("spider_match", spider_match, queries)]
)
def test_several_processes_give_the_numbers_of_one(
    name: str, module: Any, make_examples: Any, workers: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = make_examples(100)
    metric = METRICS[name]
    alone = metric.numbers(*examples)
    assert not workers, "a hundred examples are not worth a process"
    monkeypatch.setattr(module, "LEAST", 30)
    together = metric.numbers(*examples)
    assert len(workers) == 2 and all(worker.returncode == 0 for worker in workers)
    assert np.array_equal(alone, together) and alone.shape == (100, 2)
    assert 0 < alone[:, 0].mean() < 1
    assert metric.numbers([], [], []).shape == (0, 2)


def test_what_one_process_refuses_several_refuse(
    workers: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totto, "LEAST", 3)
    outputs, references, facts = tables(10)
    facts[9] = {**facts[9], "table_page_title": "<skipped>"}
    with pytest.raises(ForewordError, match=r"^Example 9 \(counted from 0\): PARENT found no word in the value"):
        METRICS["parent"].numbers(outputs, references, facts)
    assert len(workers) == 2
    facts[2] = {**facts[2], "highlighted_cells": [[9, 9]]}
    with pytest.raises(ForewordError, match="not in ToTTo's form"):
        METRICS["parent"].numbers(outputs, references, facts)


WORK = """
import __main__, os

def here():
    return getattr(getattr(__main__, "__spec__", None), "name", "") != "foreword.metrics._spread"

def halves(jobs, shared):
    return [job / 3 + sum(shared) for job in jobs]

def dies(jobs, shared):
    if not here():
        os._exit(3)
    return halves(jobs, shared)

def fails(jobs, shared):
    if not here():
        raise KeyError("nothing of that name")
    return halves(jobs, shared)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that only this process's search path leads to; a worker finds it too."""
    (tmp_path / "spread_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import spread_work

    yield spread_work
    del sys.modules["spread_work"]


def test_a_float_keeps_its_value_and_a_job_its_place(work: Any, workers: list[subprocess.Popen[str]]) -> None:
    jobs = [n * 1e-17 for n in range(50)] + [1e300, 5e-324]
    assert spread(work.halves, jobs, [0.1, 0.2], least=1) == work.halves(jobs, [0.1, 0.2])
    assert len(workers) == 2
    assert spread(work.halves, [1], least=1) == [1 / 3] and len(workers) == 2


@pytest.mark.parametrize("name", ["dies", "fails"])
def test_what_a_worker_cannot_do_is_done_here_or_refused(
    name: str, work: Any, workers: list[subprocess.Popen[str]]
) -> None:
    jobs: Sequence[int] = range(9)
    assert spread(getattr(work, name), list(jobs), least=2) == [job / 3 for job in jobs]
    reason = {"dies": "exit status 3", "fails": "exit status 1, after 'KeyError: 'nothing of that name''"}[name]
    with pytest.raises(ForewordError, match=f"scores apart from this one stopped: {reason}"):
        spread(getattr(work, name), list(jobs), least=100, apart=True)
    assert len(workers) == 3 and all(worker.poll() is not None for worker in workers)


def test_what_json_cannot_hold_is_done_here(work: Any, workers: list[subprocess.Popen[str]]) -> None:
    assert spread(work.halves, [np.float64(3), np.int64(6), 9], least=1) == [1.0, 2.0, 3.0]


SCRIPT = """
import json, os
from foreword.metrics import METRICS, _spread, spider_match
_spread._cores = lambda: 2
spider_match.LEAST = 3
given = json.loads(os.environ["GIVEN"])
print("scored", METRICS["spider_match"].numbers(*given)[:, 0].sum())
"""


@pytest.mark.parametrize("how", ["-c", "-i", "file"])
def test_it_does_not_matter_what_started_it(how: str, tmp_path: Path) -> None:
    """A `-c` script, a session at the prompt, and a file whose body no `if __name__` guards: each runs once, and ends."""
    outputs, references, facts = queries(12)
    expected = METRICS["spider_match"].numbers(outputs, references, facts)[:, 0].sum()
    (tmp_path / "script.py").write_text(SCRIPT)
    command = {"-c": ["-c", SCRIPT], "-i": ["-q", "-i"], "file": [str(tmp_path / "script.py")]}[how]
    completed = subprocess.run(
        [sys.executable, *command],
        input=SCRIPT if how == "-i" else None,
        stdin=subprocess.DEVNULL if how != "-i" else None,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "GIVEN": json.dumps([outputs, references, facts])},
        check=True,
    )
    assert completed.stdout.split() == ["scored", str(expected)], completed.stderr


def test_one_of_a_pool_scores_alone() -> None:
    code = """
import multiprocessing
from foreword.metrics import _spread
def told():
    print(_spread._cores())
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    one = context.Process(target=told, daemon=True)
    one.start()
    one.join()
"""
    if sys.platform == "win32":
        pytest.skip("processes are not forked there")
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert completed.stdout.strip() == "1"
