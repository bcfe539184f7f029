"""What reads each kind of input, as the command line does; it refuses to read less of it than a command would."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from foreword import tasks
from foreword.config.choices import choices_of
from foreword.config.run import Run, load
from foreword.data.examples import Example, examples
from foreword.data.readers import Form, read_rows
from foreword.data.template import Template
from foreword.engine import Row, load_backbone
from foreword.metrics import scorers
from foreword.prompts import store
from foreword.prompts.methods import context
from foreword.prompts.retrieve import RetrievedExample
from foreword.results.record import Record
from foreword.study.resolve import checked, described, form_of, row_of, shares_of, task_of, worded
from foreword.train.loop import _resume
from foreword.train.pretrain.checkpoint import put_back
from foreword.train.pretrain.texts import Mark, Written
from foreword.util.errors import ForewordError
from fuzz import bases, oddities

EXAMPLE = Example("a", {"input": "some words", "text": "others"}, ("an answer",))


def table(folder: Path, file: str) -> None:
    """As `compare`, `generate` and `evaluate --test` read a user's file."""
    path = folder / file
    columns = {"references_column": "references", "choices_column": "choices", "id_column": "id"}
    _one_after_the_other(
        lambda: task_of(Run(model="x", data=str(path))),
        lambda: examples(read_rows(path, as_written=True), answers_needed=False, origin=file),
        *((lambda: task_of(Run(model="x", data=str(path), **columns)),) if "-5." in file else ()),  # type: ignore[arg-type]
    )


def _one_after_the_other(*reads: Callable[[], object]) -> None:
    """All of these, the first refusal raised at the end."""
    first: ForewordError | None = None
    for read in reads:
        try:
            read()
        except ForewordError as error:
            first = first or error
    if first is not None:
        raise first


def named_task(folder: Path, file: str) -> None:
    """Every task of the shelf whose place this folder is, read and checked."""
    place = next(
        name for name in bases.bases() if name.startswith("task/") and folder.as_posix().endswith(name)
    ).removeprefix("task/")
    root = Path(folder.as_posix().removesuffix(place))
    known = [name for name in tasks.names() if any(f"{place}/{file}".startswith(f"{at}/") for at in _places(name))]
    _one_after_the_other(
        *(lambda name=name: described(tasks.load(name, root)) for name in known),  # type: ignore[misc]
        lambda: tasks.check(known[0], root),
    )


def _places(task: str) -> tuple[str, ...]:
    module = tasks.module(task)
    return tuple(at for at in (getattr(module, "PLACE", ""), *getattr(module, "ALSO", ())) if at)


def golden_cases(folder: Path, file: str) -> None:
    """`foreword score`."""
    json.dumps(scorers.score(folder.name, folder / "cases.jsonl"))


def config(folder: Path, file: str) -> None:
    """A TOML file, as far as a run goes before it opens its data."""
    _resolve(load(folder / file))


def overrides(text: str) -> None:
    """`key=value` words."""
    _resolve(load(None, json.loads(text), defaults={"model": "x", "data": "nowhere.jsonl"}))


def _resolve(run: Run) -> None:
    run = checked(run)
    for label in run.methods:
        row_of(run, label)
    shares_of(run)
    form_of(run)
    template = worded(Template(), run)
    _worded(template)
    with contextlib.suppress(ForewordError):  # there is no such file
        task_of(run.model_copy(update={"data": "nowhere.jsonl", "task": "", "dev": "", "test": ""}))


def wording(text: str) -> None:
    """The parts of a template, said and read back."""
    parts = json.loads(text)
    parts["stop"] = tuple(parts["stop"]) if isinstance(parts.get("stop"), list) else parts.get("stop", "\n")
    run = Run.model_validate(
        {"model": "x", "data": "x"}
        | {key: list(value) if isinstance(value, tuple) else value for key, value in parts.items()}
    )
    _worded(worded(Template(), run))


def _worded(template: Template) -> None:
    for example in (EXAMPLE, Example("b", dict.fromkeys(template.names(), "words"), ("t",))):
        try:
            template.demonstration(example)
        except ForewordError:
            continue
    template.read(template.reply("an answer") + template.separator + "more")
    template.misread(["an answer", "", "(x)"])
    template.mended(["an answer", "a.b"])
    template.as_dict()


def label(text: str) -> None:
    """A method's label, and what it puts before an input."""
    run = Run(model="x", data="x")
    row = row_of(run, json.loads(text))
    row_of(run, (row.retriever and "icl:" + row.retriever) or "zero")
    find = lambda example, count: [RetrievedExample(EXAMPLE, 1.0)] * min(count, 3)  # noqa: E731
    context(row, Template(), Example("c", {"input": "x"}, ("y",)), soft=2, fixed=[EXAMPLE], find=find)


def form(text: str) -> None:
    """The form of a table of text, with a table read by it."""
    settings: dict[str, Any] = json.loads(text)
    header = tuple(settings.pop("header", ()))
    Run.model_validate({"model": "x", **settings})
    read_rows(SAMPLE, form=Form(header=header, **settings))


def choices(text: str) -> None:
    """`--choices`."""
    choices_of(json.loads(text), "--choices")


def prompt(folder: Path, file: str) -> None:
    """A prompt's folder, with what is made of its certificate."""
    soft_prompt = store.load(folder / "prompt")
    soft_prompt.fits(name="some/model", fingerprint=soft_prompt.provenance.fingerprint, hidden=4)
    soft_prompt.provenance.as_dict()


def record(folder: Path, file: str) -> None:
    """A record, written again as it was read."""
    Record.read(folder / file).write(folder / "again.json")
    (folder / "again.json").unlink()


def checkpoint(folder: Path, file: str) -> None:
    """The checkpoints of pretrain and adapt, and of tune."""
    model, optimiser = bases.layer()
    if file.startswith("tuning"):
        named = bases.OneLayer(dict(model.named_parameters()))
        _resume(folder / file, "mark", named, optimiser)  # type: ignore[arg-type]
    else:
        put_back(folder / file, model, optimiser)
    optimiser.step()


def model(folder: Path, file: str) -> None:
    """A model's folder: loaded, asked once."""
    backbone = load_backbone(str(folder), device="cpu")
    try:
        backbone.fingerprint  # noqa: B018 - reads every number
        backbone.answer_text(backbone.answer_ids("ba lo ri"))
        backbone.generate(None, [Row((), backbone.tokenizer.ids("ba lo ri", first=True))], 2)
    finally:
        backbone.close()


def saved(folder: Path, file: str) -> None:
    """A folder that `save_to_disk` of datasets wrote."""
    task_of(Run(model="x", data=str(folder)))


def texts(folder: Path, file: str) -> None:
    """A file of texts to train on, from its head and from a place inside."""
    read = Written(folder / file)
    marks = [Mark(), *(mark for _, mark in itertools.islice(read.read(Mark()), 1))]
    for mark in marks:
        for _ in itertools.islice(read.read(mark), 100):
            pass


SAMPLE = Path(__file__).parent / "sample.csv"
FOLDERS: dict[str, Callable[[Path, str], None]] = {
    "table": table,
    "task": named_task,
    "golden": golden_cases,
    "config": config,
    "prompt": prompt,
    "record": record,
    "checkpoint": checkpoint,
    "model": model,
    "saved": saved,
    "texts": texts,
}
WORDS: dict[str, Callable[[str], None]] = {
    "override": overrides,
    "template": wording,
    "label": label,
    "form": form,
    "choices": choices,
}

_KEYS = [
    *list(Run.model_fields),
    "tuning.learning_rate",
    "tuning.max_steps",
    "tuning.init",
    "tuning",
    "tuning.",
    "a.b",
    "",
]
_QUESTIONS = (
    "{input}",
    "Q: {input} {text}\nA:",
    "{input} {target}",
    "{{x}} {input}",
    "{input:>2000000000}",
    "{0}{input}",
    "{input!r}",
    "{a.b}",
    "{",
)
_LABELS = ("icl", "zero", "few", "pt", "ipt", "ipt-fixed", "full-ft", "mt", "pt+instruction")
_PARTS = (
    "3",
    "4",
    "bm25",
    "random",
    "dense",
    "²",
    "①",
    "٣",
    "0",
    "-1",
    "1e3",
    oddities.DIGITS,
    "",
    " 3",
    "3 ",
    "+instruction",
    "\udcff",
    "3_0",
    "99999999",
)
_PATTERNS = (
    "(.+)",
    "(a+)+$",
    "(",
    "(?P<x>.)",
    "[",
    "\\1",
    "(?:)",
    "x{1,99999}",
    "(?i)(.)",
    "(?R)",
    "\\p{L}+",
    "(?<=a*)b",
    "(a|b|ab)*c",
    "\ud800",
    "." * 3_000,
)


def _odd_text(rng: Random) -> str:
    odd = rng.choice(oddities.ODD)
    return odd if isinstance(odd, str) else json.dumps(odd)


def drawn(target: str, rng: Random) -> str:
    """An input of words: as JSON, in which half of a surrogate pair (a byte that is no UTF-8, on a command line) can stand."""
    value: Any
    if target == "override":
        values = (*oddities.TOML, *_LABELS, "none", "1,2", "-", "icl:²,few:①")
        value = [
            f"{rng.choice(_KEYS)}{rng.choice(('=', '=', '=', '', ' = '))}{rng.choice(values) if rng.random() < 0.7 else _odd_text(rng)}"
            for _ in range(rng.choice((1, 2)))
        ]
    elif target == "template":
        whole = {
            "question": rng.choice(_QUESTIONS),
            "answer": rng.choice((" {target}", "{target}.", "({target})")),
            "stop": ["\n", "."],
            "extract": rng.choice(_PATTERNS),
            "separator": "\n\n",
            "instruction": "say",
        }
        value = {key: part for key, part in whole.items() if rng.random() < 0.6}
        for key in rng.sample(["question", "answer", "stop", "separator", "extract"], rng.choice((0, 1, 1, 2))):
            template_part = value.get(key) if isinstance(value.get(key), str) else "{input} {target}"
            at = rng.randrange(len(template_part) + 1)
            value[key] = (
                template_part[:at]
                + rng.choice(
                    ("{", "}", "{}", "{{", "}}", "{target}", _odd_text(rng), "{input:d}", "{input!x}", "{:>9}")
                )
                + template_part[at + rng.choice((0, 0, 1)) :]
            )
    elif target == "label":
        value = ":".join(
            [
                rng.choice(_LABELS) + rng.choice(("", "", "+instruction", "+", "+x")),
                *rng.sample(_PARTS, rng.randrange(4)),
            ]
        )
    elif target == "form":
        whole = {
            "quoting": rng.choice(("auto", "standard", "none")),
            "delimiter": rng.choice((",", ";", "tab", "", _odd_text(rng))),
            "encoding": rng.choice((*oddities.ENCODINGS, "latin-1", _odd_text(rng))),
            "header": rng.choice((["a", "b"], ["a"], ["a", "a"], [""], [_odd_text(rng), "b"])),
        }
        value = {key: part for key, part in whole.items() if rng.random() < 0.6}
    else:
        value = rng.choice(
            (
                '["yes", "no"]',
                "yes,no",
                "none",
                ",",
                "[",
                "[1, 2]",
                '["a", "a"]',
                "[[" * 9_000,
                f"[{oddities.DIGITS}]",
                f"[1e400, {oddities.DIGITS}.5]",
                "\0",
                "x" * 5_000,
                '["\\ud800"]',
                "\udcff,a",
                "/dev/null",
                "/",
                _odd_text(rng),
                f"[{_odd_text(rng)}]",
            )
        )
    return json.dumps(value)
