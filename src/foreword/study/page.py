"""The page of the studies in a folder; it refuses to leave out a study that is not finished."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from foreword.report.study import StudyPage, write_study
from foreword.study import stored
from foreword.study.questions import answers
from foreword.study.stored import StoredStudy

PAGE = "report.html"


def page_of(there: StoredStudy) -> StudyPage:
    """Everything that the page of one study says."""
    preset = there.preset
    dates = [there.folder.ended_at(cell.id) for cell in there.cells if cell.state == "done"]
    filled = preset.at(there.scale)
    return StudyPage(
        name=preset.name,
        title=preset.title,
        scale=there.scale,
        command=there.command,
        cells=there.cells,
        answers=answers(there.cells, preset, there.out),
        decisions=preset.decisions,
        notes=(f"At this scale: {filled.about}.",) if filled.about else (),
        date=datetime.fromtimestamp(max(dates), UTC).date().isoformat() if dates else "",
    )


def pages(out: Path) -> list[StudyPage]:
    """The pages of every study in the folder, as far as each is."""
    return [page_of(stored.read(out, name)) for name in stored.names(out)]


def write(out: Path) -> Path:
    """Write one page of all studies of the folder."""
    write_study(out / PAGE, pages(out))
    return out / PAGE
