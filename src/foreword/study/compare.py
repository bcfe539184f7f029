"""The comparison: which way of adapting this frozen model works best on these data, at what cost; it refuses to run a trial twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from foreword.config.run import Run
from foreword.data.task import SPLITS
from foreword.engine import Backbone
from foreword.metrics import metric
from foreword.prompts.inits import INITS, initial
from foreword.report.page import write_report
from foreword.results.classes import labels_of
from foreword.results.record import Record
from foreword.results.rows import Failure
from foreword.results.summary import Summary, as_json, summarise
from foreword.results.trivial import trivial_answers, trivial_of_folds
from foreword.study.command import invocation
from foreword.study.earlier import DOCUMENT, FOLDER, REPORT, keep_earlier
from foreword.study.folds import pooled
from foreword.study.plan import Plan, plan, renamed, unwritable
from foreword.study.resolve import heard
from foreword.study.trial import Trial
from foreword.util.errors import ForewordError, TrialFailedError
from foreword.util.files import held, remove_empty, tidy, writable_folder, write_json
from foreword.util.locks import taken
from foreword.util.progress import Progress, silent

OnTrial = Callable[[Trial, bool], None]
Noted = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a comparison leaves. records: of the methods that have a row. computed: how many trials this run computed; reused: how many were
    there already. Those that failed are in the summary."""

    summary: Summary
    records: tuple[Record, ...]
    report: Path
    computed: int
    reused: int


def carry_out(
    plan: Plan, *, on_trial: OnTrial = lambda trial, there: None, noted: Noted = lambda sentence: None
) -> Outcome:
    """Run the missing trials, then write report.html and compare.json. on_trial: called for each trial, with whether it was
    finished before. noted: gets a sentence on what a user would not expect.

    A trial that fails for a reason of its own is left out, with its method's row, and the others go on. Raises ForewordError where
    none is left, and for reasons that are not one trial's own.
    """
    _refuse_start(plan)
    out = writable_folder(Path(plan.run.out))
    _sweep(plan, out)
    finished: list[tuple[Trial, Record]] = []
    causes: list[tuple[Trial, str]] = []
    newly_computed = 0
    for trial in plan.trials:
        there = trial.finished() is not None
        on_trial(trial, there)
        if trial.path.is_file() and not there:
            noted(f"The soft prompt of {trial.name} is not in {out / 'prompts'} any more, so it is made again.")
        try:
            waiting = f"{trial.name} is being run in {out} by another process; waiting for it."
            record, computed = trial.run_or_take(partial(noted, waiting))
            finished.append((trial, record))
            newly_computed += computed
        except TrialFailedError as error:
            causes.append((trial, str(error)))
            noted(f"{trial.name} failed: {error}")
    _sweep(plan, out)
    return conclude(plan, finished, causes, out, newly_computed, noted)


def _refuse_start(plan: Plan) -> None:
    """Raises ForewordError where soft prompts cannot begin as the run says (more labels than positions, say), before another trial runs."""
    begun: set[int] = set()  # folds
    for trial in plan.missing:
        spec = trial.spec
        if spec.method.soft and spec.start_prompt is None and spec.fold not in begun:
            begun.add(spec.fold)
            if not INITS.identity(spec.tuning.init):  # another package's may take long
                source = spec.starts_from(trial.task)
                initial(spec.tuning.init, trial.backbone, spec.tuning.prompt_length, seed=spec.seed, source=source)


def _sweep(plan: Plan, out: Path) -> None:
    """Remove what killed runs left in the run folder: half-written files, and checkpoints of trials that are finished. What another
    process is at is left to it."""
    for trial in plan.trials:
        with taken(trial.work) as free:
            if free:
                tidy(trial.work)
                if trial.path.is_file():
                    shutil.rmtree(trial.work, ignore_errors=True)
                remove_empty(trial.work)
    for folder in (out / "records", out / "prompts", out / FOLDER):
        tidy(folder)
    for name in (REPORT, DOCUMENT):
        tidy(out, name)
    remove_empty(out / "work")


def conclude(
    plan: Plan,
    finished: Sequence[tuple[Trial, Record]],
    causes: Sequence[tuple[Trial, str]],
    out: Path,
    newly_computed: int,
    noted: Noted,
) -> Outcome:
    """Rows, tests, recommendation, report. A method of which a trial failed has no row: which seeds fail is not left to chance, so
    that the mean of the others would be too high."""
    failed = {trial.spec.label for trial, _ in causes}
    trials = [renamed(record, trial) for trial, record in finished if trial.spec.label not in failed]
    if not trials:
        trial, cause = causes[0]
        raise ForewordError(f"No method could be finished; the first trial that failed is {trial.name}: {cause}")
    records = pooled(trials, plan.folds) if plan.folds else trials
    decides = metric(plan.task.metrics[0])
    blind = trivial_of_folds(plan.folds, decides) if plan.folds else trivial_answers(plan.task, decides)
    summary = summarise(
        records,
        metric,
        answers=plan.run.amortize_over,
        margin=plan.run.margin,
        trivial=blind,
        labels=labels_of(plan.task),
    )
    notes = (*plan.task.remarks, *unwritable(plan.backbone, plan.task), *summary.notes)
    sizes = {split: len((plan.folds or (plan.task,))[0].split(split)) for split in SPLITS}
    failures = tuple(_failure(trial, cause, finished) for trial, cause in causes)
    summary = replace(summary, notes=tuple(dict.fromkeys(notes)), sizes=sizes, folds=len(plan.folds), failures=failures)
    summary = replace(summary, invocation=invocation(plan.run, plan.task, trials, summary.recommendation.method))
    report = out / REPORT
    document = as_json(summary, str(report))
    with held(out, waiting=lambda: None):
        earlier = keep_earlier(out, document)
        write_report(report, summary, records, trials)
        write_json(out / DOCUMENT, document)
    if earlier is not None:
        noted(f"{out} held the report of another study, which is now in {earlier}.")
    return Outcome(summary, tuple(trials), report, newly_computed, len(finished) - newly_computed)


def _failure(trial: Trial, cause: str, finished: Sequence[tuple[Trial, Record]]) -> Failure:
    others = [record for other, record in finished if other.spec.label == trial.spec.label]
    seed = trial.spec.seed if trial.spec.method.random() else None
    return Failure(trial.spec.label, seed, cause, [record.scores[record.primary] for record in others], trial.spec.fold)


def compare(run: Run, *, progress: Progress = silent, backbone: Backbone | None = None) -> Outcome:
    """Plan and carry out: the whole job in one call. backbone: the loaded model, else the run's is loaded."""
    return carry_out(plan(heard(run), progress=progress, backbone=backbone))
