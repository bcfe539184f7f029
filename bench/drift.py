"""False alarms and power of `foreword monitor` by simulation: requests drawn from texts of a shipped task, with their vectors, lengths and
the log-probabilities of their answers; it refuses to test anything but what the command tests."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _run
import numpy as np
import torch

from foreword.data.examples import Example
from foreword.engine import Backbone, load_backbone
from foreword.monitor import Observation, Rule, Sketch, reference_of, window_of, windows_of
from foreword.monitor.profile import MOST
from foreword.prompts.layout import Layout
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.results.stats.resampling import generator
from foreword.tasks import load_task

MODEL = "reference-small"
COLUMNS = {
    "simulation": "simulation",
    "task": "task",
    "other": "other",
    "share": "share of other",
    "runs": "runs",
    "windows": "windows",
    "alarms": "alarms %",
    "median": "requests, median",
    "most": "requests, 95 %",
    "told": "told within 200 %",
}
NOTES = {
    "alarms": "runs in which any window alarmed, of every run of as many windows as the horizon has (at most 5 is promised)",
    "median": "requests from the shift's beginning until the end of the window that alarmed; the shift begins anywhere in a window",
    "share": "of requests after the shift that are of the other task",
}
BEGIN, END = "<!-- drift -->", "<!-- /drift -->"
SHARES = {0.5: "half"}
PROMISED = 200  # requests within which a shift at half the traffic is to be reported


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    flags = _run.parser(__doc__ or "", repeats=1)
    flags.add_argument("--runs", type=int, default=1000, help="simulations without a shift (1000)")
    flags.add_argument("--shifted-runs", type=int, default=200, help="simulations with a shift, each (200)")
    flags.add_argument("--tasks", nargs="+", default=["mini-mtop"], help="what requests are of")
    flags.add_argument("--others", nargs="+", default=["mini-dart", "mini-qqp"], help="what they shift to")
    flags.add_argument(
        "--shares", nargs="+", type=float, default=[0.5], help="of the other task's inputs after the shift"
    )
    flags.add_argument("--examples", type=int, default=1000, help="texts of each task at most (1000)")
    flags.add_argument("--page", default="", help="also write the table into this page, such as docs/monitor.md")
    return _run.parsed(flags, argv)


def observed(backbone: Backbone, sketch: Sketch, task: str, most: int) -> list[Observation]:
    """What the log would hold of a task's inputs. The log-probability is that of the right answer, as the model alone has it."""
    loaded = load_task(task)
    examples: list[Example] = [*loaded.train, *loaded.dev, *loaded.test][:most]
    row = parse("zero", shots=0, retriever="bm25", retrievers=list(RETRIEVERS))
    layout = Layout(backbone, loaded.template, row, soft=0, reserve=0)
    rows = [layout.training_row(example) for example in examples]
    logprobs: list[float] = []
    with torch.no_grad():
        for start in range(0, len(rows), 100):
            part = rows[start : start + 100]
            logprobs += backbone.score([None] * len(part), part)
    return [
        Observation(
            f"{task}-{place}",
            characters=float(len(example.text)),
            vector=sketch.vector(example.text),
            vectors=sketch.kind,
            logprob=logprob / len(row.answer),
            answer_tokens=float(len(row.answer)),
            finish_reason="stop",
        )
        for place, (example, row, logprob) in enumerate(zip(examples, rows, logprobs, strict=True))
    ]


def drawn(pool: Sequence[Observation], count: int, rng: np.random.Generator) -> list[Observation]:
    """So many, each from the whole pool."""
    return [pool[place] for place in rng.integers(0, len(pool), size=count)]


def without_shift(pool: Sequence[Observation], runs: int, seed: int) -> dict[str, Any]:
    """Runs of as many windows as the horizon has, reference and requests from one pool: how many alarm."""
    rule, alarms = Rule(), 0
    for run in range(runs):
        rng = generator(seed, f"without a shift {run}")
        reference = reference_of(drawn(pool, MOST, rng))
        alarms += any(
            window.alarm for window in windows_of(drawn(pool, rule.size * rule.horizon, rng), reference, rule)
        )
    return {"runs": runs, "windows": rule.horizon, "alarms": 100.0 * alarms / runs}


def with_shift(
    pool: Sequence[Observation], other: Sequence[Observation], share: float, runs: int, seed: int
) -> dict[str, Any]:
    """Runs in which a share of the requests are of another task from some place in the second window on: after how many it is reported."""
    rule, waits = Rule(), []
    for run in range(runs):
        rng = generator(seed, f"with a shift {run}")
        reference = reference_of(drawn(pool, MOST, rng))
        begins = rule.size + int(rng.integers(0, rule.size))
        after = rule.size * 6 - begins
        moved = rng.random(after) < share
        shifted = [
            new if is_new else old
            for new, old, is_new in zip(drawn(other, after, rng), drawn(pool, after, rng), moved, strict=True)
        ]
        stream = [*drawn(pool, begins, rng), *shifted]
        waits.append(float("inf"))
        for number in range(
            begins // rule.size, len(stream) // rule.size
        ):  # windows that hold a request from after the shift
            first = number * rule.size
            window = window_of(stream[first : first + rule.size], reference, rule, number)
            if window.alarm:
                waits[-1] = float(window.last + 1 - begins)
                break
    finite = [min(wait, 1e9) for wait in waits]
    return {
        "share": share,
        "runs": runs,
        "windows": 6,
        "alarms": 100.0 * sum(wait < 1e9 for wait in finite) / runs,
        "median": statistics.median(finite),
        "most": float(np.quantile(finite, 0.95, method="higher")),
        "told": 100.0 * sum(wait <= PROMISED for wait in finite) / runs,
    }


def page_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as docs/monitor.md has them."""
    lines = [
        "| requests | shift to | runs | runs that alarm | requests until told, median | 95 % |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        alarms = f"{row['runs']:,} | {row['alarms']:.1f} %"
        if row["simulation"] == "no shift":
            lines.append(f"| {row['task']} | none | {alarms} | | |")
        else:
            waits = f"{row['median']:.0f} | {row['most']:.0f}"
            lines.append(
                f"| {row['task']} | {SHARES.get(row['share'], row['share'])} {row['other']} | {alarms} | {waits} |"
            )
    return "\n".join(lines)


def write_page(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Put the table between the marks of a page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{page_table(rows)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = arguments(argv)
    backbone = load_backbone(MODEL)
    sketch = Sketch(backbone)
    pools = {
        task: observed(backbone, sketch, task, args.examples) for task in dict.fromkeys([*args.tasks, *args.others])
    }
    rows: list[dict[str, Any]] = []
    for task in args.tasks:
        calm = without_shift(pools[task], args.runs, args.seed)
        rows.append({"simulation": "no shift", "task": task, "other": "", **calm})
        for other in args.others:
            for share in args.shares:
                shifted = with_shift(pools[task], pools[other], share, args.shifted_runs, args.seed)
                rows.append({"simulation": "shift", "task": task, "other": other, **shifted})
    if args.page:
        write_page(Path(args.page), rows)
    _run.finish(args, "drift", rows, COLUMNS, notes=NOTES)


if __name__ == "__main__":
    main()
