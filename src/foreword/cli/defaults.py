"""The default of every option, shown by `--help`: the settings' own, else in words; an option whose default nobody says is a fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

from foreword.cli.options import settings_options

# Options that are no setting of a run, and `verb.option` where a verb has another default than the setting: in words.
WORDS = {
    "compare.model": "none",
    "tune.model": "none",
    "prompt": "none",
    "method": "the prompt's, else zero",
    "seed": "0",
    "compare.seed": "see --seeds",
    "config": "none",
    "demonstrations": "the prompt's, else none",
    "example": "the first",
    "steps": "1000",
    "adapt.data": "generated text",
    "adapt.tokens": "as --steps says",
    "threads": "all",
    "pretrain.size": "medium, or that of --start",
    "pretrain.seed": "0, or that of --start",
    "pretrain.start": "from nothing",
    "pretrain.tokens": "8 million for small, 30 million for t5, else 24 million",
    "wheels": "the package index",
    "generate.out": "the screen",
    "tune.out": "prompt",
    "new.out": "a folder of that name",
    "demo.out": "foreword-demo",
    "store": "FOREWORD_STORE",
    "serve.store": "FOREWORD_STORE, else the model alone",
    "serve.keys": "anybody on this machine",
    "serve.max_rows": "32",
    "serve.max_tokens": "by memory",
    "serve.max_waiting": "256",
    "serve.max_new_tokens": "{}",
    "serve.deadline": "600",
    "serve.log": "none",
    "serve.log_content": "off",
    "serve.log_features": "off",
    "serve.log_bytes": "100000000",
    "serve.admin": "off",
    "serve.otlp": "none",
    "generate.temperature": "0.0",
    "generate.top_p": "1.0",
    "generate.top_k": "0",
    "generate.json_schema": "none",
    "keys.prompts": "all",
    "chat.prompt": "none",
    "chat.system": "none",
    "chat.max_new_tokens": "the prompt's, else {}",
    "add.aliases": "none",
    "add.alias": "none",
    "add.method": "the prompt's, else zero",
    "add.max_new_tokens": "the prompt's, else {}",
    "aliases": "those it has",
    "alias": "those it has",
    "parent": "none",
    "parents": "none",
    "note": "none",
    "sampling": "none",
    "eval-gate.model": "that of the prompts",
    "eval-gate.metric": "production's, else exact_match",
    "eval-gate.max_new_tokens": "what each version says, else {}",
    "monitor.prompt": "that of --against, or the log's only one",
    "monitor.store": "FOREWORD_STORE",
    "monitor.out": "no page",
    "monitor.window": "100",
    "monitor.alpha": "0.05",
    "monitor.horizon": "20",
    "monitor.baseline": "200",
    "monitor.label_next": "0",
    "monitor.truth": "none",
    "monitor.metric": "the prompt's, else exact_match",
    "monitor.min_score": "none",
    "monitor.last": "all",
    "monitor.model": "none",
    "monitor.encoder": "the vectors of the log; of --model",
    "study.model": "the scale's",
    "study.models": "the scale's",
    "study.tasks": "all",
    "study.seeds": "the scale's",
    "study.limit": "the scale's",
    "study.only": "all",
    "study.out": "runs/study-SCALE",
    "study.executor": "inline",
    "study.jobs": "one a device, or as cores allow",
    "study.address": "this machine alone",
    "study.gpus": "none",
    "study.device": "auto",
    "study.scale": "smoke",
    "report.baseline": "the first of them",
    "import.task": "none",
    "kind": "as prompt.json beside the array says, else seq2seq",
    "inspect.out": "none",
    "inspect.model": "the prompts' own",
}


class Verb(TyperCommand):
    """A verb whose help shows every option's default. The options that are settings (`options.takes`) are made when its parameters are
    first looked at, so that naming the verbs loads no settings."""

    _params: list[Any]
    _whole: bool

    @property
    def params(self) -> list[Any]:
        """Its options and arguments."""
        if not self._whole:
            self._whole, whole = True, getattr(self.callback, "whole", None)
            if whole is not None:
                parser = whole()
                self._params, self.callback = parser.params, parser.callback
        return self._params

    @params.setter
    def params(self, params: list[Any]) -> None:
        self._params, self._whole = params, False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, each default in it."""
        _show_defaults(self.params, ctx.info_name or "")
        super().format_help(ctx, formatter)


class Verbs(TyperGroup):
    """The same of a verb that has verbs of its own."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, each default in it."""
        _show_defaults(self.params, ctx.info_name or "")
        super().format_help(ctx, formatter)


def _show_defaults(params: Sequence[Any], verb: str) -> None:
    for param in params:
        silent = isinstance(param, TyperOption) and not param.required and param.name not in ("help", "version")
        if isinstance(param, TyperOption) and silent and (param.default is None or param.default is False):
            text = "off" if param.is_flag and param.default is False else default_of(verb, param.name or "")
            param.help = f"{(param.help or '').partition(MARK)[0]}{MARK}{text}]"


MARK = " \\[default: "  # as the terminal's markup has it


def default_of(verb: str, name: str) -> str:
    """What holds where an option is not given. Raises KeyError for one whose default is neither a setting's nor in WORDS."""
    option = settings_options().get(name)
    default = None if option is None else option.field.get_default(call_default_factory=True)
    text = WORDS.get(f"{verb}.{name}") or (option.flag.default_text if option is not None else "") or WORDS.get(name)
    if text:
        return text.replace("{}", str(default), 1)
    if default is None or default == "":
        raise KeyError(f"{verb} {name}")
    if default is False:
        return "off"
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)
