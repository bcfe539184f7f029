"""The comparison: which way of adapting this frozen model works best on these data, at what cost; it refuses to run a trial twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foreword import store
from foreword.backbone import Backbone, load_backbone
from foreword.config import Run
from foreword.context import TooLongError
from foreword.data import Example
from foreword.errors import ForewordError
from foreword.files import writable_folder, write_json
from foreword.layout import Layout
from foreword.methods import Method, parse
from foreword.metrics import METRICS, metric
from foreword.progress import Progress, silent
from foreword.record import Record
from foreword.report.page import write_report
from foreword.retrieve import RETRIEVERS, sentence_encoder
from foreword.softprompt import SoftPrompt
from foreword.study.summary import Summary, as_json, summarise
from foreword.task import SPLITS, Task
from foreword.tasks import load_task
from foreword.template import Template
from foreword.trial import Encode, Spec, Trial


@dataclass(frozen=True)
class Outcome:
    """What a comparison leaves. made: how many trials this run computed; found: how many were there already."""

    summary: Summary
    records: tuple[Record, ...]
    report: Path
    made: int
    found: int


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


def backbone_of(run: Run) -> Backbone:
    """The backbone that a run names, loaded and frozen."""
    return load_backbone(
        run.model,
        dtype=run.dtype,
        device=run.device,
        revision=run.revision or None,
        target_tokenizer=run.target_tokenizer,
        trust_remote_code=run.trust_remote_code,
    )


def encoder_of(run: Run, backbone: Backbone) -> tuple[str, Encode]:
    """What turns text into vectors for dense retrieval, and its name: a sentence encoder, or the backbone's own states
    (`backbone:last`, as Sun et al. 2023 took them, or `backbone:mean`)."""
    if run.encoder and not run.encoder.startswith("backbone"):
        return run.encoder, sentence_encoder(run.encoder)
    pooling = run.encoder.partition(":")[2] or "mean"
    if pooling not in ("last", "mean"):
        raise ForewordError(
            f"The encoder '{run.encoder}' asks for '{pooling}' states; write backbone:mean or backbone:last."
        )
    return f"backbone:{pooling}", lambda texts: backbone.states(texts, pooling=pooling)


def specs_of(run: Run) -> list[Spec]:
    """The grid: every method with every seed, a method that the seed does not touch once. Repeated labels count once."""
    given = (
        store.load(Path(run.tuning.init_prompt)) if run.tuning.init == "carried" and run.tuning.init_prompt else None
    )
    specs: list[Spec] = []
    for label in dict.fromkeys(run.methods):
        row = parse(label, shots=run.shots, retriever=run.retriever, retrievers=list(RETRIEVERS))
        for seed in dict.fromkeys(run.seeds if row.random() else run.seeds[:1]):
            specs.append(_spec(run, label, row, seed, given))
    return specs


def _spec(run: Run, label: str, row: Method, seed: int, given: SoftPrompt | None) -> Spec:
    return Spec(
        label=label,
        method=row,
        seed=seed,
        tuning=run.tuning,
        max_new_tokens=run.max_new_tokens,
        encoder=run.encoder or "backbone:mean",
        given=given if row.soft else None,
    )


def fitting(run: Run, backbone: Backbone, task: Task, methods: Sequence[Method]) -> Task:
    """The task without the examples that no method could fit into the window, when the run says so; otherwise the first such
    example is refused before any work is done."""
    keep = {split: _fitting_split(run, backbone, task, methods, split) for split in SPLITS}
    lost = {split: len(task.split(split)) - len(kept) for split, kept in keep.items()}
    if not any(lost.values()):
        return task
    for split, kept in keep.items():
        if not kept:
            raise ForewordError(
                f"No example of the {split} split fits the window of {run.model} ({backbone.window} positions)."
            )
    said = ", ".join(f"{count} of {split}" for split, count in lost.items() if count)
    note = f"Left out because they do not fit the window of {backbone.window} positions: {said}."
    return replace(task, train=keep["train"], dev=keep["dev"], test=keep["test"], notes=(*task.notes, note))


def _fitting_split(
    run: Run, backbone: Backbone, task: Task, methods: Sequence[Method], split: str
) -> tuple[Example, ...]:
    bare = [replace(row, demonstrations="none", k=0, retriever="") for row in methods]
    layouts = [
        Layout(
            backbone, task.template, row, soft=run.tuning.prompt_length if row.soft else 0, reserve=run.max_new_tokens
        )
        for row in dict.fromkeys(bare)
    ]
    kept: list[Example] = []
    for example in task.split(split):
        try:
            for layout in layouts:
                layout.training_row(example) if split != "test" else layout.lay(example)
        except TooLongError:
            if run.too_long == "refuse":
                raise
            continue
        kept.append(example)
    return tuple(kept)


def unwritable(backbone: Backbone, task: Task) -> tuple[str, ...]:
    """A note when the model's output alphabet lacks characters of the answers: those it can never say."""
    examples = task.test
    lost = sum(
        all(backbone.answers.unknown(backbone.answer_ids(task.template.reply(target))) for target in example.targets)
        for example in examples
    )
    if not lost:
        return ()
    return (
        f"{lost} of {len(examples)} test examples have only answers with characters that the model's tokenizer cannot write; no method can get those right.",
    )


@dataclass(frozen=True)
class Plan:
    """What a comparison will run. trials: the whole grid, finished ones included."""

    run: Run
    backbone: Backbone
    task: Task
    trials: tuple[Trial, ...]

    @property
    def missing(self) -> list[Trial]:
        """The trials without a record."""
        return [trial for trial in self.trials if not trial.path.is_file()]


def plan(run: Run, *, progress: Progress = silent, task: Task | None = None, backbone: Backbone | None = None) -> Plan:
    """Load task and backbone, check that everything fits, and lay out the grid. Nothing is computed or written."""
    specs = specs_of(run)
    task = task or task_of(run)
    if run.tuning.init == "labels" and not any(example.choices for example in task.train):
        raise ForewordError(
            "Init 'labels' needs a task with answers to choose from; give --choices, or use --init vocab."
        )
    backbone = backbone or backbone_of(run)
    for spec in specs:
        if spec.given is not None:
            spec.given.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    task = fitting(run, backbone, task, [spec.method for spec in specs])
    encode = encoder_of(run, backbone)[1] if any(spec.method.retriever == "dense" for spec in specs) else None
    out = Path(run.out)
    trials = [Trial(spec, backbone, task, out, encode, run.batch_size, progress) for spec in specs]
    return Plan(run, backbone, task, tuple(trials))


def carry_out(plan: Plan, *, said: Callable[[Trial, bool], None] = lambda trial, found: None) -> Outcome:
    """Run the missing trials, then write report.html and compare.json. said: told of each trial, and whether it was there."""
    out = writable_folder(Path(plan.run.out))
    records: list[Record] = []
    made = 0
    for trial in plan.trials:
        there = trial.path.is_file()
        said(trial, there)
        records.append(trial.run())
        made += not there
    return conclude(plan, records, out, made)


def conclude(plan: Plan, records: Sequence[Record], out: Path, made: int) -> Outcome:
    """Rows, tests, recommendation, report."""
    labels = [trial.spec.label for trial in plan.trials]
    seeds = [trial.spec.seed for trial in plan.trials]
    records = [
        replace(record, label=label, seed=seed) for record, label, seed in zip(records, labels, seeds, strict=True)
    ]
    summary = summarise(records, lambda name: METRICS[name], answers=plan.run.answers)
    notes = (*plan.task.notes, *unwritable(plan.backbone, plan.task), *summary.notes)
    summary = replace(summary, notes=tuple(dict.fromkeys(notes)))
    report = out / "report.html"
    write_report(report, summary, records)
    write_json(out / "compare.json", as_json(summary, str(report)))
    return Outcome(summary, tuple(records), report, made, len(records) - made)


def compare(run: Run, *, progress: Progress = silent) -> Outcome:
    """Plan and carry out: the whole job in one call."""
    return carry_out(plan(run, progress=progress))
