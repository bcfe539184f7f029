"""The guide to studies is run: its commands in one folder in order, with its own TOML file and a small model in the place of a larger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import entry
from foreword.prompts.methods import METHODS, REFERENCES
from foreword.study.preset import LABELS
from foreword.study.questions import QUESTIONS
from test_readme import commands, flags

GUIDE = Path(__file__).parents[1] / "docs" / "studies.md"
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)

PUBLISHED = re.compile(
    r"^## Published prompts\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL
)  # tests/test_study_check.py runs it


def test_every_command_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (own,) = TOML.findall(text)
    model = entry.save_model(tmp_path / "tiny", "bloom")
    own = (
        own.replace('"reference"', f'"{model}"')
        .replace("max_steps = 20", "max_steps = 1")
        .replace("limit = 20", "limit = 3")
    )
    (tmp_path / "my-study.toml").write_text(own, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for words in commands(PUBLISHED.sub("", text)):
        result = entry.foreword(*words[1:])
        assert result.code == 0, f"{' '.join(words)}\n{result.err}"
        ran += 1
    assert ran == 7 and (tmp_path / "site" / "index.html").is_file()
    assert "24 done" in entry.foreword("study", "show", "runs/papers").out


def test_what_the_guide_names_is_there() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert spoken and spoken <= set().union(*flags().values())
    methods = re.search(r"Methods are the papers' names \(([^)]*)\)", text)
    questions = text.partition("questions on the records:")[2]
    assert methods is not None
    named = set(re.findall(r"`([^`]+)`", methods[1]))
    assert set(LABELS) < named <= set(LABELS) | set(METHODS) | set(REFERENCES)
    assert set(re.findall(r"`([^`]+)`", questions)) == set(QUESTIONS)
