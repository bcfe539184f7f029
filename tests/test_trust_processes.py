"""Real processes: several on one folder lose nothing of each other, a kill leaves no litter that stays, and no stream makes a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import entry
from entry import Process
from foreword.prompts import store
from foreword.results.record import Record

TINY = (
    "--max-new-tokens",
    "4",
    "--prompt-length",
    "3",
    "tuning.eval_every=5",
    "tuning.warmup_steps=1",
    "tuning.patience=0",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("given")
    model = entry.save_model(folder / "model")
    return ["-m", str(model), "-d", str(entry.save_rows(folder / "own.jsonl", entry.rows(30)))]


def start(folder: Path, *argv: object) -> Process:
    folder.mkdir(exist_ok=True)
    return Process(argv, folder / f"{time.monotonic_ns()}")


def until(child: Process, done: Callable[[], bool]) -> None:
    while child.alive() and not done():
        time.sleep(0.005)


def hidden(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def err(child: Process) -> str:
    return child.err.read_text(encoding="utf-8")


# -- several at once --------------------------------------------------------------------------------------------------


def test_compares_on_one_folder_share_the_work(base: list[str], tmp_path: Path) -> None:
    """Two of the same, started at once: each trial is run by one of them, and both say the same in the end."""
    out = tmp_path / "run"
    argv = ("compare", *base, "--methods", "zero,pt,ipt", "--seeds", "0,1", "--max-steps", "20", *TINY, "--out", out)
    pair = [start(tmp_path / "streams", *argv) for _ in range(2)]
    assert [child.wait() for child in pair] == [0, 0], [err(child) for child in pair]
    counts = [
        child.out.read_text(encoding="utf-8").rpartition("trials run ")[2].split()[0].strip(",") for child in pair
    ]
    assert sum(map(int, counts)) == 5, "none is run twice, and none is lost"
    records = [Record.read(path) for path in (out / "records").glob("*.json")]
    assert len(records) == 5 and all((out / record.prompt).is_dir() for record in records if record.prompt)
    assert hidden(out) == [] and not (out / "work").exists() and not (out / "earlier").exists()
    assert "free some space" not in err(pair[0]) + err(pair[1])


def test_two_studies_in_one_folder_keep_both_reports(base: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    pair = [
        start(tmp_path / "streams", "compare", *base, "--methods", each, *TINY, "--out", out)
        for each in ("zero", "few")
    ]
    assert [child.wait() for child in pair] == [0, 0], [err(child) for child in pair]
    (earlier,) = (out / "earlier").iterdir()
    documents = [json.loads((folder / "compare.json").read_text(encoding="utf-8")) for folder in (out, earlier)]
    assert {row["method"] for document in documents for row in document["rows"]} == {"zero", "few"}
    assert sum("held the report of another study" in err(child) for child in pair) == 1


def test_two_prompts_into_one_new_folder_lose_neither_in_silence(base: list[str], tmp_path: Path) -> None:
    out = tmp_path / "p"
    argv = ("tune", *base, "--max-steps", "60", *TINY, "--out", out)
    first = start(tmp_path / "streams", *argv, "--seed", "0")
    until(first, (tmp_path / ".p.work").exists)
    second = start(tmp_path / "streams", *argv, "--seed", "1")
    assert (first.wait(), second.wait()) == (0, 2), err(first) + err(second)
    stderr = err(second)
    assert "is tuning a prompt into" in stderr or "holds a prompt of another making" in stderr
    assert store.load(out).provenance.seed == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "streams"]


def test_a_lock_dies_with_its_process(base: list[str], tmp_path: Path) -> None:
    out = tmp_path / "p"
    argv = ("tune", *base, "--max-steps", "60", *TINY, "--out", out)
    killed = start(tmp_path / "streams", *argv)
    until(killed, lambda: bool(list((tmp_path / ".p.work").rglob("checkpoint.safetensors"))))
    killed.kill()
    killed.wait()
    again = start(tmp_path / "streams", *argv)
    assert again.wait() == 0, err(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "streams"]


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def test_an_adaptation_that_was_killed_leaves_no_part(tmp_path: Path) -> None:
    """Killed whenever a part is seen, which is as large as the model."""
    model = entry.save_model(tmp_path / "model", "t5")
    out = tmp_path / "out"
    argv = ("adapt", model, "--out", out, "--steps", "6", "--batch", "256", "--length", "32", "--threads", "1")
    parts_left = 0
    for _ in range(2):
        child = start(tmp_path / "streams", *argv)
        until(child, lambda: bool(list(out.glob(".*.part"))))
        child.kill()
        child.wait()
        parts_left += bool(list(out.glob(".*.part")))
    for path in out.glob(".*.part"):
        os.utime(path, (4e9, 4e9))
    (out / ".checkpoint.safetensors.dead.part").write_bytes(b"x" * 1000)
    os.utime(out / ".checkpoint.safetensors.dead.part", (1, 1))
    last = start(tmp_path / "streams", *argv)
    assert last.wait() == 0, err(last)
    assert hidden(out) == [] and (out / "model" / "config.json").is_file()


def test_a_killed_answering_leaves_nothing_that_stays(base: list[str], tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    (tmp_path / ".answers.jsonl.dead.part").write_text("{", encoding="utf-8")
    os.utime(tmp_path / ".answers.jsonl.dead.part", (1, 1))
    child = start(tmp_path / "streams", "generate", *base, "--limit", "2", "--max-new-tokens", "2", "--out", out)
    assert child.wait() == 0, err(child)
    run = tmp_path / "run"
    (run / "records").mkdir(parents=True)
    (run / "records" / ".a.json.dead.part").write_text("{", encoding="utf-8")
    os.utime(run / "records" / ".a.json.dead.part", (1, 1))
    child = start(tmp_path / "streams", "evaluate", *base, "--max-new-tokens", "9", "--out", run)
    assert child.wait() == 0, err(child)
    assert hidden(tmp_path) == [] and not (run / "work").exists()


# -- streams ----------------------------------------------------------------------------------------------------------


def shell(line: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which $F is the command."""
    env = {**os.environ, "F": f"{sys.executable} -m foreword"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300, env=env, **more)


LINES = {
    "a head that leaves": ("$F tasks --json | head -c 20; echo ${PIPESTATUS[0]}", "0"),
    "nobody reads": ("$F tasks | true; echo ${PIPESTATUS[0]}", "0"),
    "nobody reads the help": ("$F --help | true; echo ${PIPESTATUS[0]}", "0"),
    "stdout is closed": ("$F tasks >&-; echo $?", "0"),
    "both are closed": ("$F tasks >&- 2>&-; echo $?", "0"),
    "all are closed": ("$F nothing <&- >&- 2>&-; echo $?", "2"),
    "nobody reads the refusal": ("$F nothing 2> >(true); echo $?", "2"),
    "the refusal cannot be written": ("$F nothing 2>/dev/full; echo $?", "2"),
    "the disk is full": ("$F --version >/dev/full; echo $?", "2"),
}


@pytest.mark.parametrize("case", LINES)
def test_streams_that_end_or_are_closed(case: str) -> None:
    line, code = LINES[case]
    result = shell(line)
    assert result.stdout.splitlines()[-1].endswith(code), result
    assert (
        "Traceback" not in result.stderr
        and "Exception ignored" not in result.stderr
        and "fault in" not in result.stderr
    )
    assert result.stderr.count("\n") <= 1, result.stderr


def test_a_closed_stdout_is_no_place_for_a_file(tmp_path: Path) -> None:
    """The next file that is opened would get its number, and what is printed would go into that file."""
    path = tmp_path / "kept"
    code = f"import foreword.__main__ as front; front._stand_in(); f = open('{path}', 'w'); print('lost'); f.close()"
    done = shell(f'{sys.executable} -c "{code}" >&-')
    assert (done.returncode, done.stderr, path.read_text(encoding="utf-8")) == (0, "", "")


def test_answers_may_go_to_stdout_by_its_name(base: list[str]) -> None:
    result = shell(f"$F generate {' '.join(base)} --limit 2 --max-new-tokens 2 --out /dev/stdout | cat")
    assert result.returncode == 0 and "Traceback" not in result.stderr
    assert [set(json.loads(line)) for line in result.stdout.splitlines()] == [{"id", "output"}] * 2
    assert Path("/dev/stdout").is_symlink()


READY = "import os, sys, time; sys.argv = ['foreword', 'tasks', '--json']; import foreword.__main__ as front"


def process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.2, 0.6])
def test_ctrl_c_while_it_loads_is_no_traceback(seconds: float) -> None:
    """From the first line of foreword's own on; what the interpreter does before that is not foreword's."""
    begun = "real = front._stand_in; front._stand_in = lambda: (real(), os.write(1, b'begun\\n'))"
    child = process(f"{READY}; {begun}; front.main()")
    assert child.stdout is not None and child.stdout.readline() == "begun\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode in (0, 130, -signal.SIGINT), stderr
    assert stderr in ("", "foreword: Stopped. What was finished is kept; the same command goes on from there.\n")


@pytest.mark.parametrize("ending", ["atexit", "finaliser"])
def test_ctrl_c_while_the_interpreter_ends_is_no_traceback(ending: str) -> None:
    slow = "(os.write(1, b'ending\\n'), time.sleep(30))"
    late = {
        "atexit": f"import atexit; atexit.register(lambda: {slow})",
        "finaliser": f"front.last = type('Last', (), {{'__del__': lambda self: {slow}}})()",
    }
    child = process(f"{READY}\n{late[ending]}\nfront.main()")
    assert child.stdout is not None and any(line == "ending\n" for line in child.stdout)
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=25)
    assert (child.returncode, stderr) == (-signal.SIGINT, "")
