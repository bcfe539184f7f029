"""The comparison: which way of adapting this frozen model works best on these data, at what cost; it refuses to run a trial twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foreword.backbone import Backbone
from foreword.config import Run
from foreword.files import tidy, writable_folder, write_json
from foreword.metrics import METRICS
from foreword.progress import Progress, silent
from foreword.record import Record
from foreword.report.page import write_report
from foreword.study.asked import heard
from foreword.study.classes import labels_of
from foreword.study.command import asked
from foreword.study.plan import Plan, plan, renamed, unwritable
from foreword.study.summary import Summary, as_json, summarise
from foreword.study.trivial import trivial_answers
from foreword.task import SPLITS
from foreword.trial import Trial


@dataclass(frozen=True)
class Outcome:
    """What a comparison leaves. made: how many trials this run computed; found: how many were there already."""

    summary: Summary
    records: tuple[Record, ...]
    report: Path
    made: int
    found: int


def carry_out(plan: Plan, *, said: Callable[[Trial, bool], None] = lambda trial, found: None) -> Outcome:
    """Run the missing trials, then write report.html and compare.json. said: told of each trial, and whether it was there."""
    out = writable_folder(Path(plan.run.out))
    _sweep(plan, out)
    records: list[Record] = []
    made = 0
    for trial in plan.trials:
        there = trial.path.is_file()
        said(trial, there)
        records.append(trial.run())
        made += not there
    _sweep(plan, out)
    return conclude(plan, records, out, made)


def _sweep(plan: Plan, out: Path) -> None:
    """Remove what killed runs left in the run folder: half-written files, and checkpoints of trials that are finished."""
    work = out / "work"
    for trial in plan.trials:
        tidy(work / trial.key)
        if trial.path.is_file():
            shutil.rmtree(work / trial.key, ignore_errors=True)
    for folder in (out / "records", out / "prompts"):
        tidy(folder)
    for name in ("report.html", "compare.json"):
        tidy(out, name)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def conclude(plan: Plan, records: Sequence[Record], out: Path, made: int) -> Outcome:
    """Rows, tests, recommendation, report."""
    records = [renamed(record, trial) for record, trial in zip(records, plan.trials, strict=True)]
    metric = METRICS[plan.task.metrics[0]]
    summary = summarise(
        records,
        lambda name: METRICS[name],
        answers=plan.run.answers,
        margin=plan.run.margin,
        trivial=trivial_answers(plan.task, metric),
        labels=labels_of(plan.task),
    )
    notes = (*plan.task.remarks, *unwritable(plan.backbone, plan.task), *summary.notes)
    sizes = {split: len(plan.task.split(split)) for split in SPLITS}
    summary = replace(summary, notes=tuple(dict.fromkeys(notes)), sizes=sizes)
    summary = replace(summary, asked=asked(plan.run, plan.task, records, summary.recommendation.method))
    report = out / "report.html"
    write_report(report, summary, records)
    write_json(out / "compare.json", as_json(summary, str(report)))
    return Outcome(summary, tuple(records), report, made, len(records) - made)


def compare(run: Run, *, progress: Progress = silent, backbone: Backbone | None = None) -> Outcome:
    """Plan and carry out: the whole job in one call. backbone: the loaded model, else the run's is loaded."""
    return carry_out(plan(heard(run), progress=progress, backbone=backbone))
