"""The page docs/smollm2.md out of finished records; a cell whose trials are not finished says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from foreword.config.run import Run
from foreword.report.similarity import FEWEST_IN_BIN, gains
from foreword.results.record import Record
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import difference_of
from foreword.util import phrases
from foreword.util.files import write_text
from recipes.findings.numbers import of, score
from recipes.smollm2.bench import Bench
from recipes.smollm2.cells import METHODS, SETTINGS, Lay, Setting

PAIRS = (("icl", "icl:random"), ("pt", "icl"), ("ipt", "icl"), ("ipt", "pt"))
CLAIMS = {
    ("icl", "icl:random"): "A retrieved demonstration beats a random one",
    ("pt", "icl"): "Prompt tuning beats in-context learning with a retrieved demonstration",
    ("ipt", "icl"): "Instruction prompt tuning beats it too",
    ("ipt", "pt"): "Instruction prompt tuning beats prompt tuning",
}
PAPER = {
    "icl:random": ("8.3", "0.4", "0.0", "37.6"),
    "icl": ("23.9", "3.9", "18.5", "70.1"),
    "icl:bm25:3": ("29.7", "5.0", "12.7", "71.0"),
    "pt": ("41.2 ± 0.9", "35.5 ± 1.6", "25.2 ± 16.4", "87.6 ± 1.5"),
    "ipt": ("41.4 ± 0.1", "33.2 ± 1.1", "62.6 ± 0.7", "86.4 ± 1.1"),
}
"""BLOOM-1.1B in the main table of Sun et al. 2023: DART BLEU, Spider EM, MTOP EM, Logic2text BLEC."""
COLUMNS = ("DART BLEU", "Spider EM", "MTOP EM", "Logic2text BLEC")
HEAD = """# The papers' order on a real language model

SmolLM2-135M-Instruct (a real model of 134,515,008 weights, `foreword models get smollm2`) on the real task files. Made by
`python -m recipes.smollm2`, which can be broken off and goes on where it was; a cell that says "not run" is not finished yet.
Scores are on a scale of 0 to 100: mean ± standard deviation over seeds (95 % interval over test examples and seeds,
[how](statistics.md)). ToTTo is missing: of its files only 18 rows were at hand; E2E stands beside the paper's other four. Logic2Text's
BLEC needs the logical forms, which were not at hand: it is scored by BLEU, so the paper's column is another measure.
"""


def write(lay: Lay, bench: Bench, path: Path) -> None:
    """The page of every record that is there."""
    cells = {
        setting: _there(bench, [run for cell_setting, run in lay.main() if cell_setting == setting])
        for setting in SETTINGS
    }
    every = [record for records in cells.values() for record in records]
    carried = [(setting, _there(bench, [run])) for setting, run in lay.transfer(every)] if every else []
    parts = [HEAD, _scores(cells), _paper(), _words(cells), _costs(cells), _others(cells), _bins(cells)]
    parts += [_transfer(lay, cells, carried), _how(lay, every)]
    write_text(path, "\n".join(part.strip("\n") + "\n" for part in parts if part))


def _there(bench: Bench, runs: Sequence[Run]) -> list[Record]:
    return [record for run in runs for record in bench.finished(run)]


Cells = dict[Setting, list[Record]]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _scores(cells: Cells) -> str:
    head = ["method", *(f"{setting.task} ({phrases.title(setting.metrics[0])})" for setting in SETTINGS)]
    return "## Scores\n\n" + _grid(head, cells, lambda records: str(score(records)))


def _grid(head: Sequence[str], cells: Cells, cell: Callable[[list[Record]], str]) -> str:
    rows = [
        [
            f"`{label}`",
            *(cell(rows) if (rows := of(cells[setting], label=label)) else "not run" for setting in SETTINGS),
        ]
        for label in METHODS
    ]
    return _table(head, rows)


def _paper() -> str:
    rows = [[f"`{label}`", *values] for label, values in PAPER.items()]
    return "BLOOM-1.1B in Sun et al. 2023 (their main table), for comparison:\n\n" + _table(["method", *COLUMNS], rows)


def _gaps(cells: Cells) -> dict[tuple[str, str], dict[str, AdjustedDifference]]:
    gaps = {}
    for pair in PAIRS:
        both = {setting.task: [of(cells[setting], label=label) for label in pair] for setting in SETTINGS}
        gaps[pair] = adjusted({task: difference_of(*two) for task, two in both.items() if all(two)})
    return gaps


def _words(cells: Cells) -> str:
    gaps = _gaps(cells)
    lines = []
    for pair, tasks in gaps.items():
        above = [task for task, gap in tasks.items() if gap.above]
        below = [task for task, gap in tasks.items() if gap.ci95[1] < 0]
        open_ = [task for task in tasks if task not in above + below]
        parts = [
            f"{name} {len(some)} of {len(tasks)} ({', '.join(some)})"
            for name, some in (("yes on", above), ("no on", below), ("undecided on", open_))
            if some
        ]
        lines.append(f"- {CLAIMS[pair]}: {'; '.join(parts) if parts else 'not run'}.")
    rows = [
        [f"{a} above {b}", *(str(gaps[a, b].get(setting.task, "not run")) for setting in SETTINGS)] for a, b in PAIRS
    ]
    table = _table(["points", *(setting.task for setting in SETTINGS)], rows)
    text = (
        "Decided by the interval of the paired difference; intervals and p are adjusted over the row (Holm), and * marks p < 0.05. On one "
        "seed an interval is over examples alone, and speaks of that prompt."
    )
    return "## What of the paper's order shows\n\n" + "\n".join(lines) + f"\n\n{text}\n\n{table}"


def _costs(cells: Cells) -> str:
    def cost(records: list[Record]) -> str:
        costs = [record.costs for record in records]
        mean = [
            sum(values) / len(costs)
            for values in zip(
                *(
                    (trial_costs.prefix_tokens, trial_costs.train_seconds, trial_costs.seconds_per_answer)
                    for trial_costs in costs
                ),
                strict=True,
            )
        ]
        trained = f", {phrases.duration(mean[1])}" if mean[1] else ""
        return f"{mean[0]:.0f}{trained}, {mean[2]:.2f} s"

    head = ["method", *(setting.task for setting in SETTINGS)]
    text = "Tokens before the input, time of training, seconds an answer (shared machine, so times are upper bounds):"
    return f"## Costs\n\n{text}\n\n" + _grid(head, cells, cost)


def _others(cells: Cells) -> str:
    parts = []
    for setting in SETTINGS:
        rows = []
        for label in METHODS:
            records = of(cells[setting], label=label)
            means = [sum(r.scores[name] for r in records) / len(records) for name in setting.metrics] if records else []
            if means:
                rows.append([f"`{label}`", str(len(records)), *(phrases.score(mean) for mean in means)])
        if rows:
            parts.append(
                f"{setting.task}:\n\n" + _table(["method", "trials", *map(phrases.title, setting.metrics)], rows)
            )
    return "## Each task by its other metrics\n\n" + "\n\n".join(parts) if parts else ""


def _bins(cells: Cells) -> str:
    parts = []
    for setting in SETTINGS:
        task_gains = gains([record for record in cells[setting] if record.label in ("pt", "ipt")])
        if isinstance(task_gains, str):
            parts.append(f"{setting.task}: {task_gains}")
            continue
        gain = task_gains[0]
        rows = [
            [
                f"{part.low:.2f} to {part.high:.2f}",
                str(part.count),
                phrases.points(part.mean or 0.0)
                + (
                    ""
                    if part.lo is None or part.hi is None or part.count < FEWEST_IN_BIN
                    else f" ({phrases.between(part.lo, part.hi)})"
                ),
            ]
            for part in reversed(gain.bins)
        ]
        parts.append(
            f"{setting.task}: {gain.sentence()}\n\n" + _table(["similarity", "examples", "IPT minus PT"], rows)
        )
    text = (
        "IPT's score of an example minus PT's, by the similarity of the demonstration that it was shown (BM25 as a part of what the "
        "question scores with itself). In the paper IPT gains where it is high, and loses where it is low on DART and MTOP."
    )
    return f"## By similarity\n\n{text}\n\n" + "\n\n".join(parts)


def _transfer(lay: Lay, cells: Cells, carried: Sequence[tuple[Setting, list[Record]]]) -> str:
    sources = {r.fingerprints.get("soft_prompt"): r.task for rows in cells.values() for r in of(rows, label="pt")}
    never = {target.task: rows for target, rows in carried[: len(SETTINGS)] if rows}
    pairs = {}
    for target, rows in carried[len(SETTINGS) :]:
        for record in rows:
            pairs[sources.get(record.spec["given"] or "", "?"), target.task] = ([record], target)
    if not pairs:
        return "## Transfer\n\nNot run (`--transfer`)."
    plain = {name: difference_of(ours, of(cells[target], label="icl")) for name, (ours, target) in pairs.items()}
    held = {
        name: difference_of(ours, never[target.task]) for name, (ours, target) in pairs.items() if target.task in never
    }
    text = (
        "A source task's PT prompt (first seed), not trained further, before a retrieved demonstration of the target task: points above "
        "the demonstration alone, and above rows that were never tuned (intervals over examples, of these prompts, adjusted over each "
        "table by Holm). The paper found most pairs above ICL."
    )
    return f"## Transfer\n\n{text}\n\n" + "\n\n".join(
        f"{name}: above on {sum(gap.above for gap in gaps.values())} of {len(gaps)} pairs.\n\n" + _square(gaps)
        for name, gaps in (("Above ICL", adjusted(plain)), ("Above untuned rows", adjusted(held)))
        if gaps
    )


def _square(gaps: dict[tuple[str, str], AdjustedDifference]) -> str:
    tasks = [setting.task for setting in SETTINGS]
    rows = [[source, *(str(gaps.get((source, target), "")) for target in tasks)] for source in tasks]
    return _table(["from, to", *tasks], rows)


def _how(lay: Lay, every: Sequence[Record]) -> str:
    if not every:
        return "## How\n\nNothing is finished yet."
    record = every[0]
    examples = (
        f"{lay.test} test examples a task, drawn by a fixed seed; the demonstrations come from the whole training split"
    )
    tuned = f"P = {lay.length}, {lay.steps} steps of {lay.batch}, the checkpoint with the least loss on 64 dev examples"
    settings = f"{lay.dtype}, chat template of the model, seeds {', '.join(map(str, lay.seeds))}"
    versions = ", ".join(f"{name} {value}" for name, value in sorted(record.versions.items()))
    return f"## How\n\n{examples}; {tuned}; {settings}. {len(every)} trials finished. {record.hardware}; {versions}."
