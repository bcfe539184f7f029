"""The page of the studies in a folder; it refuses to leave out a study that is not finished."""

from __future__ import annotations

from pathlib import Path

from foreword.study import kept
from foreword.study.questions import answers
from foreword.study.text import Grid, grids
from foreword.util.files import write_text

PAGE = "studies.md"


def write(out: Path) -> Path:
    """Write the tables of every study of the folder, as far as it is, as Markdown."""
    parts = []
    for name in kept.names(out):
        there = kept.read(out, name)
        counts = ", ".join(f"{count} {state}" for state, count in there.counts().items() if count)
        parts.append(
            f"# {there.preset.title}\n\n{name} at the scale {there.scale}: {counts}. Command: `{there.command}`."
        )
        for answered in answers(there.cells, there.preset, out).values():
            parts += map(_table, grids(answered))
    write_text(out / PAGE, "\n\n".join(parts) + "\n")
    return out / PAGE


def _table(grid: Grid) -> str:
    lines = [grid.columns, ["---"] * len(grid.columns), *grid.rows]
    rows = "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
    return f"**{grid.caption}**\n\n{rows}"
