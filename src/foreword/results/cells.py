"""A Cell is one place of a study's grid and what came of it; an Entry is a number made of cells that differ in their seed alone. They
refuse to hold a number without what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from foreword.results.record import Record

State = Literal["done", "failed", "running", "waiting"]


@dataclass(frozen=True)
class Coordinates:
    """Where a cell stands, in foreword's own words.

    part: of the preset's grid. model, task, label, seed: as a run names them. length: rows of the soft prompt; None where the method
    has none. init: where those rows start; "" where there are none. objective: what an encoder-decoder was pre-trained by (`lm`,
    `span`, `sentinel`); "" where it is not asked. source: what it was trained on where that is not `task` alone (names joined by +);
    "" otherwise. setting: further coordinates of this preset, such as {"adaptation": "10000"}.
    """

    part: str
    model: str
    task: str
    label: str
    seed: int
    length: int | None = None
    init: str = ""
    objective: str = ""
    source: str = ""
    setting: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "setting": dict(self.setting)}


@dataclass(frozen=True)
class Scored:
    """Which examples stand behind a score. split: of the task's source, `test` or `dev`. part: how many of it were scored, of the
    official `whole`, in `unit`."""

    task: str
    split: str
    part: int
    whole: int
    unit: str


@dataclass(frozen=True)
class Cell:
    """id: digest of all settings that the cell was asked with. paper: the coordinates of the paper's number that it is held against, in
    the paper's words (`model`, `task`, `method`, `length`, ...): the names that differ from `at` are stand-ins. examples: planned, where
    that is known. record: None unless it is done. cause: why a failed cell failed, in one sentence. shape: of the model that answered:
    its `parameters`, `hidden` size, `layers` and the width of its keys (`key_value`), where it is done. scored: which examples; None where
    that is not known. train_limit: at most so many training examples; None where all of them are taken."""

    id: str
    at: Coordinates
    paper: Mapping[str, str]
    state: State
    record: Record | None = None
    cause: str = ""
    examples: int | None = None
    shape: Mapping[str, int] = field(default_factory=dict)
    scored: Scored | None = None
    train_limit: int | None = None


@dataclass(frozen=True)
class Entry:
    """A measured number with all that it rests on.

    score: mean over seeds, None where nothing is done; spread: standard deviation over seeds, None with fewer than two. ci95: over
    examples and seeds. seeds, examples: done, of seeds_planned, examples_planned. metric, model, task: ours. paper: coordinates of the
    paper's number. cells: ids. cause: why there is no number, or why seeds are missing. unit: what the score is in, "" for points of
    0 to 100. scored: which examples, of each task; empty where that is not known. recipes: how ours was trained and what it was shown, by
    the paper's name of the task, in the words of `Number.recipe`; empty where that is not known. clusters: how many the examples come in,
    over which ci95 is; 0 where each stands alone, and where several tasks are put together."""

    score: float | None
    spread: float | None
    ci95: tuple[float, float] | None
    seeds: int
    seeds_planned: int
    examples: int
    examples_planned: int | None
    metric: str
    model: str
    task: str
    paper: Mapping[str, str]
    cells: tuple[str, ...]
    cause: str = ""
    unit: str = ""
    scored: tuple[Scored, ...] = ()
    recipes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clusters: int = 0


@dataclass(frozen=True)
class Row:
    """head: what the row is. entries: numbers, or text where a column holds none."""

    head: tuple[str, ...]
    entries: tuple[Entry | str, ...]


@dataclass(frozen=True)
class Table:
    """heads: of the leading text columns; columns: of the entries."""

    caption: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Series:
    """points: (x, entry), x rising. level: a horizontal line (its one point's x says nothing)."""

    name: str
    points: tuple[tuple[float, Entry], ...]
    level: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes. x_names: what stands at the x of a scale without numbers (init strategies, say): {0: 'random', ...}."""

    title: str
    y: str
    series: tuple[Series, ...]
    x_names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """x: the axis' name. logarithmic: of the x axis."""

    caption: str
    x: str
    panels: tuple[Panel, ...]
    logarithmic: bool = False


@dataclass(frozen=True)
class Matrix:
    """entries [rows][columns], None where the grid has no cell. against: what each column is held against (its name, an entry a column);
    above: whether the entry surely beats that (Holm over the matrix, p < 0.05), [rows][columns]; gaps: points above it."""

    caption: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[tuple[Entry | None, ...], ...]
    against: str = ""
    baseline: tuple[Entry | None, ...] = ()
    gaps: tuple[tuple[float | None, ...], ...] = ()
    above: tuple[tuple[bool, ...], ...] = ()


@dataclass(frozen=True)
class BinPanel:
    """edges: [K + 1] of the similarity, falling (most similar first). counts: [K] examples. series: name to (score, low, high) of each
    bin, None in an empty one; low and high None with too few examples. paper: coordinates, to which the series' method and the bin's
    number from 1 are added. note: what the intervals speak of."""

    title: str
    y: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    series: Mapping[str, tuple[tuple[float, float | None, float | None] | None, ...]]
    paper: Mapping[str, str] = field(default_factory=dict)
    cause: str = ""
    note: str = ""


@dataclass(frozen=True)
class Bins:
    """x: what is binned."""

    caption: str
    x: str
    panels: tuple[BinPanel, ...]


@dataclass(frozen=True)
class Test:
    """A claim with its test. estimate, ci95: in points unless `unit` says otherwise. p: adjusted where `adjusted` names how. holds: None
    where it cannot be said. cases: (in how many it holds, of how many) where it was counted. note: power, what is missing."""

    __test__ = False  # not one of pytest's

    claim: str
    holds: bool | None
    estimate: float | None = None
    ci95: tuple[float, float] | None = None
    p: float | None = None
    adjusted: str = ""
    cases: tuple[int, int] | None = None
    unit: str = ""
    note: str = ""


Answered = Table | Curve | Matrix | Bins | Test
