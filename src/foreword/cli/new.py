"""`foreword new`: a stub of your own metric, task, method, retriever or init strategy, with the test of its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import print_json, say

USE = {
    "metric": "--metrics {name}",
    "task": "--task {name}",
    "method": "--methods {name}",
    "retriever": "--retriever {name}",
    "init": "--init {name}",
}


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="metric, task, method, retriever or init.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, as it is written in a command.")],
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="The folder to write, which must be new or empty.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Write a stub of your own metric, task, method, retriever or init strategy: a package with a test that passes as it stands.

    Examples:

      foreword new metric word-overlap

      foreword new task my-task --out plugins/my-task
    """
    from foreword.plugins.stubs import write_stub

    folder = Path(out or name)
    file = write_stub(kind, name, folder)
    if as_json:
        print_json({"file": str(file), "folder": str(folder)})
        return
    say(f"{file} is the {kind}, and its test passes: python -m pytest {folder}")
    here = f", or at once as --metrics {file}:score" if kind == "metric" else ""
    say(f"Once it is installed (pip install -e {folder}), every run has it: {USE[kind].format(name=name)}{here}.")
