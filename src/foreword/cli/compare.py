"""`foreword compare`: which way of adapting this frozen model works best on these data; it refuses to recompute a finished trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, Clock, print_json, print_table, say

if TYPE_CHECKING:
    from foreword.study.compare import Outcome
    from foreword.study.plan import Plan
    from foreword.study.trial import Trial

FAILED = 3  # the exit code where a trial could not be finished, and the others were


@o.takes(
    o.SOURCE,
    ("folds", "dev", "test", "methods", "metrics", "seeds"),
    o.DEMONSTRATIONS,
    ("amortize_over", "margin", "out", "train_limit"),
    o.TUNED,
    o.MACHINE,
    o.ANSWERING,
    o.WORDING,
    ("allow_other_base",),
)
def compare(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings as in the TOML file, such as tuning.optimizer=adafactor."
        ),
    ] = None,
    config: o.Config = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the trials and what they cost, with minutes and memory from a few steps and answers; keep nothing.",
            rich_help_panel=o.RUN,
        ),
    ] = False,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Compare ways of adapting one frozen model on one task: scores with error bars, costs, and which one to use.

    A second run does only what is missing; Ctrl-C loses only the trial under way. A trial that fails leaves the others (exit code 3).

    Examples:

      foreword compare --model gpt2 --data reviews.csv --choices good,bad

      foreword compare --model reference --task mini-dart --methods icl,pt,ipt

      foreword compare --config study.toml tuning.prompt_length=100 --dry-run
    """
    compare_with(flags, config=config, overrides=overrides or [], dry_run=dry_run, as_json=as_json)


def compare_with(
    flags: dict[str, object],
    *,
    config: str | None = None,
    overrides: list[str] | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Run a comparison from flags, and print its answer. What can be refused without a model is refused before one is loaded."""
    from foreword.cli.run import run_of
    from foreword.prompts.methods import renames
    from foreword.study.places import may_write_folder
    from foreword.study.resolve import checked, heard, task_of

    requested = run_of(flags, config=config, overrides=overrides or [])
    run = heard(checked(requested))
    bars = Bars()
    for sentence in renames(requested.methods):
        bars.say(sentence)
    with bars.shown():
        with bars.waiting("loading data"):
            task = task_of(run, pooled=run.folds is not None)
        if not dry_run:
            may_write_folder(run, config)
        with bars.waiting("loading model"):
            from foreword.study.compare import carry_out
            from foreword.study.plan import plan_of

            planned = plan_of(run, task=task, progress=bars)
        if not dry_run:
            outcome = carry_out(planned, on_trial=_teller(planned, bars), noted=bars.say)
    if dry_run:
        _list(planned, as_json)
        return
    _answer(outcome, planned.backbone.device, as_json)
    if outcome.summary.failures:
        raise typer.Exit(FAILED)


def _teller(planned: Plan, bars: Bars) -> Callable[[Trial, bool], None]:
    """Says which trial begins, how long the last took and what is left for the whole; of finished ones nothing."""
    numbers = {trial.key: number for number, trial in enumerate(planned.trials, 1)}
    clock = Clock([trial.spec.label for trial in planned.missing])

    def announce(trial: Trial, there: bool) -> None:
        if not there:
            left = clock.begins(trial.spec.label)
            bars.say(f"[{numbers[trial.key]}/{len(planned.trials)}] {trial.name}{f' ({left})' if left else ''}")

    return announce


def _answer(outcome: Outcome, device: Any, as_json: bool) -> None:
    from foreword.report.table import show
    from foreword.results.summary import as_json as document

    if as_json:
        print_json(document(outcome.summary, str(outcome.report)))
        return
    show(outcome.summary)
    from foreword.engine.memory import peak_memory
    from foreword.util.phrases import size

    memory = f", memory {size(peak_memory(device))}" if outcome.computed else ""
    if outcome.summary.invocation is not None and outcome.summary.invocation.next_command:
        say(f"next: {outcome.summary.invocation.next_command}")
    say(f"trials run {outcome.computed}, found finished {outcome.reused}{memory}; report: {outcome.report}")


def _list(planned: Plan, as_json: bool) -> None:
    from foreword.data.examples import counted
    from foreword.study.cost import HEADS, estimate, summed
    from foreword.study.pace import pace

    rows = [estimate(trial) for trial in planned.trials]
    with Bars().waiting("measuring a few steps and answers"):
        measured = pace(planned.trials, rows)
    if as_json:
        times = {} if measured is None else {"seconds": measured.seconds, "memory_bytes": measured.memory}
        print_json({"trials": [row.as_dict() for row in rows], **times})
        return
    head = f"{planned.task.name} on {planned.backbone.name}, {counted(len(planned.task.test), 'example')} to answer"
    print_table(head, HEADS, [row.cells() for row in rows], left=["method"])
    say(summed(rows))
    if measured is not None:
        say(measured.sentence())
    for note in planned.task.remarks:
        say(f"Note: {note}", style="dim")
