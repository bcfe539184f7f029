"""The guide is run: every command with small models in the place of large ones, and its Python as it stands, in one folder in order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import entry
from test_readme import commands, flags

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALL = "reference-small"
LARGE = ("smollm2", "Qwen/Qwen2.5-7B-Instruct")
QUICK = {
    "compare": ("--max-steps", "2", "--limit", "8", "--max-new-tokens", "4", "--too-long", "drop"),
    "tune": (
        "--max-steps",
        "2",
    ),
}
SKIPPED = (["foreword", "models", "get"],)  # tests/test_models.py runs it


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, as a reader of the repository has it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_guide_runs(place: Path) -> None:
    ran = 0
    for words in commands(GUIDE.read_text(encoding="utf-8")):
        if words[:3] in SKIPPED:
            continue
        argv = [SMALL if word in LARGE else word for word in words[1:]]
        if words[1] == "compare" and "--config" in argv:
            argv += ["--model", SMALL]
        result = entry.foreword(*argv, *QUICK.get(words[1], ()))
        assert result.code == 0, f"{' '.join(words)}\n{result.err}"
        ran += 1
    assert ran >= 10


def test_the_python_of_the_guide_runs_as_it_stands(place: Path) -> None:
    blocks = PYTHON.findall(GUIDE.read_text(encoding="utf-8"))
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert len(names["answers"]) == 2 and names["scores"]  # type: ignore[arg-type]


def test_what_the_guide_names_is_there() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    everything = set().union(*flags().values())
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert spoken <= everything, spoken - everything
    for target in re.findall(r"\]\((?!#|http)([^)#]+)", text):
        assert (GUIDE.parent / target).exists(), target
    heads = {
        re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-")
        for head in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    anchors = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert anchors and anchors <= heads, anchors - heads
