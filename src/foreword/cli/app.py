"""The verbs of the command line, in the order in which a user meets them; it refuses to do a verb's work."""

from __future__ import annotations

import typer

from foreword import __version__
from foreword.cli.compare import compare
from foreword.cli.demo import demo
from foreword.cli.evaluate import evaluate
from foreword.cli.generate import generate
from foreword.cli.show import show
from foreword.cli.tasks import tasks
from foreword.cli.tune import tune

app = typer.Typer(
    name="foreword",
    help="Adapt a frozen language model by what is put before its input.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foreword {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Say the version and stop."
    ),
) -> None:
    """Adapt a frozen language model by what is put before its input."""


for verb in (compare, tune, generate, evaluate, show, tasks, demo):
    app.command()(verb)
