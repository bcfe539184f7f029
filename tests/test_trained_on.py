"""No prompt is scored on what it was tuned on without a word: data are cut as they were then, what it has seen is refused or counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entry import foreword, refused, rows, save_model, save_rows
from foreword.data.task import Task
from foreword.prompts import store
from foreword.study.remembered import questions_of

TRAINING = ("--max-steps", 1, "--prompt-length", 2, "--max-new-tokens", 4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, 60 rows of 12 documents, and some of the same rows in files of their own."""
    folder = tmp_path_factory.mktemp("seen")
    save_model(folder / "model")
    own = [{**row, "doc": f"d{number % 12}"} for number, row in enumerate(rows(60))]
    for name, part in {"rows": own, "dev": own[:6], "seen": own[30:40], "train": own[6:]}.items():
        save_rows(folder / f"{name}.jsonl", part)
    return folder


def tuned(place: Path, *more: object, data: str = "rows", name: str) -> Path:
    command = ("tune", "-m", place / "model", "-d", place / f"{data}.jsonl", *more, *TRAINING)
    result = foreword(*command, "--out", place / name, "--json")
    assert result.code == 0, result.err
    return place / name


def evaluation(place: Path, prompt: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", "-m", place / "model", "-p", prompt, *more, "--out", place / f"{prompt.name}-out", "--json")


@pytest.mark.parametrize("cut", [("--split", "90/5/5"), ("--cluster-column", "doc")], ids=["split", "clusters"])
def test_data_are_cut_as_they_were_when_the_prompt_was_tuned(place: Path, cut: tuple[str, str]) -> None:
    prompt = tuned(place, *cut, name=cut[0].strip("-"))
    data = ("-d", place / "rows.jsonl")
    alone = foreword(*evaluation(place, prompt, *data))
    named = foreword(*evaluation(place, prompt, *data, *cut))
    assert alone.code == 0, alone.err
    assert alone.json == named.json and not any("trained on" in note for note in alone.json["notes"])
    other = ("--split", "5/5/90")
    refused(*evaluation(place, prompt, *data, *other), says=("test examples were trained on by", "give --test FILE"))


def test_what_was_trained_on_is_refused_where_it_is_cut_from_the_same_file(place: Path) -> None:
    prompt = tuned(place, "--dev", place / "dev.jsonl", data="train", name="dev")
    train = ("-d", place / "train.jsonl")
    refused(*evaluation(place, prompt, *train), says=("18 of 18 test examples were trained on by", "--dev"))
    chosen = foreword(*evaluation(place, prompt, *train, "--dev", place / "dev.jsonl"))
    assert f"6 of 6 test examples ask a question by which {prompt} was chosen." in chosen.json["notes"]
    known = foreword(*evaluation(place, prompt, "--test", place / "seen.jsonl"))
    assert f"10 of 10 test examples ask a question that {prompt} was trained on." in known.json["notes"]


def test_prompts_of_a_comparison_and_of_a_warm_start_know_it_too(place: Path) -> None:
    data = ("-d", place / "rows.jsonl", "--split", "80/10/10", "--methods", "pt", "--seeds", "0")
    assert foreword("compare", "-m", place / "model", *data, *TRAINING, "--out", place / "compared").code == 0
    (prompt,) = (place / "compared" / "prompts").iterdir()
    assert store.load(prompt).provenance.settings["split"] == "80/10/10"
    again = ("--init", "warm_start", "--init-prompt", prompt)
    refused(
        *("compare", "-m", place / "model", "-d", place / "rows.jsonl", *again, "--max-steps", 1, "--methods", "pt"),
        *("--out", place / "again"),
        says=("test examples were trained on by",),
    )
    start = store.load(prompt)
    assert questions_of(Task("none", (), (), ()), start) == start.profile["questions"]


def test_a_prompt_that_keeps_no_digests_is_scored_as_before(place: Path) -> None:
    old = tuned(place, "--dev", place / "dev.jsonl", data="train", name="old")
    (old / "profile.json").unlink()
    assert foreword(*evaluation(place, old, "-d", place / "train.jsonl")).code == 0
    fresh = tuned(place, "--dev", place / "dev.jsonl", data="train", name="fresh")
    raw = json.loads((fresh / "profile.json").read_text(encoding="utf-8"))
    (fresh / "profile.json").write_text(json.dumps({**raw, "questions": [1]}), encoding="utf-8")
    refused(*evaluation(place, fresh, "-d", place / "train.jsonl"), says=("it holds no profile",))
