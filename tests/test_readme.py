"""The README is run: every foreword command in it, and every flag and verb that it names; it refuses prose that does not work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import entry
from foreword.cli.app import app
from foreword.models import reference
from foreword.util.errors import ForewordError

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(?:bash|console|sh|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALL = ("--limit", "8", "--max-new-tokens", "4")  # only for models that stand in for one of the hub
TRAINED = {"compare": ("--max-steps", "2"), "tune": ("--max-steps", "2")}
HUB = ("gpt2",)
FILES = (".jsonl", ".json", ".csv", ".tsv")


def readme() -> str:
    if not README.is_file():
        pytest.skip("there is no README.md yet")
    return README.read_text(encoding="utf-8")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each foreword command in the text's shell blocks; a backslash joins lines, comments are left out."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            bare = line.strip().removeprefix("$ ").strip()
            if bare.startswith("foreword ") or bare == "foreword":
                yield shlex.split(bare, comments=True)


def shipped() -> bool:
    try:
        return reference.folder("medium").is_dir()
    except ForewordError:
        return False


def written(path: Path, words: list[str]) -> None:
    """A file of examples of the name that a command speaks of, where no earlier command has left one."""
    if path.suffix not in FILES or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    choices = tuple(words[words.index("--choices") + 1].split(",")) if "--choices" in words else ()
    rows = entry.rows(30, choices=choices)
    if path.suffix == ".jsonl":
        entry.save_rows(path, rows)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        path.write_text(
            "".join(mark.join(line) + "\n" for line in [["input", "target"], *map(dict.values, rows)]), encoding="utf-8"
        )


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one folder, as a reader would. A hub model is stood in for by a tiny one; its commands get small limits."""
    command_lines = list(commands(readme()))
    assert command_lines, "a README without a command"
    monkeypatch.chdir(tmp_path)
    tiny = entry.save_model(tmp_path / "tiny model", "gpt2")
    ran, left = 0, []
    for words in command_lines:
        verb, arguments = (words[1] if len(words) > 1 else ""), words[1:]
        if "reference" in arguments and not shipped():
            left.append(" ".join(words))
            continue
        for flag in ("--data", "-d", "--dev", "--test", "--demonstrations"):
            if flag in arguments:
                written(tmp_path / arguments[arguments.index(flag) + 1], arguments)
        if any(name in arguments for name in HUB):
            arguments = [str(tiny) if word in HUB else word for word in arguments] + [*SMALL, *TRAINED.get(verb, ())]
        result = entry.foreword(*arguments)
        assert result.code == 0, f"{' '.join(words)}\n{result.err}"
        ran += 1
    if not ran:
        pytest.skip(f"no model is shipped yet for: {'; '.join(left)}")


def flags() -> dict[str, set[str]]:
    """Every verb and the flags it takes."""
    group = typer.main.get_command(app)
    verbs = group.commands  # type: ignore[attr-defined]
    return {verb: {flag for options in _with_its_own(command) for flag in options} for verb, command in verbs.items()}


def _with_its_own(command: Any) -> list[set[str]]:
    """The flags of a verb, and of the verbs that it has itself."""
    inner = getattr(command, "commands", {}).values()
    return [{flag for param in verb.params for flag in param.opts} | {"--help"} for verb in (command, *inner)]


def test_every_verb_and_flag_it_names_is_there() -> None:
    known = flags()
    everything = set().union(*known.values()) | {"--version"}
    text = readme()
    named = re.findall(r"`(?:\$ )?foreword ([a-z][a-z-]+)", text)
    assert named and set(named) <= set(known), set(named) - set(known)
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert spoken <= everything, spoken - everything
    for words in commands(text):
        assert {word for word in words[2:] if word.startswith("--")} <= known[words[1]], words


def test_no_line_of_a_command_is_too_wide() -> None:
    wide = [line for block in BLOCK.findall(readme()) for line in block.splitlines() if len(line) > 130]
    assert not wide


def test_the_reader_of_commands_reads() -> None:
    """The guard itself: continuation lines, prompts and comments are understood."""
    text = "```bash\n$ foreword compare --model gpt2 \\\n    --data 'a b.jsonl'  # why\nmake demo\n```\n```python\nforeword no\n```\n"
    assert list(commands(text)) == [["foreword", "compare", "--model", "gpt2", "--data", "a b.jsonl"]]
