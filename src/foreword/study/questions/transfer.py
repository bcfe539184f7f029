"""Source prompts before demonstrations of a target task: against the demonstration alone, and against rows that were never tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from foreword.prompts.methods import Method, parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.results.cells import Answered, Cell, Entry, Matrix, Test
from foreword.results.stats import AdjustedDifference, adjusted
from foreword.study.measure import choose, difference, entry, named, over_grid, values
from foreword.study.preset import Preset

Baseline = Callable[[Sequence[Cell], str], list[Cell]]
ALONE = "without a demonstration beats zero-shot on the target"
BEFORE = "before a target demonstration beats plain ICL on the target"
UNTUNED = "before a target demonstration beats rows that were never tuned"


def transfer(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """With a target demonstration against plain one-shot ICL; without one against zero-shot, where the study has those cells."""
    answered: list[Answered] = []
    for shown, against, claim in ((True, "icl-1", BEFORE), (False, "zero", ALONE)):
        if carried := _carried(cells, shown):
            answered += _matrices(
                cells, carried, preset, against, lambda at, name: choose(at, paper_method=name), claim
            )
    return tuple(answered) or (_nothing(BEFORE, "no part of this study carries another's soft prompts"),)


def untuned(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Against rows of the same length that were never tuned, before the same demonstrations: what was tuned carries over."""
    carried = _carried(cells, True)
    if not carried or not choose(cells, part="untuned"):
        lacks = "carries another's soft prompts before demonstrations" if not carried else "is named `untuned`"
        return (_nothing(UNTUNED, f"no part of this study {lacks}"),)
    return tuple(_matrices(cells, carried, preset, "untuned", lambda at, name: choose(at, part=name), UNTUNED))


def _carried(cells: Sequence[Cell], shown: bool) -> list[Cell]:
    """The cells that carry another task's soft prompt. shown: those before demonstrations, else those without."""
    carried = [cell for cell in cells if cell.at.init == "warm_start" and cell.at.source]
    return [cell for cell in carried if (_row(cell.at.label).demonstrations != "none") == shown]


def _row(label: str) -> Method:
    return parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS))


def _nothing(claim: str, note: str) -> Test:
    return Test(f"A source task's soft prompt {claim} in most pairs", None, note=note)


def _matrices(
    cells: Sequence[Cell], among: Sequence[Cell], preset: Preset, against: str, baseline: Baseline, claim: str
) -> list[Answered]:
    """among: the cells that carry a prompt."""
    answered: list[Answered] = []
    for model in values(cells, "model"):
        own = choose(cells, paper_model=model)
        carried = choose(among, paper_model=model)
        others = [cell for cell in own if cell.at.init != "warm_start"]
        sources, targets = values(carried, "source"), values(carried, "task")
        base = {target: baseline(choose(others, paper_task=target), against) for target in targets}
        at = {
            (source, target): group
            for source in sources
            for target in targets
            if (group := choose(carried, paper_source=source, paper_task=target))
        }
        gaps = {
            place: gap for place, group in at.items() if base[place[1]] and (gap := difference(group, base[place[1]]))
        }
        gaps, name = adjusted(gaps), named(own, "model", preset)
        names = {
            task: named(choose(own, paper_task=task), "task", preset) for task in dict.fromkeys((*sources, *targets))
        }
        matrix = _matrix(at, gaps, base, sources, targets, f"{claim}, {name}", against)
        rows, columns = (tuple(names[task] for task in each) for each in (sources, targets))
        claimed = f"A source task's soft prompt {claim} in most pairs ({name})"
        answered += [replace(matrix, rows=rows, columns=columns), over_grid(claimed, gaps, len(at), "pairs", most=True)]
    return answered


def _matrix(
    at: dict[tuple[str, str], list[Cell]],
    gaps: dict[tuple[str, str], AdjustedDifference],
    base: dict[str, list[Cell]],
    sources: Sequence[str],
    targets: Sequence[str],
    caption: str,
    against: str,
) -> Matrix:
    def cell(source: str, target: str) -> Entry | None:
        return entry(at[source, target]) if (source, target) in at else None

    def above(source: str, target: str) -> bool:
        gap = gaps.get((source, target))
        return gap is not None and gap.sure > 0

    return Matrix(
        caption=f"A source task's soft prompt {caption}",
        rows=tuple(sources),
        columns=tuple(targets),
        entries=tuple(tuple(cell(source, target) for target in targets) for source in sources),
        against=against,
        baseline=tuple(entry(base[target]) if base[target] else None for target in targets),
        gaps=tuple(
            tuple(gaps[source, target].points if (source, target) in gaps else None for target in targets)
            for source in sources
        ),
        above=tuple(tuple(above(source, target) for target in targets) for source in sources),
    )


QUESTIONS = {"transfer": transfer, "transfer-untuned": untuned}
