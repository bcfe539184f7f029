"""`foreword tune`: fit one soft prompt and keep it as a PEFT folder; it refuses to overwrite a prompt of other making."""

from __future__ import annotations

from typing import Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say


def tune(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings as in the TOML file, such as tuning.schedule=cosine."),
    ] = None,
    model: o.Model = None,
    task: o.TaskName = None,
    data: o.Data = None,
    dev: o.Dev = None,
    data_dir: o.DataDir = None,
    method: Annotated[
        str, typer.Option("--method", help="pt, ipt, ipt-fixed; also ipt:random, ipt:bm25:2.", rich_help_panel=o.HOW)
    ] = "pt",
    shots: o.Shots = None,
    retriever: o.Retriever = None,
    encoder: o.Encoder = None,
    metrics: o.MetricNames = None,
    seed: o.Seed = None,
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
    question: o.Question = None,
    answer: o.AnswerWords = None,
    separator: o.Separator = None,
    stop: o.Stop = None,
    config: o.Config = None,
    as_json: o.Json = False,
) -> None:
    """Fit one soft prompt in front of a frozen model; the folder opens in foreword and in PEFT.

    Examples:

      foreword tune --model gpt2 --data train.jsonl --out prompts/mine

      foreword tune --model reference --task mini-dart --method ipt --out dart-ipt
    """
    flags = {name: value for name, value in locals().items() if name not in ("overrides", "config", "as_json")}
    from foreword.cli.run import run_of
    from foreword.study.asked import checked

    run = checked(run_of(flags, config=config, overrides=overrides or [], seeds=[0], out="prompt"))
    bars = Bars()
    with bars.shown():
        from foreword.study.single import tune_one

        made = tune_one(run, progress=bars)
    if as_json:
        print_json(made.as_dict())
        return
    say(made.sentence())
    for note in made.notes:
        say(f"Note: {note}", style="dim")
