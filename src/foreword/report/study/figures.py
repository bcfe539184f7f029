"""The figures of a study in the papers' own forms: which of them an answer is drawn as; it refuses to draw what has no number."""

from __future__ import annotations

from foreword.report.study.bars import bars, numbers_in
from foreword.report.study.bins import bins
from foreword.report.study.lines import lines, measured
from foreword.report.study.marks import Picture
from foreword.results.cells import Bins, Curve, Table
from foreword.results.papers import paper_of


def pictures(answered: Table | Curve | Bins, preset: str) -> list[Picture]:
    """The pictures of one answer: a panel each, or a column of a table."""
    paper = paper_of(preset)
    if isinstance(answered, Curve):
        return [lines(panel, answered, preset, paper) for panel in answered.panels if measured(panel)]
    if isinstance(answered, Bins):
        return [bins(panel, answered.x, preset, paper) for panel in answered.panels if panel.counts]
    columns = [n for n in range(len(answered.columns)) if numbers_in(answered, n)]
    return [bars(answered, n, preset, paper) for n in columns]
