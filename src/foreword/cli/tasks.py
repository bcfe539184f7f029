"""`foreword tasks`: the built-in tasks, what of them is here and whether it is right; it refuses to download anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say

if TYPE_CHECKING:
    from foreword.tasks import About, Checked


@o.takes(("data_dir",))
def tasks(
    name: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="One built-in task (all of them, if not given).")
    ] = None,
    data_dir: str | None = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Count and digest the files that are here, read the task, search for leaks; exit code 2 if wrong.",
        ),
    ] = False,
    examples: Annotated[
        bool, typer.Option("--examples", help="Print each task with three worded examples, as Markdown.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """List the built-in tasks: splits, sizes, licence, metrics, and what of them is here.

    Examples:

      foreword tasks --data-dir data

      foreword tasks dart --check --data-dir data
    """
    from foreword.tasks import about, module, names
    from foreword.util.errors import ForewordError, visible

    chosen = names() if name is None else [module(name).NAME]
    if check and examples:
        raise ForewordError("Both --check and --examples were asked for; ask for one of them.")
    if check:
        _check(chosen, data_dir, as_json)
        return
    if examples:
        from foreword.tasks._page import page

        here = chosen if name else [one for one in chosen if about(one, data_dir).ready]
        typer.echo(visible(page(here, data_dir)), nl=False)
        return
    found = [about(one, data_dir) for one in chosen]
    if as_json:
        print_json([_entry(one) for one in found])
        return
    _list(found)
    say("Your own data need no task: --data FILE. Verify what is here: foreword tasks --check.")


def _entry(one: About) -> dict[str, object]:
    splits = [
        {"split": k.split, "official": k.official, "unit": k.unit, "file": k.file, "kind": k.kind, "size": k.size}
        for k in one.splits
    ]
    plain = {"name": one.name, "summary": one.summary, "where": one.where, "ready": one.ready, "licence": one.licence}
    return plain | {"metrics": list(one.metrics), "splits": splits, "download": one.get}


def _list(found: list[About]) -> None:
    """A few lines a task: what it is, sizes and metrics, what is here."""
    for one in found:
        say(f"{one.name}: {one.summary}", style="bold")
        say(f"    {'; '.join([*_sizes(one), 'metrics ' + ', '.join(one.metrics)])}")
        say(f"    here: {_here(one)}", style="dim")


def _sizes(one: About) -> list[str]:
    """The official sizes of its splits, where they are known; the unit once where all have the same."""
    known = [k for k in one.splits if k.official]
    if len({k.unit for k in known}) == 1:
        return [f"{', '.join(f'{k.split} {k.official:,}' for k in known)} {known[0].unit}"]
    return [", ".join(f"{k.split} {k.official:,} {k.unit}" for k in known)] if known else []


def _here(one: About) -> str:
    """In a few words, what of a task's source is here."""
    if one.where == "made here":
        return "made here"
    if one.where in ("", "hub"):
        return "from the hub" if one.where else "to be downloaded"
    told = []
    for k in one.splits:
        if k.needed:
            part = f"{k.size:,} ({k.kind})" if k.kind != "official" else "official"
            told.append(f"{k.split} {part if k.file else 'missing'}")
    return ", ".join(told)


def _check(chosen: list[str], data_dir: str | None, as_json: bool) -> None:
    from foreword.tasks import check

    bars, reports = Bars(), []
    with bars.shown():
        for done, one in enumerate(chosen):
            bars("tasks", done, len(chosen), one)
            reports.append(check(one, data_dir))
        bars("tasks", len(chosen), len(chosen))
    wrong = [one.name for one in reports if one.wrong]
    if as_json:
        print_json({"right": not wrong, "tasks": [one.as_dict() for one in reports]})
    else:
        for report in reports:
            _print(report)
        here = sum(bool(one.splits) for one in reports)
        say(f"{here} of {len(reports)} tasks can be read here; {', '.join(wrong) or 'none'} of them wrong.")
    if wrong:
        raise typer.Exit(2)


def _print(report: Checked) -> None:
    """One task: its files with counts and digests, its splits, its leaks."""
    say(f"{report.name}: {'WRONG. ' if report.wrong else ''}{report.word}")
    for file in report.files:
        counts = file.counts or file.expected
        told = ", ".join(f"{count:,} {unit}" for unit, count in counts.items())
        word = "ok" if file.word == "right" else file.word
        kind = "" if file.kind == "official" else f" ({file.kind})"
        say(f"  file   {file.name}{kind}: {told}; {file.digest or 'no digest'}; {word}")
    if report.others:
        more = "" if len(report.others) <= 4 else ", ..."
        say(f"  file   {len(report.others)} not on record: {', '.join(report.others[:4])}{more}")
    for split in report.splits:
        told = f"{split.examples:,} examples, {split.references:,} references; {split.digest}"
        leak = f"; in train too: {split.exact:,} exactly, {split.alike:,} but for case and marks, {split.near:,} nearly"
        say(f"  {split.split:<6} {told}{'' if split.split == 'train' else leak}")
        for how, scored, train in split.pairs:
            say(f"         {how}: {scored} and {train}")
