"""The table in the terminal: one line per method, with the recommendation under it; numbers are never cut."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from foreword.results.rows import MethodRow, Summary
from foreword.util import phrases
from foreword.util.errors import visible

PLAIN = {"±": "+-", "–": "-", "µ": "u"}


def show(summary: Summary, console: Console | None = None) -> None:
    """Print the table, the reason and the notes; plain ASCII where the console cannot write more."""
    console = console or Console()
    console.print(render(summary, ascii_only=not console.encoding.lower().startswith("utf")))


def render(summary: Summary, *, ascii_only: bool = False) -> RenderableType:
    """The table, the reason and the notes as one thing that rich can print; readable from 80 columns on."""
    examples = phrases.plural(summary.examples, "example")
    if summary.sizes:
        examples = phrases.split_sizes(summary.sizes, summary.folds, summary.examples)
    head = Text(_printable(f"{summary.task} on {summary.backbone}, {examples}", ascii_only), style="bold")
    parts: list[RenderableType] = [head, _table(summary, ascii_only)]
    if summary.baselines:
        blind = "; ".join(f"{baseline.name} {phrases.score(baseline.score)}" for baseline in summary.baselines)
        parts.append(Padding(Text(_printable(f"Without a model: {blind}.", ascii_only)), (0, 1, 1, 1)))
    if summary.subsets:
        parts.append(_subsets(summary, ascii_only))
    if summary.labels:
        parts.append(_classes(summary))
    parts.append(Padding(Text(_printable(summary.recommendation.reason, ascii_only), style="bold"), (0, 1)))
    parts += [
        Padding(Text(_printable(each.sentence(), ascii_only), style="bold red"), (0, 1)) for each in summary.failures
    ]
    if any(len(row.seeds) > 1 for row in summary.rows):
        spread = "± is the standard deviation over seeds. "
    else:
        spread = ""
    marked = "* recommended. " if summary.recommendation.method else ""
    alone = " (of one seed: over examples, for that prompt)" if any(row.one_seed for row in summary.rows) else ""
    units = "examples" if summary.clusters is None else str(summary.clusters)
    legend = f"{marked}{spread}Intervals are 95%, over {units} and seeds{alone}; differences are adjusted for all pairs (Holm)."
    parts.append(Padding(Text(_printable(legend, ascii_only), style="dim"), (1, 1, 0, 1)))
    parts += [Padding(Text(_printable(note, ascii_only), style="dim"), (0, 1)) for note in summary.notes]
    return Group(*parts)


def _table(summary: Summary, ascii_only: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("method", overflow="fold", min_width=6)
    for name in (
        phrases.title(summary.metric),
        "95%\ninterval",
        "numbers\ntrained",
        "training",
        "tokens\nbefore",
        "per\nanswer",
    ):
        table.add_column(name, justify="right", overflow="fold", vertical="top")
    for row in summary.rows:
        chosen = row.method == summary.recommendation.method
        cells = [_printable(cell, ascii_only) for cell in _cells(row)]
        mark = "* " if chosen else "  "
        table.add_row(
            Text(_printable(mark + row.method, ascii_only)), *map(Text, cells), style="bold green" if chosen else ""
        )
    for method in dict.fromkeys(failure.method for failure in summary.failures):
        table.add_row(Text(_printable("  " + method, ascii_only)), "failed", style="red")
    return table


def _classes(summary: Summary) -> Table:
    """What stands beside the accuracy of a classification."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("by class", overflow="fold", min_width=6)
    table.add_column("macro F1", justify="right")
    table.add_column("MCC", justify="right")
    for row in summary.rows:
        if row.classes is not None:
            table.add_row(
                Text(visible(f"  {row.method}")), phrases.score(row.classes.macro_f1), phrases.score(row.classes.mcc)
            )
    return table


def _subsets(summary: Summary, ascii_only: bool) -> Table:
    """The metric of each named part of the examples."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("by subset", overflow="fold", min_width=6)
    for name, size in summary.subsets.items():
        table.add_column(_printable(f"{name}\n({size:,})", ascii_only), justify="right", overflow="fold")
    for row in summary.rows:
        table.add_row(Text(visible(f"  {row.method}")), *(phrases.score(row.subsets[name]) for name in summary.subsets))
    return table


def _cells(row: MethodRow) -> list[str]:
    low, high = row.ci95
    return [
        phrases.score(row.mean) + (f" ± {phrases.score(row.std)}" if len(row.seeds) > 1 else ""),
        f"{phrases.score(low)}–{phrases.score(high)}",
        phrases.whole(row.trainable_parameters),
        phrases.duration(row.train_seconds) if row.trainable_parameters else "none",
        phrases.tokens(row.prefix_tokens),
        phrases.duration(row.seconds_per_answer),
    ]


def _printable(text: str, ascii_only: bool) -> str:
    text = visible(text)
    if ascii_only:
        for fine, plain in PLAIN.items():
            text = text.replace(fine, plain)
        return text.encode("ascii", "replace").decode()
    return text
