"""Single soft prompts: fit one and keep it, use one to answer or to be scored; it refuses a prompt of another backbone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foreword import store
from foreword.backbone import Backbone
from foreword.config import Run, Tuning
from foreword.data import Example, examples
from foreword.errors import ForewordError
from foreword.files import writable_folder
from foreword.methods import Method, parse
from foreword.metrics import metric
from foreword.progress import Progress, silent
from foreword.readers import read_rows
from foreword.record import Record
from foreword.retrieve import RETRIEVERS
from foreword.softprompt import SoftPrompt
from foreword.stats import bootstrap
from foreword.study.compare import Plan, encoder_of, plan, task_of, worded
from foreword.task import Task
from foreword.template import Template
from foreword.trial import Spec, Trial


@dataclass(frozen=True)
class Made:
    """A prompt that was fitted. dev: its best dev score (loss in nats an answer token, or the metric's negative)."""

    prompt: str
    backbone: str
    task: str
    method: str
    seed: int
    prompt_length: int
    trainable_parameters: int
    steps: int
    best_step: int
    dev: float | None
    train_seconds: float
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """For people."""
        found = "" if self.dev is None else f", best dev score {self.dev:.4g} at step {self.best_step} of {self.steps}"
        return (
            f"Tuned {self.prompt_length} vectors ({self.trainable_parameters:,} numbers) in {self.train_seconds:.1f} s{found}. "
            f"Prompt: {self.prompt}"
        )


def tune_one(run: Run, *, progress: Progress = silent) -> Made:
    """Fit the soft prompt that the run describes (its first method and seed) and write it to run.out. A killed run goes on from
    its last checkpoint. Raises ForewordError for a method without a soft prompt, or when run.out holds something else."""
    out = Path(run.out)
    run = run.model_copy(update={"methods": run.methods[:1], "seeds": run.seeds[:1], "metrics": run.metrics})
    row = _row(run, run.methods[0])
    if not row.soft:
        raise ForewordError(f"The method '{run.methods[0]}' has no soft prompt to tune; name pt, ipt or ipt-fixed.")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]) and not (out / store.CONFIG).is_file():
        raise ForewordError(f"{out} is not empty and holds no prompt; give --out a new folder.")
    writable_folder(out.parent)
    planned = plan(run, progress=progress)
    work = out.parent / f".{out.name}.work"
    trial = replace(planned.trials[0], out=work)
    tuned, prompt = trial.fit()
    store.save(prompt, out)
    shutil.rmtree(work, ignore_errors=True)
    return Made(
        prompt=str(out),
        backbone=planned.backbone.name,
        task=planned.task.name,
        method=run.methods[0],
        seed=run.seeds[0],
        prompt_length=prompt.length,
        trainable_parameters=tuned.parameters,
        steps=int(tuned.curve[-1]["step"]) if tuned.curve else 0,
        best_step=tuned.step,
        dev=min((point["dev"] for point in tuned.curve), default=None),
        train_seconds=round(tuned.seconds, 3),
        digest=prompt.digest,
    )


def _row(run: Run, label: str) -> Method:
    return parse(label, shots=run.shots, retriever=run.retriever, retrievers=list(RETRIEVERS))


def with_prompt(run: Run, folder: str, label: str | None) -> tuple[Run, SoftPrompt | None]:
    """The run as a prompt wants to be used: its method and wording, where the user says nothing else. Without a prompt: the
    method named, else zero."""
    if not folder:
        method = label or "zero"
        if _row(run, method).soft:
            raise ForewordError(
                f"The method '{method}' needs a soft prompt; give --prompt FOLDER, as `foreword tune` writes it."
            )
        return run.model_copy(update={"methods": [method], "tuning": Tuning(max_steps=0)}), None
    prompt = store.load(Path(folder))
    method = label or prompt.birth.label or "pt"
    row = _row(run, method)
    if not row.soft:
        raise ForewordError(
            f"The method '{method}' uses no soft prompt, and --prompt {folder} is given; leave one of them out."
        )
    update: dict[str, Any] = {
        "methods": [method],
        "tuning": Tuning(max_steps=0, prompt_length=prompt.length, init="carried", init_prompt=folder),
    }
    known = {name: value for name, value in prompt.birth.template.items() if getattr(run, name, None) is None}
    if known and (run.data or not run.task or run.task == prompt.birth.task):
        update |= known
    return run.model_copy(update=update), prompt


def score(run: Run, prompt: str, label: str | None, *, progress: Progress = silent) -> tuple[Plan, Record]:
    """Answer and score the test split with a given prompt (or with words only); a finished record is taken as it is."""
    run, _ = with_prompt(run, prompt, label)
    planned = plan(run.model_copy(update={"seeds": run.seeds[:1]}), progress=progress)
    writable_folder(Path(run.out))
    return planned, planned.trials[0].run()


def scored(record: Record) -> dict[str, Any]:
    """A record's scores as plain values: each metric's score, and for the deciding one its 95% bootstrap interval over examples."""
    measure = metric(record.primary)
    numbers = np.array([[answer.statistics[record.primary] for answer in record.answers]], dtype=float)  # [1, N, d]
    low, high = bootstrap(numbers, measure.from_sums)
    return {
        "method": record.label,
        "task": record.task,
        "backbone": record.backbone,
        "examples": len(record.answers),
        "metrics": {
            name: {"score": value, "ci95": [low, high] if name == record.primary else None}
            for name, value in sorted(record.scores.items(), key=lambda item: item[0] != record.primary)
        },
        "seconds_per_answer": record.costs.seconds_per_answer,
        "prefix_tokens": record.costs.prefix_tokens,
        "dropped_demonstrations": record.dropped_demonstrations,
    }


def inputs_of(run: Run) -> tuple[Example, ...]:
    """The inputs of a file (their answers need not be there), or of a built-in task's test split. A column `id` gives the ids."""
    if run.task:
        return task_of(run).test
    if not run.data:
        raise ForewordError("There are no inputs; give --data FILE, or --task NAME for its test split.")
    rows = read_rows(run.data)
    named = run.id_column or ("id" if rows and all("id" in row for row in rows) else None)
    found = examples(
        rows,
        input_column=run.input_column,
        target_column=run.target_column,
        id_column=named,
        choices=run.choices,
        answers_needed=False,
        origin=run.data,
        fields_needed=worded(Template(), run).names(),
    )
    return tuple(found[: run.limit])


def pool_of(run: Run, demonstrations: str) -> tuple[Example, ...]:
    """Worked examples to show: of a file, else the training split of the built-in task."""
    if not demonstrations:
        return task_of(run).train if run.task else ()
    return tuple(
        examples(
            read_rows(demonstrations),
            input_column=run.input_column,
            target_column=run.target_column,
            choices=run.choices,
            origin=demonstrations,
            fields_needed=worded(Template(), run).names(),
            prefix="demonstration",
        )
    )


def answer_inputs(
    run: Run,
    backbone: Backbone,
    inputs: Sequence[Example],
    pool: Sequence[Example],
    soft: SoftPrompt | None,
    *,
    progress: Progress = silent,
) -> list[str]:
    """Answers to inputs whose answers nobody knows, by the run's first method. pool: training examples to demonstrate with, where
    the method shows any."""
    if soft is not None:
        soft.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    row = _row(run, run.methods[0])
    if row.demonstrations != "none" and not pool:
        raise ForewordError(
            f"The method '{run.methods[0]}' shows demonstrations and there are none; give --demonstrations FILE with training examples."
        )
    template = task_of(run).template if run.task else worded(Template(), run)
    task = Task("inputs", tuple(pool), (), tuple(inputs), template, ("exact_match",))
    spec = Spec(run.methods[0], row, run.seeds[0], run.tuning, run.max_new_tokens, run.encoder or "backbone:mean", soft)
    encode = encoder_of(run, backbone)[1] if row.retriever == "dense" else None
    return Trial(spec, backbone, task, Path(run.out), encode, run.batch_size, progress).outputs()
