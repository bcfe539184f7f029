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

        here = chosen if name else [task for task in chosen if about(task, data_dir).ready]
        typer.echo(visible(page(here, data_dir)), nl=False)
        return
    abouts = [about(task, data_dir) for task in chosen]
    if as_json:
        print_json([_entry(task) for task in abouts])
        return
    _list(abouts)
    say("Your own data need no task: --data FILE. Verify what is here: foreword tasks --check.")


def _entry(task: About) -> dict[str, object]:
    splits = [
        {"split": k.split, "official": k.official, "unit": k.unit, "file": k.file, "kind": k.kind, "size": k.size}
        for k in task.splits
    ]
    plain = {
        "name": task.name,
        "summary": task.summary,
        "where": task.where,
        "ready": task.ready,
        "licence": task.licence,
    }
    return plain | {"metrics": list(task.metrics), "splits": splits, "download": task.get}


def _list(abouts: list[About]) -> None:
    """A few lines a task: what it is, sizes and metrics, what is here."""
    for task in abouts:
        say(f"{task.name}: {task.summary}", style="bold")
        say(f"    {'; '.join([*_sizes(task), 'metrics ' + ', '.join(task.metrics)])}")
        say(f"    here: {_here(task)}", style="dim")


def _sizes(task: About) -> list[str]:
    """The official sizes of its splits, where they are known; the unit once where all have the same."""
    known = [k for k in task.splits if k.official]
    if len({k.unit for k in known}) == 1:
        return [f"{', '.join(f'{k.split} {k.official:,}' for k in known)} {known[0].unit}"]
    return [", ".join(f"{k.split} {k.official:,} {k.unit}" for k in known)] if known else []


def _here(task: About) -> str:
    """In a few words, what of a task's source is here."""
    if task.where == "made here":
        return "made here"
    if task.where in ("", "hub"):
        return "from the hub" if task.where else "to be downloaded"
    parts = []
    for k in task.splits:
        if k.needed:
            part = f"{k.size:,} ({k.kind})" if k.kind != "official" else "official"
            parts.append(f"{k.split} {part if k.file else 'missing'}")
    return ", ".join(parts)


def _check(chosen: list[str], data_dir: str | None, as_json: bool) -> None:
    from foreword.tasks import check

    bars, reports = Bars(), []
    with bars.shown():
        for done, task in enumerate(chosen):
            bars("tasks", done, len(chosen), task)
            reports.append(check(task, data_dir))
        bars("tasks", len(chosen), len(chosen))
    wrong = [report.name for report in reports if report.wrong]
    if as_json:
        print_json({"right": not wrong, "tasks": [report.as_dict() for report in reports]})
    else:
        for report in reports:
            _print(report)
        here = sum(bool(report.splits) for report in reports)
        say(f"{here} of {len(reports)} tasks can be read here; {', '.join(wrong) or 'none'} of them wrong.")
    if wrong:
        raise typer.Exit(2)


def _print(report: Checked) -> None:
    """One task: its files with counts and digests, its splits, its leaks."""
    say(f"{report.name}: {'WRONG. ' if report.wrong else ''}{report.word}")
    for file in report.files:
        counts = file.counts or file.expected
        count_text = ", ".join(f"{count:,} {unit}" for unit, count in counts.items())
        word = "ok" if file.word == "right" else file.word
        kind = "" if file.kind == "official" else f" ({file.kind})"
        say(f"  file   {file.name}{kind}: {count_text}; {file.digest or 'no digest'}; {word}")
    if report.others:
        more = "" if len(report.others) <= 4 else ", ..."
        say(f"  file   {len(report.others)} not on record: {', '.join(report.others[:4])}{more}")
    for split in report.splits:
        sizes = f"{split.examples:,} examples, {split.references:,} references; {split.digest}"
        leak = f"; in train too: {split.exact:,} exactly, {split.alike:,} but for case and marks, {split.near:,} nearly"
        say(f"  {split.split:<6} {sizes}{'' if split.split == 'train' else leak}")
        for how, scored, train in split.pairs:
            say(f"         {how}: {scored} and {train}")
