"""A prompt's folder answers by itself: columns, choices, metrics, demonstrations and limits are kept, and what the user says now wins."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import foreword as interface
from entry import foreword, refused, rows, save_model, save_rows
from foreword.config.run import Run
from foreword.prompts import store
from foreword.prompts.retrieve import fixed
from foreword.results.record import Record
from foreword.study.resolve import task_of

TRAINING = ("--max-steps", 2, "--prompt-length", 2)


@dataclass(frozen=True)
class Folder:
    """A model, data with columns of their own names in two files, and the prompts that were tuned on the first."""

    model: Path
    data: Path
    test: Path
    place: Path

    def tune(self, name: str, *more: object) -> Path:
        """A prompt below the folder."""
        result = foreword(
            "tune", "-m", self.model, "-d", self.data, *more, *TRAINING, "--out", self.place / name, "--json"
        )
        assert result.code == 0, result.err
        return self.place / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    place = tmp_path_factory.mktemp("kept")
    labelled_rows = [{"text": row["input"], "label": row["target"]} for row in rows(60, choices=("good", "bad"))]
    data, test = save_rows(place / "own.jsonl", labelled_rows[:45]), save_rows(place / "test.jsonl", labelled_rows[45:])
    return Folder(save_model(place / "model"), data, test, place)


COLUMNS = ("--input-column", "text", "--target-column", "label")


@pytest.mark.parametrize("choices", [("--choices", "good,bad"), ()], ids=["given", "seen"])
def test_choices_columns_and_metric_are_asked_for_once(folder: Folder, choices: tuple[str, ...]) -> None:
    prompt = folder.tune(f"pt{len(choices)}", *COLUMNS, *choices)
    inputs = folder.place / "inputs.jsonl"
    inputs.write_text("".join(json.dumps({"text": f"lori {n}"}) + "\n" for n in range(6)), encoding="utf-8")
    result = foreword("generate", "-m", folder.model, "-p", prompt, "-d", inputs, "--json")
    assert result.code == 0, result.err
    assert {line["output"] for line in result.lines} <= {"good", "bad"}
    command = (
        "evaluate",
        "-m",
        folder.model,
        "-p",
        prompt,
        "--test",
        folder.test,
        "--out",
        folder.place / "out",
        "--json",
    )
    short, long = (
        foreword(*command).json,
        foreword(*command, *COLUMNS, "--choices", "bad,good", "--metrics", "accuracy").json,
    )
    assert short["metrics"] == long["metrics"] and list(short["metrics"]) == ["accuracy"]
    assert len(interface.Predictor(str(folder.model), prompt).generate(["lori 1", "tem 2"])) == 2


def test_what_is_shown_was_cut_as_what_is_scored(tmp_path: Path, folder: Folder) -> None:
    """`show` cut the data anew without the clusters, and offered examples as test ones that the prompt was trained on."""
    labelled = [row | {"doc": f"d{number % 6}"} for number, row in enumerate(rows(48))]
    clustered = replace(folder, data=save_rows(tmp_path / "docs.jsonl", labelled), place=tmp_path)
    prompt = clustered.tune("ipt", "--method", "ipt", "--cluster-column", "doc", "--split", "50/10/40")
    command = ("-m", folder.model, "-p", prompt, "-d", clustered.data, "--json")
    scored = foreword("evaluate", *command, "--out", tmp_path / "out", "--max-new-tokens", 4)
    assert scored.code == 0, scored.err
    record = Record.read(next((tmp_path / "out" / "records").glob("*.json")))
    for answer in record.answers[::4]:
        shown = foreword("show", *command, "--example", answer.id)
        assert shown.code == 0 and shown.json["example"] == answer.id, shown.err


def test_what_the_user_says_wins(folder: Folder) -> None:
    prompt = folder.tune("pt2", *COLUMNS, "--choices", "good,bad")
    other = folder.place / "other.jsonl"
    other.write_text("".join(json.dumps({"ask": f"tem {n}"}) + "\n" for n in range(5)), encoding="utf-8")
    command = ("generate", "-m", folder.model, "-p", prompt, "-d", other)
    result = foreword(*command, "--input-column", "ask", "--choices", "yes,no", "--json")
    assert {line["output"] for line in result.lines} <= {"yes", "no"}
    refused(*command, says=("no column 'text'", "row 1"))
    wrong = save_rows(folder.place / "wrong.jsonl", [{"text": "a", "label": "great"}])
    refused("evaluate", "-m", folder.model, "-p", prompt, "--test", wrong, says=("'great'", "none of the choices"))


def test_demonstrations_stand_in_the_folder_and_are_shown_as_they_were(folder: Folder) -> None:
    prompt = folder.tune("ipt", *COLUMNS, "--method", "ipt", "--shots", 2)
    train = task_of(Run(model="x", data=str(folder.data), input_column="text", target_column="label")).train
    demonstrations = store.load(prompt).worked
    assert [row["id"] for row in demonstrations] == [example.id for example in train] and len(demonstrations) > 20
    arguments = ("-m", folder.model, "-p", prompt, "--test", folder.test)
    shown = foreword("show", *arguments, "--json").json["pieces"]
    assert [piece["kind"] for piece in shown].count("demonstration") == 2, "as many as it was tuned with"
    alone = foreword("evaluate", *arguments, "--out", folder.place / "a", "--json").json
    record = json.loads(Path(alone["record"]).read_text(encoding="utf-8"))
    assert all(len(answer["shown"]) == 2 for answer in record["answers"])
    pool = save_rows(folder.place / "pool.jsonl", [{"text": e.fields["input"], "label": e.targets[0]} for e in train])
    answers = [
        foreword("generate", "-m", folder.model, "-p", prompt, "-d", folder.test, *more, "--json")
        for more in ((), ("--demonstrations", pool))
    ]
    assert answers[0].lines == answers[1].lines and len(answers[0].lines) == 15


def test_fixed_demonstrations_are_those_of_the_prompts_own_seed(folder: Folder) -> None:
    prompt = folder.tune("fixed", *COLUMNS, "--method", "ipt-fixed", "--shots", 2, "--seed", 3)
    train = task_of(Run(model="x", data=str(folder.data), input_column="text", target_column="label")).train
    expected, others = ([example.fields["input"] for example in fixed(train, 2, seed)] for seed in (3, 0))
    assert expected != others
    shown = foreword("show", "-m", folder.model, "-p", prompt, "--test", folder.test, "--json").json["pieces"]
    texts = [piece["text"] for piece in shown if piece["kind"] == "demonstration"]
    assert all(question in text for question, text in zip(expected, texts, strict=True))


def test_an_ensemble_of_seeds_needs_nothing_more(folder: Folder) -> None:
    prompts = [folder.tune(f"e{seed}", *COLUMNS, "--method", "ipt", "--seed", seed) for seed in (0, 1)]
    flags = [part for prompt in prompts for part in ("-p", prompt)]
    result = foreword("generate", "-m", folder.model, *flags, "-d", folder.test, "--json")
    assert result.code == 0, result.err
    assert all(len(line["votes"]) == 2 for line in result.lines) and len(result.lines) == 15


def test_demonstrations_that_were_changed_are_refused_and_taken_away_are_asked_for(folder: Folder) -> None:
    prompt = folder.tune("changed", *COLUMNS, "--method", "ipt")
    command = ("generate", "-m", folder.model, "-p", prompt, "-d", folder.test)
    file = prompt / store.WORKED
    text = file.read_text(encoding="utf-8")
    assert "holds the training examples" in (prompt / "README.md").read_text(encoding="utf-8")
    file.write_text(text.replace("good", "bad", 1), encoding="utf-8")
    refused(*command, says=(store.WORKED, "not those that the prompt was tuned with", "--demonstrations"))
    file.write_text(text[:-5], encoding="utf-8")
    refused(*command, says=(store.WORKED, "damaged"))
    file.unlink()
    refused(*command, says=("shows demonstrations and there are none", "--demonstrations FILE"))


def test_room_for_an_answer_is_kept_and_may_still_be_raised(folder: Folder, tmp_path: Path) -> None:
    long = "a rather long answer of many words " * 6
    data = save_rows(tmp_path / "long.jsonl", [{"input": f"q {n}", "target": f"{n} {long}"} for n in range(30)])
    result = foreword("tune", "-m", "reference-small", "-d", data, *TRAINING, "--out", tmp_path / "p", "--json")
    assert result.code == 0, result.err
    room = store.load(tmp_path / "p").provenance.settings["max_new_tokens"]
    assert room > 64
    arguments = ("-m", "reference-small", "-p", tmp_path / "p")
    inputs = save_rows(tmp_path / "in.jsonl", [{"input": "q 1"}])
    answers = foreword("generate", *arguments, "-d", inputs, "--json")
    assert "--max-new-tokens 64" not in answers.err
    longer = save_rows(tmp_path / "longer.jsonl", [{"input": "q 1", "target": f"{long}and more and more and more"}])
    scores = foreword("evaluate", *arguments, "--test", longer, "--out", tmp_path / "o", "--json")
    assert any(f"was raised from {room} to" in note for note in scores.json["notes"]), (room, scores.json["notes"])
