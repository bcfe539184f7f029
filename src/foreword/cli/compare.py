"""`foreword compare`: which way of adapting this frozen model works best on these data; it refuses to recompute a finished trial."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json

if TYPE_CHECKING:
    from foreword.study.compare import Outcome, Plan
    from foreword.trial import Trial


def compare(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings as in the TOML file, such as tuning.optimizer=adafactor."
        ),
    ] = None,
    model: o.Model = None,
    task: o.TaskName = None,
    data: o.Data = None,
    dev: o.Dev = None,
    test: o.Test = None,
    data_dir: o.DataDir = None,
    methods: o.Methods = None,
    shots: o.Shots = None,
    retriever: o.Retriever = None,
    encoder: o.Encoder = None,
    metrics: o.MetricNames = None,
    seeds: o.Seeds = None,
    seed: o.Seed = None,
    answers: o.Answers = None,
    prompt_length: o.PromptLength = None,
    max_steps: o.MaxSteps = None,
    learning_rate: o.LearningRate = None,
    train_batch_size: o.TrainBatch = None,
    init: o.Init = None,
    init_text: o.InitText = None,
    init_prompt: o.InitPrompt = None,
    out: o.Out = None,
    limit: o.Limit = None,
    train_limit: o.TrainLimit = None,
    batch_size: o.BatchSize = None,
    max_new_tokens: o.MaxNewTokens = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    too_long: o.TooLong = None,
    revision: o.Revision = None,
    trust_remote_code: o.Trust = None,
    target_tokenizer: o.TargetTokenizer = None,
    input_column: o.InputColumn = None,
    target_column: o.TargetColumn = None,
    references_column: o.ReferencesColumn = None,
    id_column: o.IdColumn = None,
    choices: o.Choices = None,
    instruction: o.Instruction = None,
    question: o.Question = None,
    answer: o.AnswerWords = None,
    separator: o.Separator = None,
    stop: o.Stop = None,
    config: o.Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the trials and what they cost; run none.", rich_help_panel=o.RUN)
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Compare ways of adapting one frozen model on one task: scores with error bars, costs, and which one to use.

    A second run does only what is missing; Ctrl-C loses only the trial under way.

    Examples:

      foreword compare --model gpt2 --data reviews.csv --choices good,bad --out runs/reviews

      foreword compare --model reference --task mini-dart --methods zero,icl,icl:random,pt,ipt --seeds 0,1,2

      foreword compare --config study.toml tuning.prompt_length=100 --dry-run
    """
    flags = {
        name: value for name, value in locals().items() if name not in ("overrides", "config", "dry_run", "as_json")
    }
    bars = Bars()
    with bars.shown():
        compare_with(flags, bars, config=config, overrides=overrides or [], dry_run=dry_run, as_json=as_json)


def compare_with(
    flags: dict[str, object],
    bars: Bars,
    *,
    config: str | None = None,
    overrides: list[str] | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Run a comparison from flags, and print its answer."""
    from foreword.cli.run import run_of
    from foreword.study.compare import carry_out, plan

    run = run_of(flags, config=config, overrides=overrides or [])
    bars("loading model and data", 0, 1)
    planned = plan(run, progress=bars)
    bars("loading model and data", 1, 1)
    if dry_run:
        _list(planned, as_json)
        return
    total = len(planned.trials)

    def said(trial: Trial, there: bool) -> None:
        number = planned.trials.index(trial) + 1
        if not there:
            bars.say(f"[{number}/{total}] {trial.name}".replace("[", "\\[", 1))

    outcome = carry_out(planned, said=said)
    _answer(outcome, as_json)


def _answer(outcome: Outcome, as_json: bool) -> None:
    from foreword.report.table import show
    from foreword.study.summary import as_json as document

    if as_json:
        print_json(json.dumps(document(outcome.summary, str(outcome.report)), ensure_ascii=False, allow_nan=False))
        return
    show(outcome.summary)
    typer.echo(f"{outcome.made} trials run, {outcome.found} found finished. Report: {outcome.report}")


def _list(planned: Plan, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from foreword.study.cost import estimate

    rows = [estimate(trial) for trial in planned.trials]
    if as_json:
        print_json(json.dumps({"trials": [row.as_dict() for row in rows]}, ensure_ascii=False))
        return
    table = Table(
        title=f"{planned.task.name} on {planned.backbone.name}: {len(planned.missing)} of {len(rows)} trials to run"
    )
    for head in ("trial", "trained", "steps", "training tokens", "answers", "answer tokens", "TFLOP", "finished"):
        table.add_column(head, justify="left" if head in ("trial", "finished") else "right")
    for row in rows:
        table.add_row(*row.cells())
    Console().print(table)
