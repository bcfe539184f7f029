"""The benches of answering and retrieving: tiny runs print one document, and a contender that answers otherwise ends them; no time is
judged here."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
import pytest

import benches
from benches import BENCH

TINY = [
    "--shape",
    "tiny",
    "--inputs",
    "4",
    "--batch",
    "2",
    "--prompt-length",
    "3",
    "--checked",
    "2",
    "--repeats",
    "1",
    "--json",
]
COMMANDS = {
    "retrieve": ["--sizes", "300", "--questions", "20", "--width", "16", "--repeats", "1", "--json"],
    "generate": [*TINY, "--kept"],
    "mixed": [*TINY, "--prompts", "1", "4"],
    "ensemble": [*TINY, "--members", "2"],
}

needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="PEFT is not installed here")
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "retrieve" else needs_peft) for name in COMMANDS]
)


@every
def test_a_tiny_run_prints_one_document(name: str) -> None:
    document = benches.document(name, COMMANDS[name])
    expected = {"retrieve": ["bm25", "dense"], "generate": ["soft prompt of 3"], "mixed": [1, 4], "ensemble": [2]}[name]
    key = {"retrieve": "retriever", "generate": "before", "mixed": "prompts", "ensemble": "members"}[name]
    assert [row[key] for row in document["rows"]][: len(expected)] == expected
    for row in document["rows"]:
        assert all(value > 0 for figure, value in row.items() if figure.endswith(("seconds", "ratio", "_ms")))
        spread = row["spread"] | row.get("spread_of_peer", {})
        assert spread["ratio"]["least"] <= row["ratio"] <= spread["ratio"]["greatest"]
    if name == "mixed":
        assert {"against_one", "one_seconds", "peer_differs"} <= document["rows"][0].keys()
    if name == "generate":
        assert document["rows"][1]["before"].startswith("3 demonstrations of ")
        assert all(row["ratio_kept"] > 0 for row in document["rows"])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a bench as its own command does."""
    for name in ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):  # set by the benches themselves: put back afterwards
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def ends_without_a_time(module: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="no time is printed"):
        module.main(COMMANDS[name])
    assert not capsys.readouterr().out


@needs_peft
@pytest.mark.parametrize("name", ["generate", "mixed", "ensemble"])
def test_a_peer_that_answers_otherwise_ends_the_bench(
    name: str, bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = bench("_answers")
    theirs = answers.theirs

    def wrong(*arguments: Any) -> list[list[int]]:
        return [[*ids[:-1], ids[-1] ^ 1] for ids in theirs(*arguments)]

    monkeypatch.setattr(answers, "theirs", wrong)
    ends_without_a_time(bench(name), name, capsys)


@needs_peft
def test_foreword_behind_another_prompt_ends_the_bench(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = bench("_answers")
    mine = answers.mine
    monkeypatch.setattr(
        answers, "mine", lambda backbone, softs, rows, batch: mine(backbone, [softs[0]] * len(rows), rows, batch)
    )
    for name in ("mixed", "ensemble"):
        ends_without_a_time(bench(name), name, capsys)


@pytest.mark.parametrize(("name", "peer"), [("bm25", "bm25s_plainly"), ("dense", "faiss_plainly")])
def test_a_library_that_finds_otherwise_ends_the_bench(
    name: str, peer: str, bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    retrieve = bench("retrieve")
    make_contender = getattr(retrieve, peer)

    def wrong(*arguments: Any) -> Any:
        contender = make_contender(*arguments)
        return retrieve.Contender(
            contender.build, contender.ask, lambda results: np.asarray(contender.score(results)) ** 1.01
        )

    monkeypatch.setattr(retrieve, peer, wrong)
    monkeypatch.setitem(COMMANDS, "retrieve", [*COMMANDS["retrieve"], "--retrievers", name])
    ends_without_a_time(retrieve, "retrieve", capsys)


@needs_peft
def test_a_tie_is_told_from_a_difference(bench: Any) -> None:
    """Two tokens of one likelihood may stand for each other; the likeliest and the next may not."""
    answers, shapes = bench("_answers"), bench("_shapes")
    parser = bench("_run").parser("")
    answers.flags(parser, shapes=["tiny"], inputs=2, batch=2)
    backbone = answers.ready("tiny", parser.parse_args([]))
    head = backbone.model.get_output_embeddings().weight
    rows = shapes.rows(2, "mtop", backbone.vocab)
    greedy_answers = answers.mine(backbone, [None, None], rows, 2)
    token = greedy_answers[0][0]
    twin = token + 1
    other = [[twin, *greedy_answers[0][1:]], greedy_answers[1]]
    with pytest.raises(SystemExit, match="answer row 0 differently"):
        answers.check("a twin", backbone, [None, None], rows, greedy_answers, other)
    head.data[twin] = head.data[token]
    assert answers.check("a twin", backbone, [None, None], rows, greedy_answers, other) == 1
