"""What a run asks for, read before any model is loaded: its task, its wording, its names; it refuses what it does not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foreword.config import Run
from foreword.errors import ForewordError
from foreword.metrics import metric
from foreword.task import SPLITS, Task
from foreword.tasks import load_task
from foreword.template import Template


def task_of(run: Run) -> Task:
    """The task that a run names, with its wording, metrics and limits."""
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
        template=worded(Template(), run) if own else None,
        metrics=run.metrics or None,
        choices=run.choices,
    )
    if not own:
        task = replace(task, template=worded(task.template, run))
    limits = {"train": run.train_limit or run.limit, "dev": run.limit, "test": run.limit}
    task = task.limited(limits)
    for split in SPLITS:
        if not task.split(split):
            raise ForewordError(f"The {split} split of {run.data or run.task} is empty; give at least one example.")
    return task


def worded(template: Template, run: Run) -> Template:
    """The template with what the run says otherwise."""
    given = {name: getattr(run, name) for name in ("instruction", "question", "answer", "separator", "stop")}
    return replace(template, **{name: value for name, value in given.items() if value is not None})
