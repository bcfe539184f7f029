"""`foreword tasks`: the built-in tasks and whether their data are here; it refuses to download anything."""

from __future__ import annotations

import json

import typer

from foreword.cli import options as o
from foreword.cli.talk import print_json


def tasks(data_dir: o.DataDir = None, as_json: o.Json = False) -> None:
    """List the built-in tasks: what they are, and where their data would come from.

    Example:

      foreword tasks --data-dir data
    """
    from foreword.tasks import about, names

    found = [about(name, data_dir) for name in names()]
    if as_json:
        print_json(
            json.dumps(
                [{"name": one.name, "summary": one.summary, "where": one.where} for one in found], ensure_ascii=False
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in ("task", "what", "data"):
        table.add_column(head, overflow="fold")
    for one in found:
        table.add_row(one.name, one.summary, one.where or "to be downloaded")
    Console().print(table)
    typer.echo("Your own data need no task: --data FILE.")
