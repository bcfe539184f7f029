"""`foreword report`: the studies of several folders as a static site; it refuses to run anything that is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="Folders that `foreword study --out` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the site.")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="The folder that other runs of the same study are held against.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Make a static site of studies: an index, a page each, every figure as SVG and PNG, a summary in Markdown.

    Examples:

      foreword report runs/sun2023 --out site

      foreword report runs/a runs/b --baseline runs/a --out site
    """
    from foreword.report.study import write_site
    from foreword.study.page import pages

    bars = Bars()
    with bars.shown(), bars.waiting("reading the studies"):
        studies = {str(run): pages(run) for run in dict.fromkeys(runs)}
        write_site(out, studies, baseline=str(Path(baseline)) if baseline else "")
    count = sum(map(len, studies.values()))
    if as_json:
        print_json({"out": str(out), "index": str(out / "index.html"), "studies": count})
        return
    say(f"{count} {'study' if count == 1 else 'studies'} in {out / 'index.html'}")
