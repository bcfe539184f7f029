"""Every number of a study beside the paper's, with its verdict; it refuses to leave out what stood in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from foreword.prompts.methods import METHODS
from foreword.report.study.values import StudyPage
from foreword.results.cells import Answered, Curve, Entry, Matrix, Table
from foreword.results.judged import Verdict, judge, stand_ins, trained_otherwise
from foreword.results.papers import Number, Paper, paper_of
from foreword.util import phrases


@dataclass(frozen=True)
class Held:
    """A measured number held against the paper's. place: what it is, in a few words. other: what stood in for what. trained: how ours was
    trained, where the paper's was otherwise."""

    place: str
    entry: Entry
    number: Number | None
    verdict: Verdict
    other: tuple[str, ...]
    trained: tuple[str, ...] = ()

    @property
    def differs(self) -> str:
        """What is not as in the paper, in words; empty where nothing is known to be."""
        return "; ".join([*self.other, *([f"other settings: {'; '.join(self.trained)}"] if self.trained else [])])

    @property
    def in_short(self) -> str:
        """`differs` for a small cell: settings are counted where something stood in and there are several."""
        if self.other and len(self.trained) > 2:
            return "; ".join([*self.other, f"{len(self.trained)} settings differ, listed below"])
        return self.differs

    @property
    def why(self) -> str:
        """The reason of the verdict, short where `differs` says it."""
        differs = self.verdict.word == "cannot say" and self.entry.score is not None and self.number is not None
        return "for what differs" if differs and self.differs else self.verdict.reason

    @property
    def theirs(self) -> str:
        """The paper's number in words; empty where it has none."""
        if self.number is None:
            return ""
        return phrases.duration(self.number.value) if self.entry.unit == "s" else str(self.number)


def hold(entry: Entry, paper: Paper | None, preset: str, place: str = "") -> Held:
    """One number beside the paper's."""
    number = paper.number(preset, entry.paper) if paper is not None else None
    tuned = varies(entry.paper.get("method", ""))
    other = tuple(stand_ins(entry, number)) if paper is not None else ()
    trained = tuple(trained_otherwise(entry, number))
    return Held(place or placed(entry.paper), entry, number, judge(entry, number, tuned=tuned), other, trained)


ORDER = ("method", "length", "init", "objective", "adaptation", "source", "task", "model")
UNITS = {"length": "token", "adaptation": "step"}


def placed(at: Mapping[str, str]) -> str:
    """A place of the paper in a few words: what was done, on what, with which model."""
    keys = [key for key in ORDER if key in at] + [key for key in at if key not in ORDER]
    return ", ".join(_coordinate(key, at[key]) for key in keys if at[key])


def _coordinate(key: str, value: str) -> str:
    if key in UNITS and value.isdecimal():
        return phrases.plural(int(value), UNITS[key])
    return f"from {value}" if key == "source" else value


def varies(method: str) -> bool:
    """Whether another seed would give another score, of a method as the paper's coordinates name it; of one that is not known, it would."""
    row = METHODS.get(method) or METHODS.get(method.partition("-")[0])
    return row is None or row.random() or "random" in method.split("-")


def held_of(page: StudyPage) -> list[Held]:
    """Every number of a page's answers once, in their order."""
    paper = paper_of(page.name)
    unique: dict[tuple[tuple[str, str], ...], Held] = {}
    for answered in page.answers.values():
        for answer in answered:
            for entry in entries_of(answer):
                key = (*sorted(entry.paper.items()), ("cells", ",".join(entry.cells)), ("unit", entry.unit))
                unique.setdefault(key, hold(entry, paper, page.name))
    return list(unique.values())


def entries_of(answered: Answered) -> Iterator[Entry]:
    """The numbers of an answer."""
    if isinstance(answered, Table):
        for row in answered.rows:
            yield from (entry for entry in row.entries if isinstance(entry, Entry))
    elif isinstance(answered, Curve):
        for panel in answered.panels:
            for line in panel.series:
                yield from (entry for _, entry in line.points)
    elif isinstance(answered, Matrix):
        for cells in answered.entries:
            yield from (entry for entry in cells if entry is not None)


def counted(helds: list[Held]) -> dict[str, int]:
    """How many numbers agree, differ and cannot be said, of those that the paper has."""
    verdicts = Counter(held.verdict.word for held in helds if held.number is not None)
    return {word: verdicts[word] for word in ("agrees", "differs", "cannot say")}
