"""The options of the verbs: those that are settings are made of the settings' own fields, and read back into a Run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
import typer.main

from foreword.cli.reading import READERS
from foreword.util.errors import ForewordError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from foreword.config.settings import Flag

WHAT, HOW, RUN = "What is adapted", "How", "Running"  # panels, as config/settings.py has them

PROMPT = "A soft prompt: a folder that `foreword tune` or PEFT wrote, or a hub id. It names its own model."


def _named(prompts: list[str] | None) -> list[str] | None:
    """Prompts as they are given. Raises ForewordError where a name is empty, as of a variable that is not set."""
    if "" in (prompts or ()):
        raise ForewordError("--prompt is empty; give a prompt's folder or hub id, or leave --prompt out.")
    return prompts


def _single(prompts: list[str] | None) -> list[str] | None:
    if len(prompts or ()) > 1:
        raise ForewordError("--prompt is given twice, and only `generate` lets several vote; give one.")
    return _named(prompts)


PromptFolder = Annotated[
    list[str] | None, typer.Option("--prompt", "-p", help=PROMPT, rich_help_panel=WHAT, callback=_single)
]
PromptFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        help=f"{PROMPT} Several (--prompt A --prompt B) answer as an ensemble: the majority of their answers, among tied ones the "
        "first's.",
        rich_help_panel=WHAT,
        callback=_named,
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="Of the model that an array was tuned on: seq2seq, or causal."),
]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method", help="One of zero, few, icl, pt, ipt, ipt-fixed (also icl:random, icl:bm25:3).", rich_help_panel=HOW
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="One seed.", rich_help_panel=HOW)]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        help="A TOML file with the same names (prompt_length and the like under \\[tuning]).",
        rich_help_panel=RUN,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Machine output on stdout, and nothing else there.", rich_help_panel=RUN)
]

# Settings that several verbs take, by the names of their options.
SOURCE = ("model", "task", "data", "split", "data_dir")
DEMONSTRATIONS = ("shots", "retriever", "encoder", "seed")
TUNED = (
    "prompt_length",
    "max_steps",
    "learning_rate",
    "train_batch_size",
    "init",
    "init_text",
    "init_prompt",
    "soft_place",
)
LOADED = ("dtype", "device", "revision", "trust_remote_code")
MACHINE = ("limit", "max_new_tokens", *LOADED, "target_tokenizer", "chat")
ANSWERING = ("batch_size", "too_long", "choice_score")
COLUMNS = ("input_column", "target_column", "references_column")
WORDING = (
    *(*COLUMNS, "id_column", "cluster_column", "choices"),
    *("instruction", "question", "answer", "separator", "stop", "extract", "empty_answers"),
    *("choices_column", "target_index", "quoting", "delimiter", "encoding", "header"),
)
ALONE = {"seed": ("seeds", Seed), "method": ("methods", MethodName)}  # one of what a setting holds several of

Verb = TypeVar("Verb", bound=Callable[..., None])
Group = Iterable[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Option:
    """An option that is a setting. key: the setting's, below [tuning] where `tuning` says so."""

    key: str
    field: FieldInfo
    flag: Flag
    tuning: bool

    @property
    def name(self) -> str:
        """The flag that it is known by."""
        return self.flag.option(self.key)

    def annotation(self) -> Any:
        """What the parser makes the option of; absent unless the user gives it."""
        from foreword.config.settings import kinds_of

        kinds = kinds_of(self.field.annotation)
        kind: Any = next((kind for kind in (bool, int, float) if kind in kinds), str)
        names = (self.name, *self.flag.also)
        return Annotated[
            kind | None, typer.Option(*names, help=self.field.description, rich_help_panel=self.flag.panel)
        ]


@functools.cache
def settings_options() -> Mapping[str, Option]:
    """Every setting that the command line writes, by its option's name: the setting's own, or its flag's where a run has another
    setting of that name."""
    from foreword.config.run import Run
    from foreword.config.settings import flag_of
    from foreword.config.tuning import Tuning

    options: dict[str, Option] = {}
    for model in (Run, Tuning):
        for key, field in model.model_fields.items():
            flag = flag_of(field)
            if flag is not None:
                options[flag.argument(key) if model is Tuning else key] = Option(key, field, flag, model is Tuning)
    return options


def takes(*groups: Group) -> Callable[[Verb], Verb]:
    """Give a verb the options of these settings, each absent unless the user gives it, before its own. A group is names of settings,
    or a table of options of the verb's own (None in it: a setting). What the verb does not name itself comes in its `**flags`. The
    options are made when the verb is used: naming them loads no settings."""

    def with_options(verb: Verb) -> Verb:
        taken = {name: None for group in groups for name in group}
        tables = {name: option for group in groups if isinstance(group, Mapping) for name, option in group.items()}
        hints = get_type_hints(verb, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(verb).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.name not in taken
        ]
        _bear(verb, own)
        verb.whole = lambda: _parser(verb, [*_parameters(taken, tables), *own])  # type: ignore[attr-defined]
        return verb

    return with_options


def _parameters(names: Iterable[str], tables: Mapping[str, Any]) -> list[inspect.Parameter]:
    """A parameter for each option of these names, as the parser reads it."""
    annotations = {
        name: tables.get(name) or (ALONE[name][1] if name in ALONE else settings_options()[name].annotation())
        for name in names
    }
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in annotations.items()
    ]


def _bear(function: Any, parameters: Sequence[inspect.Parameter]) -> None:
    """Give a function of keywords the signature that the parser is to read."""
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    function.__signature__ = inspect.Signature(parameters)


def _parser(verb: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Any:
    """The parser of a verb with all its options."""

    def whole(**values: Any) -> None:
        verb(**values)

    _bear(whole, parameters)
    parser = typer.Typer(add_completion=False)
    parser.command()(whole)
    return typer.main.get_command(parser)


def columns(flags: Mapping[str, Any]) -> dict[str, str]:
    """The columns that are given, by the names of `Columns`."""
    return {name.removesuffix("_column"): flags[name] for name in COLUMNS if flags[name]}


def settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The given flags as settings of a Run: absent ones left out, each text read as its setting's flag says. Raises ForewordError where
    one setting is given by two of them."""
    values: dict[str, Any] = {}
    tuning: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None:
            continue
        if name in ALONE:
            key = ALONE[name][0]
            if flags.get(key) is not None:
                raise ForewordError(f"Both --{key} and --{name} are given; keep the one you mean.")
            values[key] = [value]
            continue
        option = settings_options()[name]
        read = READERS[option.flag.reads](value, option.name) if option.flag.reads else value
        (tuning if option.tuning else values)[option.key] = read
    return values | ({"tuning": tuning} if tuning else {})
