"""`foreword study`: an experiment of the papers, or one's own grid, on any backbone; it refuses to run a finished cell again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.compare import FAILED
from foreword.cli.talk import Bars, print_json, print_table, say
from foreword.util.text import comma_list

if TYPE_CHECKING:
    from foreword.study.executors import Job
    from foreword.study.grid import Overrides, Study
    from foreword.study.stored import StoredStudy

ALL, SHOW = "all", "show"

Listing = Annotated[bool, typer.Option("--list", help="List the studies.", rich_help_panel=o.RUN)]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        help="smoke (reference models, offline, minutes), small (SmolLM2, real data) or full (the paper's).",
        rich_help_panel=o.WHAT,
    ),
]
Models = Annotated[
    str | None, typer.Option("--models", help="Comma list, in the place of the scale's models.", rich_help_panel=o.WHAT)
]
Tasks = Annotated[
    str | None, typer.Option("--tasks", help="Comma list: some of the study's tasks.", rich_help_panel=o.WHAT)
]
Only = Annotated[
    str | None, typer.Option("--only", help="Comma list of questions to be answered.", rich_help_panel=o.RUN)
]
Executor = Annotated[str | None, typer.Option("--executor", help="inline, processes or ray.", rich_help_panel=o.RUN)]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Workers of processes and ray.", rich_help_panel=o.RUN)]
Address = Annotated[
    str | None, typer.Option("--address", help="Of a Ray cluster, such as auto.", rich_help_panel=o.RUN)
]
Gpus = Annotated[
    float | None, typer.Option("--gpus", min=0, help="Of each worker on a Ray cluster.", rich_help_panel=o.RUN)
]
Retry = Annotated[
    bool, typer.Option("--retry-failed", help="Run the cells that failed before again.", rich_help_panel=o.RUN)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Cells, tokens, time and memory; run nothing that is kept.", rich_help_panel=o.RUN),
]


@o.takes(
    {"scale": Scale, "model": None, "models": Models, "tasks": Tasks, "seeds": None, "limit": None},
    {"data_dir": None, "only": Only, "out": None, "executor": Executor, "jobs": Jobs, "address": Address},
    {"gpus": Gpus, "dtype": None, "device": None},
)
def study(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Studies, TOML files, `all`; or `show OUT...` for what is there already."
        ),
    ] = None,
    listing: Listing = False,
    retry_failed: Retry = False,
    dry_run: DryRun = False,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Run an experiment of the papers on any model, or show how far it is.

    A second run does only what is missing; a cell that fails leaves the others (exit code 3).

    Examples:

      foreword study --list

      foreword study sun2023-main --scale smoke --dry-run

      foreword study sun2023-main --model gpt2 --limit 100 --out runs/gpt2

      foreword study show runs/gpt2
    """
    only = comma_list(flags["only"] or "")
    if listing or not names:
        _list(as_json)
        return
    if names[0] == SHOW:
        _refuse_for_a_run(flags, {"--retry-failed": retry_failed, "--dry-run": dry_run}, names)
        _show_all(names[1:] or [flags["out"] or "runs/study-smoke"], only, as_json)
        return
    _refuse_unused(flags)
    scale = flags["scale"] or "smoke"
    job = _job(flags, scale)
    failed = False
    for laid in _laid(names, scale, _overrides(flags), only):
        if dry_run:
            _price(laid, job, as_json)
        else:
            failed |= _run(laid, job, flags["executor"] or "inline", retry_failed)
            _show(job.out, laid.preset.name, only, as_json)
    if not dry_run:
        _page(job.out, as_json)
    if failed:
        raise typer.Exit(FAILED)


def _refuse_for_a_run(flags: dict[str, Any], switches: dict[str, bool], names: list[str]) -> None:
    """Raises ForewordError for what is said of a run where a study is only shown."""
    from foreword.util.errors import ForewordError

    options = [name for name, on in switches.items() if on]
    options += [
        f"--{name.replace('_', '-')}"
        for name, value in flags.items()
        if value is not None and name not in ("only", *(() if names[1:] else ("out",)))
    ]
    if options:
        raise ForewordError(
            f"`study show` shows what is there, and {options[0]} is for a run; leave it out, or give `foreword study NAME {options[0]}` "
            "with the study's --out."
        )


def _refuse_unused(flags: dict[str, Any]) -> None:
    """Raises ForewordError for an option that another one makes say nothing."""
    from foreword.util.errors import ForewordError

    if flags["model"] and flags["models"]:
        raise ForewordError("Both --model and --models are given; keep the one you mean.")
    executor = flags["executor"] or "inline"
    for name, users in (("jobs", ("processes", "ray")), ("address", ("ray",)), ("gpus", ("ray",))):
        if flags[name] is not None and executor in {"inline", "processes"} - {*users}:
            raise ForewordError(
                f"--{name} {flags[name]} is for the {'executors' if len(users) > 1 else 'executor'} {' and '.join(users)}, and the study "
                f"is run by {executor}; give --executor {users[0]}, or leave --{name} out."
            )


def _overrides(flags: dict[str, Any]) -> Overrides:
    from foreword.study.grid import Overrides
    from foreword.util.errors import ForewordError

    seeds = comma_list(flags["seeds"] or "")
    wrong = [seed for seed in seeds if not seed.isdecimal()]
    if wrong:
        raise ForewordError(f"--seeds holds '{wrong[0]}', but must be whole numbers with commas, such as 0,1,2.")
    models = [flags["model"]] if flags["model"] else comma_list(flags["models"] or "")
    run = {name: flags[name] for name in ("limit", "data_dir", "dtype") if flags[name] is not None}
    return Overrides(tuple(models), tuple(map(int, seeds)), tuple(comma_list(flags["tasks"] or "")), run)


def _job(flags: dict[str, Any], scale: str) -> Job:
    from foreword.study.executors import Job

    return Job(
        out=Path(flags["out"] or f"runs/study-{scale}"),
        study="",
        device=flags["device"] or "",
        workers=flags["jobs"] or 0,
        address=flags["address"] or "",
        gpus=flags["gpus"] or 0.0,
    )


def _laid(names: list[str], scale: str, overrides: Overrides, only: list[str]) -> list[Study]:
    """All studies, laid out before the first runs, so that what is refused is refused at once. `all`: those that have the scale; those
    that cannot be made of the models and tasks asked for are left out and named."""
    from foreword.study import preset as presets
    from foreword.study.grid import lay_out
    from foreword.study.questions import known_questions
    from foreword.util.errors import ForewordError

    if ALL in names and names != [ALL]:
        raise ForewordError(
            f"`{ALL}` is every study, and {', '.join(n for n in names if n != ALL)} is named beside it; give one of both."
        )
    every = names == [ALL]
    chosen = [known_questions(presets.preset(name)) for name in (presets.names() if every else names)]
    if every:
        chosen = [preset for preset in chosen if scale in preset.scales]
    if not every or not (overrides.models or overrides.tasks):
        return [lay_out(preset, scale, overrides, only) for preset in chosen]
    studies: list[Study] = []
    for preset in chosen:
        try:
            studies.append(lay_out(preset, scale, overrides, only))
        except ForewordError as error:
            print(f"{preset.name} is left out: {error}", file=sys.stderr)
    if not studies:
        raise ForewordError("No study can be made of these models and tasks at this scale; name other ones.")
    return studies


def _list(as_json: bool) -> None:
    from foreword.study import preset as presets

    chosen = [presets.preset(name) for name in presets.names()]
    if as_json:
        print_json(
            [{"name": p.name, "answers": p.answers, "scales": p.scales, "questions": p.questions} for p in chosen]
        )
        return
    rows = [[preset.name, preset.answers, " ".join(preset.scales)] for preset in chosen]
    print_table("", ("study", "answers", "scales"), rows, left=["study", "answers", "scales"])
    say("foreword study NAME --scale smoke runs one; foreword study all --scale smoke runs all of them.")


def _run(laid: Study, job: Job, executor: str, retry_failed: bool) -> bool:
    """Run a study; whether a cell of it failed."""
    from dataclasses import replace
    from functools import partial

    from foreword.study.executors.inline import inline
    from foreword.study.running import carry_out

    bars = Bars()
    command = shlex.join(["foreword", *sys.argv[1:]])
    bars.say(f"{laid.preset.name}: {len(laid.cells)} cells, {laid.preset.at(laid.scale).about}")
    with bars.shown():
        tally = carry_out(
            laid,
            replace(job, study=laid.preset.name),
            executor=executor,
            command=command,
            retry_failed=retry_failed,
            say=bars.say,
            run=partial(inline, progress=bars) if executor == "inline" else None,
        )
    return tally.failed > 0


def _show_all(outs: list[str], only: list[str], as_json: bool) -> None:
    from foreword.study import stored
    from foreword.util.errors import unknown

    there = [(Path(out), name) for out in outs for name in stored.names(Path(out))]
    questions = {question for out, name in there for question in stored.read_specs(out, name)[0]["preset"]["questions"]}
    for question in only:
        if question not in questions:
            raise unknown(f"question of the studies in {', '.join(outs)}", question, questions)
    for out, name in there:
        _show(out, name, only, as_json)


def _show(out: Path, name: str, only: list[str], as_json: bool) -> None:
    from foreword.study import stored
    from foreword.study.questions import answers
    from foreword.study.text import grids

    there = stored.read(out, name)
    counts = there.counts()
    if as_json:
        print_json(stored.as_json(there))
        return
    say(
        f"{there.preset.title}, {there.scale}: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n),
        style="bold",
    )
    for answered in answers(there.cells, there.preset, out, only).values():
        for grid in grids(answered):
            print_table(grid.caption, grid.columns, grid.rows, left=grid.columns[: grid.left])
    _failures(there)


def _failures(there: StoredStudy) -> None:
    from foreword.study.running import title

    failed = [cell for cell in there.cells if cell.state == "failed"]
    for cell in failed[:10]:
        say(f"failed: {title(cell)}: {cell.cause}")
    if failed:
        say(f"{len(failed)} failed; --retry-failed runs them again.")


def _page(out: Path, as_json: bool) -> None:
    from foreword.study.page import write

    page = write(out)
    if not as_json:
        say(f"report: {page}")


def _price(laid: Study, job: Job, as_json: bool) -> None:
    from foreword.study.price import HEADS, price

    with Bars().waiting("counting"):
        priced = price(laid, job.out, job.device)
    if as_json:
        print_json(priced.as_dict())
        return
    print_table(f"{laid.preset.name} at the scale {laid.scale}", HEADS, priced.cells(), left=HEADS[:1])
    for line in priced.sentences():
        say(line)
