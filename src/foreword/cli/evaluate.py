"""`foreword evaluate`: score a given soft prompt, or words only, on a test split; it refuses a prompt of another backbone."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json


def evaluate(
    model: o.Model = None,
    task: o.TaskName = None,
    data: o.Data = None,
    dev: o.Dev = None,
    test: o.Test = None,
    data_dir: o.DataDir = None,
    prompt: o.PromptFolder = None,
    method: o.MethodName = None,
    shots: o.Shots = None,
    retriever: o.Retriever = None,
    encoder: o.Encoder = None,
    metrics: o.MetricNames = None,
    seed: o.Seed = None,
    out: o.Out = None,
    limit: o.Limit = None,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")
    ] = False,
) -> None:
    """Score a prompt on a test split: every metric of the task, with 95% intervals over the examples.

    Examples:

      foreword evaluate --model gpt2 --prompt prompts/mine --data test.jsonl

      foreword evaluate --model reference --task mini-dart --method icl:bm25:3
    """
    flags = {name: value for name, value in locals().items() if name not in ("prompt", "config", "as_json", "method")}
    from foreword.cli.run import run_of
    from foreword.study.single import score, scored

    bars = Bars()
    with bars.shown():
        run = run_of(flags, config=config, seeds=[0])
        planned, record = score(run, prompt or "", method, progress=bars)
        found = scored(record)
    if as_json:
        where = str(planned.trials[0].path)
        print_json(json.dumps(found | {"record": where}, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{record.label} on {record.task} ({record.backbone}), {len(record.answers)} examples")
    for head in ("metric", "score", "95% interval"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for name, one in found["metrics"].items():
        interval = one["ci95"]
        table.add_row(
            name, f"{one['score']:.2f}", "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
        )
    Console().print(table)
    for note in planned.task.notes:
        typer.echo(f"Note: {note}")
