"""The guide to serving is run: its commands in one folder in order, with a small model in the place of the larger one, and its Python
against the server that they start."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import typer

import entry
from foreword.cli.app import app
from test_readme import commands

GUIDE = Path(__file__).parents[1] / "docs" / "serve.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def served(arguments: list[str], place: Path) -> tuple[entry.Process, str]:
    """The server of the guide, on a free port."""
    port = free_port()
    arguments = [str(port) if word == "8000" else word for word in arguments]
    child = entry.Process(arguments, place / "serving")
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 240
    while True:
        assert child.alive() and time.monotonic() < end, child.err.read_text(encoding="utf-8")
        try:
            assert httpx.get(f"{url}/ready").status_code == 200
            return child, url
        except httpx.TransportError:
            time.sleep(0.1)


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    entry.save_rows(tmp_path / "tickets.jsonl", entry.rows(12))
    child, ran = None, 0
    try:
        for words in commands(text):
            arguments = ["reference-small" if word == "reference" else word for word in words[1:]]
            if arguments[0] == "serve":
                child, url = served(arguments, tmp_path)
                for block in PYTHON.findall(text):
                    exec(compile(block.replace("http://127.0.0.1:8000", url), str(GUIDE), "exec"), {})
                continue
            more = ["--max-steps", "2", "--limit", "8", "--prompt-length", "4"] if arguments[0] == "tune" else []
            result = entry.foreword(*arguments, *more)
            assert result.code == 0, f"{' '.join(words)}\n{result.err}"
            ran += 1
        assert ran >= 10 and child is not None and "4" in capsys.readouterr().out
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 0
        assert len((tmp_path / "requests.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    finally:
        if child is not None and child.alive():
            child.kill()


def every(command: Any) -> set[str]:
    """The flags of a command and of all below it."""
    own = {flag for param in command.params for flag in param.opts}
    return own.union(*(every(below) for below in getattr(command, "commands", {}).values()))


def test_what_the_guide_names_is_there() -> None:
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE.read_text(encoding="utf-8")))
    known = every(typer.main.get_command(app))
    assert spoken and spoken <= known, spoken - known
