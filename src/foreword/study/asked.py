"""What a run asks for, read before any model is loaded: its names, its task, its wording; it refuses names it does not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.config import Run
from foreword.data import Columns, examples, merged
from foreword.errors import ForewordError, unknown
from foreword.methods import Method, parse
from foreword.metrics import metric
from foreword.readers import Form, read_rows
from foreword.retrieve import RETRIEVERS
from foreword.task import SPLITS, Task
from foreword.tasks import load_task
from foreword.tasks._fit import default_metrics, one_input, unreached
from foreword.template import Template

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
POOLINGS = ("mean", "last")
WORDING = ("instruction", "question", "answer", "separator", "stop", "extract", "empty_answers")


def row_of(run: Run, label: str) -> Method:
    """The method that a label names, with the run's own retriever and number of demonstrations where it says none."""
    return parse(label, shots=run.shots, retriever=run.retriever, retrievers=list(RETRIEVERS))


def checked(run: Run) -> Run:
    """The run as it is, every name in it known. Raises ForewordError for the first that is not."""
    for label in run.methods:
        row_of(run, label)
    for name in run.metrics:
        metric(name)
    if run.retriever not in RETRIEVERS:
        raise unknown("retriever", run.retriever, RETRIEVERS)
    if run.device.partition(":")[0] not in DEVICES:
        raise unknown("device", run.device, DEVICES)
    pooling_of(run)
    return run


def pooling_of(run: Run) -> str | None:
    """How the backbone's own states become one vector a text, `mean` or `last`; None where a sentence encoder is named."""
    if run.encoder and run.encoder.partition(":")[0] != "backbone":
        return None
    pooling = run.encoder.partition(":")[2] or "mean"
    if pooling not in POOLINGS:
        raise ForewordError(
            f"The encoder '{run.encoder}' asks for '{pooling}' states; write backbone:mean or backbone:last."
        )
    return pooling


def task_of(run: Run, *, whole_pool: bool = False) -> Task:
    """The task that a run names, with its wording, metrics and limits. whole_pool: `limit` is for what is scored, and leaves the
    training examples, which are only shown, as they are."""
    if not (run.task or run.data):
        raise ForewordError("There is no task; give --task NAME, or --data FILE with your own examples.")
    if run.task and run.data:
        raise ForewordError(f"Both --task {run.task} and --data {run.data} are given; give one of them.")
    for name in run.metrics:
        metric(name)
    own = run.data != ""
    task = load_task(
        Path(run.data) if own and Path(run.data).exists() else run.data or run.task,
        data_dir=run.data_dir or None,
        dev=run.dev or None,
        test=run.test or None,
        input_column=run.input_column,
        target_column=run.target_column,
        references_column=run.references_column or None,
        id_column=run.id_column or None,
        choices_column=run.choices_column or None,
        target_index=run.target_index,
        form=form_of(run),
        template=worded(Template(), run) if own else None,
        metrics=run.metrics or None,
        choices=run.choices,
        recognise="choices" not in run.model_fields_set,
    )
    if not own:
        task = replace(task, template=worded(task.template, run))
    limits = {"train": run.train_limit or (None if whole_pool else run.limit), "dev": run.limit, "test": run.limit}
    task = task.limited(limits)
    for split in SPLITS:
        if not task.split(split):
            raise ForewordError(f"The {split} split of {run.data or run.task} is empty; give at least one example.")
    return task


def form_of(run: Run) -> Form:
    """How the run's tables of text are written."""
    return Form(run.quoting, run.delimiter, run.encoding, tuple(run.header))


def columns_of(run: Run) -> Columns:
    """Which column of the run's tables is what."""
    names = (run.references_column or None, run.id_column or None, run.choices_column or None)
    return Columns(run.input_column, run.target_column, *names, run.target_index)


def scored_task(run: Run, *, whole_pool: bool = False) -> Task:
    """The task that is scored: the run's own, or a test file alone, of which every example is scored and none demonstrated."""
    if run.task or run.data or not run.test:
        return task_of(run, whole_pool=whole_pool)
    template = worded(Template(), run)
    made = examples(
        read_rows(run.test, form=form_of(run), as_written=True),
        columns_of(run),
        choices=run.choices,
        empty_answers=template.empty_answers,
        origin=run.test,
        fields_needed=template.names(),
    )
    test = merged(made)
    metrics = tuple(run.metrics) or default_metrics(made, test)
    notes = (*one_input("test", made, test), *unreached(run.metrics, test))
    task = Task(Path(run.test).resolve().stem, (), (), tuple(test), template, metrics, source=run.test, notes=notes)
    return task.limited({"test": run.limit})


def worded(template: Template, run: Run) -> Template:
    """The template with what the run says otherwise."""
    given: dict[str, Any] = {name: getattr(run, name) for name in WORDING}
    if isinstance(given["stop"], list):
        given["stop"] = tuple(given["stop"])
    return replace(template, **{name: value for name, value in given.items() if value is not None})


def described(task: Task, examples: int = 3) -> dict[str, Any]:
    """A task's sizes, metrics, wording and its first test examples as they are worded, as plain values."""
    shown = [
        {"id": one.id, "text": task.template.ask(one) + task.template.reply(one.targets[0]), "targets": one.targets}
        for one in task.test[:examples]
    ]
    return {
        "task": task.name,
        "splits": {split: len(task.split(split)) for split in SPLITS},
        "metrics": task.metrics,
        "source": task.source,
        "notes": task.remarks,
        "template": task.template.as_dict(),
        "examples": shown,
    }
