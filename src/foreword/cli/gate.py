"""`foreword eval-gate`: a new version against the one in production, on a test file; it refuses to promote what is not shown to be as
good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.serve import loaded
from foreword.cli.talk import Bars, print_json, say

if TYPE_CHECKING:
    from foreword.serve.gate import Gate

STAYS = 3  # the exit code where the alias does not move
MODEL = ("model", *o.LOADED)


@o.takes(MODEL, ("max_new_tokens", "cluster_column"), o.COLUMNS)
def eval_gate(
    candidate: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The new version of a prompt.")],
    test: Annotated[Path, typer.Option("--test", help="A file of test examples.")],
    store: Annotated[Path, typer.Option("--store", "-s", envvar="FOREWORD_STORE", help="The store.")],
    alias: Annotated[str, typer.Option("--alias", "-a", help="The alias that is to move.")] = "production",
    margin: Annotated[
        float, typer.Option("--margin", help="Points of the metric by which the new version may be worse.")
    ] = 1.0,
    alpha: Annotated[
        float, typer.Option("--alpha", help="The probability at most of promoting one that is worse by the margin.")
    ] = 0.025,
    metric: Annotated[str | None, typer.Option("--metric", help="By which is decided.")] = None,
    max_new_tokens: int | None = None,
    cluster_column: str | None = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and change nothing.")] = False,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Move an alias to a new version only where it is shown not to be worse than the one in production. Exit code 3: it stays.

    Example:

      foreword eval-gate dart@2 --test test.jsonl --store store --margin 1
    """
    from foreword.metrics import read_named
    from foreword.serve.gate import Gate, decide

    read_named([metric] if metric else [])
    gate = Gate(
        *(store, candidate, test, alias, metric or "", margin, alpha, max_new_tokens),
        dry_run=dry_run,
        cluster_column=cluster_column or "",
        columns=o.columns(flags),
    )
    backbone = loaded(_model(gate, flags))
    bars = Bars()
    with bars.shown():
        decision = decide(gate, backbone, progress=bars)
    if as_json:
        print_json(decision.as_dict())
    else:
        say(decision.sentence())
    if not decision.promoted:
        raise typer.Exit(STAYS)


def _model(gate: Gate, flags: dict[str, Any]) -> dict[str, Any]:
    """The settings of the model: what is given, else what the prompts were tuned on."""
    from foreword.registry import Registry
    from foreword.serve.gate import sides
    from foreword.study.base import base_of

    settings = o.settings({name: flags[name] for name in MODEL})
    name, *both = sides(gate)
    if settings.get("model"):
        return settings
    registry = Registry(gate.store)
    tuned = [str(registry.place(name, version)) for version, stored in both if stored.prompt is not None]
    if not tuned:
        return settings
    base = base_of(tuned)
    return settings | {"model": base.model} | ({"revision": base.revision} if base.revision else {})
