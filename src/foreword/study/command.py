"""The command that repeats a comparison, and the one to type next; it refuses to leave out a setting that was set."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from datetime import date
from typing import Any

from foreword.config.run import Run
from foreword.config.settings import fields_of, flag_of, kinds_of
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.results.record import Record
from foreword.results.rows import Invocation
from foreword.study.resolve import row_of
from foreword.train.trainables import usable


def invocation(run: Run, task: Task, records: Sequence[Record], method: str) -> Invocation:
    """What was asked for, and what may come next. method: the recommended one; empty where there is none."""
    prompts = {_named(record): f"{run.out}/{record.prompt}" for record in records if record.prompt}
    keys = {_named(record, seeded=not record.deterministic): record.key for record in records}
    return Invocation(
        command=command(run),
        date=date.today().isoformat(),
        wording=task.template.as_dict(),
        prompts=prompts,
        next_command=next_command(run, task, records, method),
        trials=keys,
    )


def command(run: Run) -> str:
    """The comparison as one line: every setting that is not the default, as `key=value`; the room for an answer also where it is, for it
    is raised where nobody says it."""
    values = run.model_dump(exclude_defaults=True)
    if "max_new_tokens" in run.model_fields_set:
        values["max_new_tokens"] = run.max_new_tokens
    return " ".join(["foreword compare", *(shlex.quote(part) for part in _settings("", values))])


# Settings of an answer that a soft prompt's folder does not keep; and those that it keeps, which are asked for where there is no prompt.
WORDING = tuple(field.name for field in fields(Template))
OF_ANY_METHOD = ("dtype", "revision", "trust_remote_code", "target_tokenizer", "choice_score")
OF_WORDS_ALONE = (
    *("shots", "retriever", "encoder", "max_new_tokens", "chat", "input_column", "target_column", "choices_column"),
    *("target_index", *WORDING),
)


def next_command(run: Run, task: Task, records: Sequence[Record], method: str) -> str:
    """How to answer new inputs with that method as it was compared: with the prompt that was the best on the dev split, or in the words of
    the task; empty without a method, and for one of which nothing is kept."""
    mine = [record for record in records if record.label == method and usable(method)]
    if not mine:
        return ""
    best = min(mine, key=_lowest_dev)
    parts = ["foreword", "generate", "--model", run.model]
    if best.prompt:
        parts += ["--prompt", f"{run.out}/{best.prompt}"]
    else:
        parts += ["--method", method, *([] if best.deterministic or not best.seed else ["--seed", str(best.seed)])]
    if any(answer.shown for answer in best.answers) and not best.prompt:
        parts += ["--demonstrations", "train.jsonl"]
    options = _options(run, task, method, prompted=bool(best.prompt))
    return " ".join(map(shlex.quote, [*parts, "--data", "inputs.jsonl", *options]))


def _options(run: Run, task: Task, method: str, *, prompted: bool) -> list[str]:
    """The options that say what `generate` would not take by itself: a run's settings that are not the default, and, without a soft prompt,
    which keeps them, the wording and the choices of its task; the instruction also where the data brought it, as a system message that
    new inputs need not have."""
    values = {name: getattr(run, name) for name in (OF_ANY_METHOD if prompted else (*OF_ANY_METHOD, *OF_WORDS_ALONE))}
    if run.task and not prompted:
        template, usual = vars(task.template), vars(Template())
        always = ("question", "answer")  # a chat asks the bare input where nobody words it
        values |= {name: template[name] for name in WORDING if name in always or template[name] != usual[name]}
    if not prompted and not run.instruction and row_of(run, method).instruction:
        values["instruction"] = task.template.instruction or run.instruction
    choices = {example.choices for example in task.test}
    if len(choices) == 1 and not prompted:
        values["choices"] = list(*choices)
    parts: list[str] = []
    for name, value in values.items():
        if value is not False and value != Run.model_fields[name].default:
            flag = flag_of(Run.model_fields[name])
            assert flag is not None, "each of these is an option"
            parts += [flag.option(name)] if value is True else [flag.option(name), _flag_text(value)]
    return parts


def _flag_text(value: Any) -> str:
    """A value as an option is written: a list as JSON, a line end and a tab as `\\n` and `\\t`."""
    if isinstance(value, list | tuple):
        plain = all(part.isalnum() for part in value)
        return ",".join(value) if plain else json.dumps(value, ensure_ascii=False)
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def _named(record: Record, *, seeded: bool = True) -> str:
    seed, fold = f" seed {record.seed}" if seeded else "", f" fold {record.fold}" if record.fold else ""
    return f"{record.label}{seed}{fold}"


def _lowest_dev(record: Record) -> float:
    return min((step["dev"] for step in record.curve if step.get("dev") is not None), default=float("inf"))


def _settings(prefix: str, values: Mapping[str, Any]) -> list[str]:
    parts: list[str] = []
    known = dict(fields_of(Run))
    for key, value in values.items():
        if isinstance(value, Mapping):
            parts += _settings(f"{prefix}{key}.", value)
        else:
            parts.append(f"{prefix}{key}={_text(value, kinds_of(known[prefix + key].annotation))}")
    return parts


def _text(value: Any, kinds: Set[Any]) -> str:
    """A value as an override is written: bare where it can be, else as in TOML. kinds: that its setting may be, so that no text is read
    as a list or as `none`, and no list as a text."""
    if isinstance(value, list):
        plain = str not in kinds and all(
            isinstance(part, int) or part.replace("-", "").replace("_", "").replace(":", "").isalnum() for part in value
        )
        return ",".join(map(str, value)) if plain else _quoted(value)
    if isinstance(value, str) and (
        value != value.strip() or not value.isprintable() or value[:1] in "\"'[" or value.lower() in ("", "none")
    ):
        return _quoted(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: Any) -> str:
    """JSON that TOML reads too, which takes no DEL as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
