"""`--help` shows the default of every option of every verb, and the one that holds."""

from __future__ import annotations

import ast
import re

import pytest
import typer.main
from typer.core import TyperOption

from entry import foreword
from foreword.cli.app import app
from foreword.cli.defaults import WORDS, default_of
from foreword.cli.options import settings, settings_options
from foreword.config.run import ANSWER_TOKENS, Run
from foreword.config.settings import flag_of
from foreword.config.tuning import Tuning
from foreword.util.errors import ForewordError
from test_house import files, tree

LIMIT = re.compile("max_new_tokens|longest", re.IGNORECASE)
GROUP = typer.main.get_command(app)
VERBS = dict(GROUP.commands)  # type: ignore[attr-defined]
for group in ("models", "registry"):
    VERBS |= {f"{group} {name}": command for name, command in VERBS[group].commands.items()}
del VERBS["registry"]  # which has no option of its own


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_every_default(verb: str) -> None:
    text = foreword(*verb.split(), "--help").out
    parts = re.split(r"│ (?:\*  |   )?(?=--[a-z])", text)  # further in, a flag is a word of a help
    help_by_flag = {part.split()[0].split(",")[0]: " ".join(part.replace("│", " ").split()) for part in parts[1:]}
    options = [p for p in VERBS[verb].params if isinstance(p, TyperOption) and p.name != "help"]
    assert options
    for option in options:
        entry = help_by_flag[option.opts[0]]
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
    for name, init in (("init_text", "text"), ("init_prompt", "warm_start")):
        with pytest.raises(ForewordError, match=f"{name} is empty"):
            Tuning(init=init)
        assert default_of("tune", name) == "none", "what is refused where it is left out has no default"
    assert not WORDS.keys() & settings_options().keys(), "what a setting's default is stands with the setting"
    for name, option in settings_options().items():
        words = option.flag.default_text
        if words and not option.field.is_required() and "{}" not in words:
            assert option.field.get_default(call_default_factory=True) in (None, "", []), name


def test_the_tokens_of_an_answer_where_nobody_says_are_one_number() -> None:
    """No file has a number of its own for them: neither as a default, nor behind an `or`, nor in the words of a help."""
    assert Run(model="x").max_new_tokens == ANSWER_TOKENS
    for verb in ("chat", "add", "eval-gate", "serve"):
        assert "{}" in WORDS[f"{verb}.max_new_tokens"]
        assert default_of(verb, "max_new_tokens").endswith(str(ANSWER_TOKENS))
    own = []
    for path in files():
        for node in ast.walk(tree(path)):
            value = node.values[-1] if isinstance(node, ast.BoolOp) else getattr(node, "value", None)
            if isinstance(value, ast.Constant) and value.value == ANSWER_TOKENS and LIMIT.search(ast.unparse(node)):
                own.append(f"{path.name}: {ast.unparse(node)}")
    assert own == []


def test_every_option_of_a_setting_is_made_of_its_field() -> None:
    """The list of settings stands once: a new field with a flag is an option, with its type, its help and its panel."""
    options = settings_options()
    assert {option.key for option in options.values() if option.tuning} == {
        key for key, field in Tuning.model_fields.items() if flag_of(field)
    }
    assert options["train_batch_size"].key == options["batch_size"].key == "batch_size"
    flag_values = {
        "train_batch_size": 4,
        "batch_size": 7,
        "soft_place": "append",
        "seeds": "1,2",
        "question": "a\\nb",
        "stop": '["x"]',
    }
    read = settings(flag_values)
    assert read["tuning"] == {"batch_size": 4, "place": "append"}
    assert (read["batch_size"], read["seeds"], read["question"], read["stop"]) == (7, [1, 2], "a\nb", ["x"])
    shown = {option.name: option for option in VERBS["compare"].params if isinstance(option, TyperOption)}
    for name, option in options.items():
        if name in shown:
            assert shown[name].opts[0] == option.name and shown[name].help.startswith(option.field.description)
    assert len(shown.keys() & options.keys()) > 45


def test_an_option_whose_default_nobody_says_is_a_fault() -> None:
    with pytest.raises(KeyError):
        default_of("compare", "another_option")
