"""What stands on disk is not written over and not printed raw; equal runs give equal answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import entry
import tiny
from entry import SMALL, foreword, refused
from foreword.metrics import METRICS
from foreword.prompts import store
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.results.summary import as_json, summarise
from foreword.study.compare import Outcome, carry_out
from foreword.study.plan import plan
from foreword.study.trial import Trial
from foreword.util import files
from foreword.util.errors import ForewordError, TrialFailedError, brief, visible
from test_compare import run as run_of
from test_summary import hits, record_of

# -- what stands where something is to be written ------------------------------------------------------------------------


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name, target in (("file", "real/answers"), ("dangling", "real/new")):
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "real" / "answers").write_text("old", encoding="utf-8")
    files.write_text(tmp_path / "file", "a")
    files.write_text(tmp_path / "dangling", "b")
    assert (tmp_path / "file").is_symlink() and (tmp_path / "dangling").is_symlink()
    assert sorted((path.name, path.read_text()) for path in (tmp_path / "real").iterdir()) == [
        ("answers", "a"),
        ("new", "b"),
    ]
    (tmp_path / "prompt").symlink_to(tmp_path / "real", target_is_directory=True)
    with files.whole_folder(tmp_path / "prompt") as part:
        (part / "x").write_text("c", encoding="utf-8")
    assert (tmp_path / "prompt").is_symlink() and [path.name for path in (tmp_path / "real").iterdir()] == ["x"]


def test_a_pipe_and_a_device_are_written_through(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    files.may_write_file(pipe)
    files.write_text(pipe, "answer\n" * 20_000)
    reader.join(60)
    assert received == ["answer\n" * 20_000] and stat.S_ISFIFO(pipe.stat().st_mode)
    files.write_text(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_what_no_file_can_stand_for_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as place:
        place.bind(str(tmp_path / "s"))
        for path, kind in ((tmp_path / "s", "socket"), (tmp_path, "folder")):
            for write in (files.may_write_file, lambda path: files.write_text(path, "x")):
                with pytest.raises(ForewordError, match=f"Cannot write .*: it is a {kind}; give the name of a file"):
                    write(path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ForewordError, match="give another name"):
        files.write_text(tmp_path / "loop", "x")
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(ForewordError, match="a file stands there"), files.whole_folder(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("length", [200, 255])
def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path, length: int) -> None:
    """The part beside it has a longer name than a file may have, were it not cut."""
    path = tmp_path / ("n" * length)
    files.may_write_file(path)
    files.write_text(path, "x")
    with files.whole_folder(tmp_path / ("m" * length)):
        pass
    assert sorted(len(each.name) for each in tmp_path.iterdir()) == [length, length]


def test_names_that_cannot_be_are_refused_before_any_work(model: Path, data: Path, tmp_path: Path) -> None:
    base = ("-m", model, "-d", data)
    long = tmp_path / ("n" * 256)
    for verb in ("compare", "evaluate", "tune"):
        refused(verb, *base, "--out", long, says=("Cannot write", "File name too long; give a shorter name"))
        refused(verb, *base, "--out", long / "below", says=("File name too long",))
        refused(
            verb,
            *base,
            "--out",
            "/dev/null",
            says=("/dev/null", "a new folder" if verb == "tune" else "choose a folder"),
        )
    refused("generate", *base, "--out", long, says=("File name too long; give a shorter name",))
    refused("generate", *base, "--out", tmp_path, says=("it is a folder; give the name of a file",))
    refused("compare", *base, 'out="a\\u0000b"', says=("Cannot write", "null"))
    assert list(tmp_path.iterdir()) == []


def test_an_input_is_never_the_place_of_the_output(model: Path, data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    shutil.copy(data, own)
    (tmp_path / "link").symlink_to(own)
    prompt = tmp_path / "prompt"
    assert foreword("tune", "-m", model, "-d", data, "--out", prompt, *SMALL).code == 0
    before = {path: path.read_bytes() for path in (own, *prompt.iterdir(), *model.iterdir())}
    argv = ("generate", "-m", model, "-d", own)
    refused(*argv, "--out", own, says=("is what --data names", "another name"))
    refused(*argv, "--out", tmp_path / "link", says=("is what --data names",))
    refused(*argv, "-p", prompt, "--out", prompt / "README.md", says=("lies inside --prompt",))
    refused(*argv, "--out", model / "config.json", says=("lies inside --model",))
    refused("compare", "-m", model, "-d", data, "--out", model, says=("is what --model names",))
    refused("evaluate", "-m", model, "-d", data, "-p", prompt, "--out", prompt, says=("is what --prompt names",))
    refused(
        "tune", "-m", model, "-d", data, "--init", "carried", "--init-prompt", prompt, "-o", prompt, says=("--init",)
    )
    (tmp_path / "adapted").mkdir()
    (tmp_path / "adapted" / "model").symlink_to(model, target_is_directory=True)
    refused("adapt", model, "--out", tmp_path / "adapted", says=("is what MODEL names",))
    assert {path: path.read_bytes() for path in before} == before


# -- what is printed ------------------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egpj.exe\r"


def test_control_characters_become_visible() -> None:
    assert visible(HOSTILE) == "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x7f\\u202egpj.exe\\x0d"
    assert visible("a\tb\nc é 詩 \u200f\u200d") == "a\tb\nc é 詩 \u200f\u200d"
    assert visible("\ud800") == "\\ud800" and visible(visible(HOSTILE)) == visible(HOSTILE)


def test_a_sentence_keeps_its_head_and_its_end() -> None:
    sentence = str(ForewordError(f"The split is '{'x' * 100_000}', but must be three numbers."))
    assert len(sentence) < 2100 and sentence.startswith("The split is 'xxx")
    assert (
        sentence.endswith("x', but must be three numbers.") and "98,1" in sentence and "characters left out" in sentence
    )
    assert brief(sentence) == sentence and brief("short") == "short"


def raw_controls(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).translate({ord(c): None for c in "\n\t"})  # rich's own colours


def test_no_verb_prints_a_control_character_of_the_data(model: Path, tmp_path: Path) -> None:
    rows = [row | {"input": f"{row['input']} {HOSTILE}", "id": f"{HOSTILE}{n}"} for n, row in enumerate(entry.rows(24))]
    own = entry.save_rows(tmp_path / f"own{HOSTILE[:5]}.jsonl", rows)
    results = [
        foreword("generate", "-m", model, "-d", own, "--limit", 2, "--max-new-tokens", 2, "--id-column", "id"),
        foreword(
            "generate", "-m", model, "-d", own, "--limit", 2, "--max-new-tokens", 2, "--id-column", "id", "--json"
        ),
        foreword("show", "-m", model, "-d", own, "--method", "few"),
        foreword("show", "-d", own),
        foreword(
            "compare", "-m", model, "-d", own, "--methods", "zero", "--max-new-tokens", 9, "--out", tmp_path / "r"
        ),
        foreword("compare", "-m", model, "-d", own, "--methods", HOSTILE, "--out", tmp_path / "r"),
        foreword("compare", "-m", model, "-d", own, "--input-column", HOSTILE, "--out", tmp_path / "r"),
        foreword("compare", "-m", model, "-d", own, "--split", "x" * 100_000, "--out", tmp_path / "r"),
        foreword(HOSTILE),
        foreword("compare", f"--{HOSTILE}" + "y" * 100_000),
    ]
    assert [result.code for result in results] == [0, 0, 0, 0, 0, 2, 2, 2, 2, 2], [result.err for result in results]
    for result in results:
        assert raw_controls(result.out + result.err).isprintable(), repr(result.out + result.err)
        assert len(result.err) < 2500
    assert json.loads(results[1].out.splitlines()[0])["id"].startswith("\x1b]0;owned"), "JSON is the same value"


# -- equal runs, failing trials, prompts that are gone ------------------------------------------------------------------


def test_no_clock_decides_between_equals() -> None:
    """The same records with other seconds give the same document, but for the seconds."""

    def document(swapped: bool) -> dict[str, Any]:
        records = []
        for n, label in enumerate(("zero", "few", "icl", "pt")):
            record = record_of(label, hits(150), same=True, each=0.01 * (n + 1))
            slow = 0.05 - record.costs.seconds_per_answer if swapped else record.costs.seconds_per_answer
            records.append(replace(record, costs=replace(record.costs, seconds_per_answer=slow)))
        whole = as_json(summarise(records, lambda name: METRICS[name]), "r")
        for row in whole["rows"]:
            del row["seconds_per_answer"]
        del whole["reason"]
        return whole

    first, second = document(False), document(True)
    assert first == second and first["recommended"] == "zero"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return entry.save_rows(tmp_path / "own.jsonl", entry.rows(40))


def compared(own: Path, out: Path, methods: list[str], **more: Any) -> tuple[Outcome, list[str]]:
    heard: list[str] = []
    planned = plan(run_of(own, out, methods, **more), backbone=tiny.backbone("llama"))
    return carry_out(planned, noted=heard.append), heard


def test_a_trial_that_fails_leaves_the_others(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, fit = tmp_path / "run", Trial._trained

    def astray(trial: Trial, layout: Any) -> Any:
        if trial.spec.seed == 1 and trial.spec.label == "pt":
            raise TrialFailedError("The training loss is no longer a number at step 3; lower --learning-rate (0.3).")
        if trial.spec.label == "ipt":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return fit(trial, layout)

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "_trained", astray)
        outcome, heard = compared(own, out, ["zero", "pt", "icl", "ipt"])
    assert [row.method for row in outcome.summary.rows] == ["zero", "icl"], (
        "no row of the seeds that happened to finish"
    )
    failures = outcome.summary.failures
    assert [(each.method, each.seed, len(each.others)) for each in failures] == [
        ("pt", 1, 1),
        ("ipt", 0, 0),
        ("ipt", 1, 0),
    ]
    assert "no longer a number at step 3" in failures[0].cause and "memory is not enough" in failures[1].cause
    assert len(heard) == 3 and heard[0].startswith("pt seed 1 failed: The training loss")
    document = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert [each["cause"] for each in document["failed"]] == [each.cause for each in failures]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "pt seed 1 failed, so pt has no row" in page and "<td>failed</td>" in page
    again, heard = compared(own, out, ["zero", "pt", "icl", "ipt"])
    assert (again.computed, again.reused, heard, again.summary.failures) == (3, 3, [], ())
    assert not (out / "earlier").exists(), "the study is the same, and now it is whole"


def test_a_fold_that_fails_is_named_and_other_folds_are_no_seeds(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Trial._trained

    def astray(trial: Trial, layout: Any) -> Any:
        if (trial.spec.label, trial.spec.fold) == ("pt", 2):
            raise TrialFailedError("The training loss is no longer a number at step 3; lower --learning-rate (0.3).")
        return fit(trial, layout)

    monkeypatch.setattr(Trial, "_trained", astray)
    outcome, _ = compared(own, tmp_path / "run", ["pt", "zero"], folds=3, seeds=[0])
    (failure,) = outcome.summary.failures
    assert (failure.method, failure.seed, failure.fold, len(failure.others)) == ("pt", 0, 2, 2)
    assert failure.sentence().startswith("pt seed 0 fold 2 failed, so pt has no row: The training loss")
    assert (
        "Its other trials (a fold of a seed each) scored " in failure.sentence() and "seeds" not in failure.sentence()
    )


def test_the_exit_code_says_that_a_trial_failed(model: Path, own: Path, tmp_path: Path) -> None:
    """A learning rate beyond all bounds, as a user may give it: the weights overflow."""
    argv = ("compare", "-m", model, "-d", own, "--seeds", 0, "--out", tmp_path / "run", *SMALL[:4], "--max-steps", 4)
    far = ("model_learning_rate=1e30", "tuning.max_grad_norm=0", "tuning.warmup_steps=0", "tuning.eval_every=1")
    result = foreword(*argv, "--methods", "zero,full-ft", *far)
    assert result.code == 3, result.err
    output = " ".join(result.out.split())
    assert (
        "full-ft failed" in output
        and "seed 0 failed, so full-ft has no row" in output
        and "lower model_learning_rate" in output
    )
    result = foreword(*argv, "--methods", "pt", "--learning-rate", 1e38, *far)
    last = result.err.splitlines()[-1]
    assert result.code == 2 and "No method could be finished" in last and "lower the learning rate" in last


def test_a_prompt_that_was_deleted_is_made_again_and_said(own: Path, tmp_path: Path) -> None:
    first, _ = compared(own, tmp_path / "run", ["zero", "pt"], seeds=[0])
    (record,) = [record for record in first.records if record.prompt]
    folder = tmp_path / "run" / record.prompt
    shutil.rmtree(tmp_path / "run" / "prompts")
    second, heard = compared(own, tmp_path / "run", ["zero", "pt"], seeds=[0])
    assert second.computed == 1 and len(heard) == 1 and "is not in" in heard[0] and "made again" in heard[0]
    assert store.load(folder).digest == record.fingerprints["soft_prompt"]
    store.save(SoftPrompt(torch.ones(3, 32), Provenance(backbone="x")), folder)
    with pytest.raises(ForewordError, match="is not the one that was tuned for pt seed 0; delete it"):
        compared(own, tmp_path / "run", ["zero", "pt"], seeds=[0])


# -- a study's report is never lost -----------------------------------------------------------------------------------


def test_the_report_of_another_study_is_kept(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    compared(own, out, ["zero"])
    _, heard = compared(own, out, ["zero", "icl"])
    assert heard == [] and not (out / "earlier").exists(), "it answers all that the first did"
    before = [(out / name).read_bytes() for name in ("report.html", "compare.json")]
    other = entry.save_rows(tmp_path / "other.jsonl", entry.rows(30))
    _, heard = compared(other, out, ["zero", "icl"])
    (folder,) = (out / "earlier").iterdir()
    assert folder.name.startswith("own-") and len(heard) == 1 and str(folder) in heard[0]
    assert [(folder / name).read_bytes() for name in ("report.html", "compare.json")] == before
    compared(other, out, ["zero", "icl"])
    assert list((out / "earlier").iterdir()) == [folder], "the same study again keeps nothing"
    (out / "compare.json").write_text("[1]", encoding="utf-8")
    _, heard = compared(other, out, ["zero", "icl"])
    assert len(heard) == 1 and len(list((out / "earlier").iterdir())) == 2, "what cannot be read is kept too"


def test_tune_says_where_it_writes(model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = foreword("tune", "-m", model, "-d", data, *SMALL)
    assert result.code == 0 and result.err == f"No --out is given: the prompt will stand in {tmp_path / 'prompt'}.\n"
    assert (tmp_path / "prompt" / "foreword.json").is_file()


# -- litter ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [1.0, 4e9])
def test_a_part_is_tidied_whatever_its_date(tmp_path: Path, when: float) -> None:
    for name in (".a.json.dead.part", ".a.json.dead.old"):
        path = tmp_path / name
        path.mkdir() if name.endswith("old") else path.write_text("{", encoding="utf-8")
        os.utime(path, (when, when))
    files.tidy(tmp_path, "a.json")
    assert list(tmp_path.iterdir()) == []


def test_two_that_finish_one_folder_at_once_both_finish(tmp_path: Path) -> None:
    """And one of them stands there whole, with nothing beside it."""
    errors: list[BaseException] = []
    gate = threading.Barrier(6)

    def write(number: int) -> None:
        try:
            for _ in range(20):
                with files.whole_folder(tmp_path / "p") as part:
                    for name in ("a", "b"):
                        (part / name).write_text(str(number), encoding="utf-8")
                    gate.wait(60)
        except BaseException as error:  # told below: a thread's own error is printed and lost
            errors.append(error)
            gate.abort()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert (tmp_path / "p" / "a").read_text() == (tmp_path / "p" / "b").read_text()
