"""`--help` shows the default of every option of every verb, and the one that holds."""

from __future__ import annotations

import re

import pytest
import typer.main
from typer.core import TyperOption

from entry import foreword
from foreword.cli.app import app
from foreword.cli.defaults import WORDS, default_of
from foreword.config.run import Run
from foreword.config.tuning import Tuning

GROUP = typer.main.get_command(app)
VERBS = dict(GROUP.commands)  # type: ignore[attr-defined]
for group in ("models", "registry"):
    VERBS |= {f"{group} {name}": command for name, command in VERBS[group].commands.items()}
del VERBS["registry"]  # which has no option of its own


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_every_default(verb: str) -> None:
    text = foreword(*verb.split(), "--help").out
    parts = re.split(r"│ (?:\*  |   )?(?=--[a-z])", text)  # further in, a flag is a word of a help
    told = {part.split()[0].split(",")[0]: " ".join(part.replace("│", " ").split()) for part in parts[1:]}
    options = [p for p in VERBS[verb].params if isinstance(p, TyperOption) and p.name != "help"]
    assert options
    for option in options:
        entry = told[option.opts[0]]
        assert "[default: " in entry or "[required]" in entry, entry
        assert entry.count("[default: ") <= 1, entry
    again = foreword(*verb.split(), "--help").out
    assert again == text, "asked twice in one process, it says the same"


def test_a_default_is_the_settings_own() -> None:
    assert default_of("compare", "batch_size") == str(Run.model_fields["batch_size"].default)
    assert default_of("compare", "train_batch_size") == str(Tuning.model_fields["batch_size"].default)
    assert default_of("tune", "learning_rate") == str(Tuning().learning_rate)
    assert default_of("compare", "methods") == ",".join(Run(model="x").methods)
    assert default_of("compare", "max_new_tokens").startswith(f"{Run(model='x').max_new_tokens},")
    assert (default_of("compare", "out"), default_of("tune", "out")) == ("runs", "prompt")
    for name, words in WORDS.items():
        setting = Run.model_fields.get(name) or Tuning.model_fields.get(name)
        if setting is not None and not setting.is_required() and "{}" not in words:
            assert setting.get_default(call_default_factory=True) in (None, "", []), name


def test_an_option_whose_default_nobody_says_is_a_fault() -> None:
    with pytest.raises(KeyError):
        default_of("compare", "another_option")
