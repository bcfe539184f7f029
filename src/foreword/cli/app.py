"""The verbs of the command line, in the order in which a user meets them; it refuses to do a verb's work."""

from __future__ import annotations

import typer

from foreword import __version__
from foreword.cli.adapt import adapt
from foreword.cli.chat import chat
from foreword.cli.compare import compare
from foreword.cli.defaults import Verb
from foreword.cli.demo import demo
from foreword.cli.evaluate import evaluate
from foreword.cli.export import export
from foreword.cli.gate import eval_gate
from foreword.cli.generate import generate
from foreword.cli.imported import import_prompt
from foreword.cli.inspect import inspect
from foreword.cli.models import models
from foreword.cli.monitor import monitor
from foreword.cli.new import new
from foreword.cli.pretrain import pretrain
from foreword.cli.registry import registry
from foreword.cli.report import report
from foreword.cli.score import score
from foreword.cli.serve import keys, serve
from foreword.cli.show import show
from foreword.cli.study import study
from foreword.cli.tasks import tasks
from foreword.cli.tune import tune

app = typer.Typer(
    name="foreword",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"foreword {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Say the version and stop."
    ),
) -> None:
    """Adapt a frozen language model by what is put before its input.

    Start with `foreword demo`, or with your own data:

      foreword compare --model gpt2 --data examples.jsonl --out runs/mine
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), nl=False)


for verb in (
    compare,
    study,
    report,
    tune,
    generate,
    evaluate,
    score,
    show,
    inspect,
    tasks,
    new,
    chat,
    export,
    serve,
    keys,
    monitor,
    eval_gate,
    demo,
    pretrain,
    adapt,
):
    app.command(cls=Verb)(verb)
app.command("import", cls=Verb)(import_prompt)
app.add_typer(models)
app.add_typer(registry)
