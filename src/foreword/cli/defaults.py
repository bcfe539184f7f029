"""The default of every option, shown by `--help` and taken from the settings themselves; it refuses an option whose default nobody says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

# Options that are no setting of a run, and settings whose default is nothing or is found out: in words. `verb.option` goes first.
WORDS = {
    "model": "none, or the prompt's",
    "compare.model": "none",
    "tune.model": "none",
    "task": "none",
    "data": "none",
    "dev": "cut from train",
    "test": "cut from train",
    "split": "a tenth for dev; for test a tenth, but 100 questions, or a third where that is less",
    "folds": "none",
    "data_dir": "FOREWORD_DATA, else the hub",
    "prompt": "none",
    "method": "the prompt's, else zero",
    "metrics": "the task's, or what fits the targets",
    "seed": "0",
    "compare.seed": "see --seeds",
    "encoder": "the backbone's own states, backbone:mean",
    "margin": "2 points or 5% of the score, the smaller",
    "init_text": "the instruction",
    "init_prompt": "none",
    "limit": "all",
    "train_limit": "all",
    "max_new_tokens": "{}, or the longest target",
    "revision": "the main one",
    "target_tokenizer": "none",
    "config": "none",
    "references_column": "none",
    "id_column": "none, rows are numbered",
    "choices": "few short targets that repeat, else none",
    "choices_column": "none",
    "target_index": "none",
    "instruction": "the task's, else none",
    "question": "the task's, else 'Input: {input}\\nOutput:'; the bare input in a chat and for an encoder-decoder",
    "answer": "the task's, else ' {target}'",
    "separator": "the task's, else '\\n\\n'",
    "stop": "the task's, else '\\n'",
    "extract": "none",
    "delimiter": "by the file's name and lines",
    "header": "the first line",
    "demonstrations": "the prompt's, else none",
    "example": "the first",
    "steps": "1000",
    "adapt.data": "generated text",
    "adapt.tokens": "as --steps says",
    "threads": "all",
    "wheels": "the package index",
    "empty_answers": "off",
    "generate.out": "the screen",
    "tune.out": "prompt",
    "demo.out": "foreword-demo",
    "store": "FOREWORD_STORE",
    "serve.store": "FOREWORD_STORE, else the model alone",
    "serve.keys": "anybody on this machine",
    "serve.max_rows": "32",
    "serve.max_tokens": "by memory",
    "serve.max_waiting": "256",
    "serve.max_new_tokens": "64",
    "serve.deadline": "600",
    "serve.log": "none",
    "serve.log_content": "off",
    "serve.log_features": "off",
    "serve.log_bytes": "100000000",
    "serve.admin": "off",
    "keys.prompts": "all",
    "chat.prompt": "none",
    "chat.system": "none",
    "chat.max_new_tokens": "64",
    "add.aliases": "none",
    "add.alias": "none",
    "add.method": "the prompt's, else zero",
    "add.max_new_tokens": "64",
    "aliases": "those it has",
    "alias": "those it has",
    "parent": "none",
    "parents": "none",
    "note": "none",
    "sampling": "none",
    "eval-gate.model": "that of the prompts",
    "eval-gate.metric": "production's, else exact_match",
    "eval-gate.max_new_tokens": "what each version says, else 64",
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
    "inspect.out": "none",
    "inspect.model": "the prompts' own",
}
TUNED = {"train_batch_size": "batch_size", "soft_place": "place"}


class Verb(TyperCommand):
    """A verb whose help shows every option's default."""

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
    value = _setting(name)
    words = WORDS.get(f"{verb}.{name}", WORDS.get(name))
    if words is not None:
        return words.replace("{}", str(value), 1)
    if value is None or value == "":
        raise KeyError(f"{verb} {name}")
    if value is False:
        return "off"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _setting(name: str) -> Any:
    """The default of a setting of a run or of its tuning; None where there is no such setting."""
    from foreword.config.run import Run
    from foreword.config.tuning import Tuning

    for model, key in ((Run, name), (Tuning, TUNED.get(name, name))):
        if key in model.model_fields and not (model is Run and name in TUNED):
            return model.model_fields[key].get_default(call_default_factory=True)
    return None
