"""The benches of tuning: tiny runs print one document, what they count is right; no time is judged here."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import benches
from benches import BENCH

TINY = [
    "--shape",
    "small",
    "--layers",
    "1",
    "--prompt-length",
    "3",
    "--batch",
    "2",
    "--lengths",
    "mtop",
    "--repeats",
    "1",
    "--json",
]
COMMANDS = {
    "train": [*TINY, "--words", "400"],
    "limit": TINY,
    "scaling": ["--smoke", "--sweep", "batch", "vocabulary", "--repeats", "1", "--json"],
}
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="PEFT is not installed here")
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_peft if name == "train" else ()) for name in COMMANDS]
)


@every
def test_a_tiny_run_prints_one_document(name: str) -> None:
    document = benches.document(name, COMMANDS[name])
    HOLDS[name](document)


def _train(document: dict[str, Any]) -> None:
    (row,) = document["rows"]
    assert document["ratio"] == row["ratio"] == pytest.approx(row["quotient"] * row["arithmetic"])
    assert row["agreement"]["gradient_apart"] < 1e-4
    assert 0 < row["memory_ours_mb"] < row["memory_peer_mb"]


def _limit(document: dict[str, Any]) -> None:
    (row,) = document["rows"]
    assert row["share"] == pytest.approx(row["shares"][0]) and 0 < row["share"] < 1.5
    assert row["floor"] == pytest.approx(row["gflop"] / row["rate_square"])


def _scaling(document: dict[str, Any]) -> None:
    batch, vocabulary = document["exponents"]
    assert (batch["swept"], vocabulary["swept"]) == ("batch", "vocabulary")
    assert 0.5 < batch["gflop"] <= 1 and 0 < vocabulary["gflop"] < 1, "what does not grow with it weighs on the slope"
    assert batch["memory_mb"] > 0 and len(document["rows"]) == 6


HOLDS = {"train": _train, "limit": _limit, "scaling": _scaling}


@pytest.mark.slow
@needs_peft
def test_time_to_quality_screens_and_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    more = ["--steps", "4", "--screen", "2", "--every", "1", "--rates", "1e-4", "1e-1", "--dev-limit", "8", "--json"]
    command = ["--model", "reference-small", "--prompt-length", "3", "--runs", str(tmp_path / "runs"), *more]
    (row,) = benches.document("quality", command)["rows"]
    assert len(row["peer_runs"]) == 2 and row["peer_dev"] == min(loss for loss, _ in row["peer_runs"].values())
    lines = (tmp_path / "runs").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)[0][-1] for line in lines] == [2, 2, 2, 2, 4, 4]
    (again,) = benches.document("quality", command)["rows"]
    assert again["peer_runs"] == row["peer_runs"] and again["curve"][-1][0] == row["curve"][-1][0] == 4
    assert (tmp_path / "runs").read_text(encoding="utf-8").splitlines() == lines


def test_exponents_are_those_of_a_power(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    scaling = importlib.import_module("scaling")
    points = [{"value": x, "seconds": 3 * x**1.5, "memory_mb": 7.0, "gflop": float(x)} for x in (2, 4, 8, 16)]
    slopes = scaling.exponents("batch", points)
    assert slopes["seconds"] == pytest.approx(1.5) == slopes["seconds_upper"]
    assert slopes["memory_mb"] == pytest.approx(0, abs=1e-12) and slopes["gflop"] == pytest.approx(1)
    with pytest.raises(ValueError, match="2 points are no line"):
        scaling.exponents("batch", points[:2])


def test_a_contender_that_fails_in_its_own_process_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    apart = importlib.import_module("_apart")
    with pytest.raises(RuntimeError, match="own process: ValueError: invalid literal"), apart.Apart(int, "no number"):
        pass
    with pytest.raises(RuntimeError, match="own process: TypeError"), apart.Apart(str, "no work") as work:
        work()


def test_rows_count_only_under_what_they_were_measured_under(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    run = importlib.import_module("_run")

    def settings(**other: object) -> argparse.Namespace:
        defaults = {"rows": str(tmp_path / "rows.jsonl"), "repeats": 3, "seed": 0, "dtype": "float32", "batch": [4]}
        return argparse.Namespace(**{**defaults, **other})

    case, row = ("small", 25, 4, "mtop", 0), {"ratio": 2.5}
    run.Rows(settings(), ["batch"]).add(case, row)
    assert (
        run.Rows(settings(batch=[4, 8]), ["batch"]).get(case)
        == row
        == run.Rows(settings(repeats=2), ["batch"]).get(case)
    )
    for other in ({"repeats": 5}, {"dtype": "bfloat16"}, {"seed": 1}, {"rows": ""}):
        assert run.Rows(settings(**other), ["batch"]).get(case) is None, other
    assert run.Rows(settings(), ["batch"]).get(("small", 25, 8, "mtop", 0)) is None
    monkeypatch.setattr(run, "versions", lambda: {"torch": "another"})
    assert run.Rows(settings(), ["batch"]).get(case) is None
    (tmp_path / "rows.jsonl").write_text('{"case": ')
    with pytest.raises(SystemExit, match="not rows that a bench kept"):
        run.Rows(settings(), ["batch"])
