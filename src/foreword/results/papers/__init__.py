"""The numbers of the two papers as data, each with its place and how it is known; it refuses a number that says neither."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from foreword.util.errors import ForewordError, unknown

PAPERS = ("sun2023", "lester2021")
KNOWN = {
    "seen": "read in the paper's own text or table",
    "digitised": "read off the paper's figure",
    "derived": "computed from numbers that were read",
    "recalled": "from memory, not verified",
}
_CELL = re.compile(r"(?P<rough>~?)(?P<mean>-?\d+(?:\.\d+)?)(?:±(?P<std>\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class Number:
    """One number of a paper. at: its coordinates, such as {"model": "bloom-1b1", "method": "pt", "task": "dart"}; held: what was the same
    in the whole table. std: over the paper's runs, where it says one. error: half of the last printed digit, or how far a reading off a
    figure may be wrong. rough: read off by more than that. place: of the paper. runs: over how many it is a mean, where std is given.
    split: that the paper scored, `test` or `dev`; empty where that is not known. recipe: how the paper came by it: setting to its value, or
    to the value for each task (`length`, `init`, `steps`, `batch size`, `retriever`, `training examples`, ...). published: whether it is of
    a prompt that was published, so that who has that prompt has nothing to train."""

    value: float
    std: float | None
    known: str
    error: float
    place: str
    at: dict[str, str]
    metric: str
    rough: bool = False
    runs: int = 1
    held: dict[str, str] = field(default_factory=dict)
    split: str = ""
    recipe: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    published: bool = False

    def recipe_of(self, task: str) -> dict[str, str]:
        """How the paper came by it on one task, as far as that is known: its own coordinates before what holds of the method."""
        own = self.held | self.at
        chosen = {}
        for name, value in self.recipe.items():
            usual, here = (value.get("", ""), value.get(task)) if isinstance(value, Mapping) else (value, None)
            of_place = own.get(name, usual)  # where that is the usual one, a task may still have its own form of it
            chosen[name] = here if here is not None and of_place == usual else of_place
        return {name: value for name, value in chosen.items() if value}

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:.1f}"
        return f"{'about ' if self.rough else ''}{self._printed()}{spread}"

    def _printed(self) -> str:
        """As the paper prints it: a count whole, a score with its decimals."""
        if self.error == 0 or self.value >= 1000:
            return f"{self.value:,.0f}"
        return f"{self.value:.1f}" if round(self.value, 1) == self.value else f"{self.value:g}"


@dataclass(frozen=True)
class Claim:
    """What a paper concludes. figures: of the presets that ask the same."""

    text: str
    known: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """What a paper set, and how it is known."""

    name: str
    value: str
    known: str


@dataclass(frozen=True)
class Paper:
    """A paper's numbers. figures: the tables of numbers of each preset; none where the paper's numbers could not be had. silent: what it
    does not say, so that whoever repeats it decides, with the presets that this concerns (none: all). scored: the split that each task
    was scored on."""

    name: str
    title: str
    authors: str
    published: str
    tables: dict[str, tuple[Number, ...]]
    figures: dict[str, tuple[str, ...]]
    claims: tuple[Claim, ...]
    settings: tuple[Setting, ...]
    silent: Mapping[str, tuple[str, ...]]
    scored: dict[str, dict[str, str]] = field(default_factory=dict)

    def number(self, preset: str, at: Mapping[str, str]) -> Number | None:
        """The number that a place of a preset's grid is held against: the one whose coordinates are all among these, of several the one
        with the most; None where the paper has none. Raises ForewordError for a preset that is not this paper's."""
        hits = [number for number in self.of(preset) if number.at.items() <= at.items()]
        most = max((len(number.at) for number in hits), default=0)
        nearest = [number for number in hits if len(number.at) == most]
        return nearest[0] if len(nearest) == 1 else None

    def undecided(self, preset: str) -> list[str]:
        """The points that whoever repeats a preset's figure has to decide."""
        return [point for point, figures in self.silent.items() if not figures or preset in figures]

    def of(self, preset: str) -> list[Number]:
        """Every number that a preset is held against. Raises ForewordError for a preset that is not this paper's."""
        if preset not in self.figures:
            raise unknown(f"study of {self.name}", preset, self.figures)
        return [number for table in self.figures[preset] for number in self.tables[table]]


@functools.cache
def paper(name: str) -> Paper:
    """A paper by its name. Raises ForewordError where it is not known."""
    if name not in PAPERS:
        raise unknown("paper", name, PAPERS)
    text = files("foreword.results.papers").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    runs = int(raw["runs"])
    scored = raw.get("scored", {})
    plain = {key: _numbers(key, table, runs, scored) for key, table in raw["tables"].items()}
    trained_on = {n.at["task"]: f"{n.value:.0f}" for n in plain.get("splits", ()) if n.at["split"] == "train"}
    tables = {
        key: tuple(numbers if raw["tables"][key].get("recipe") else _with_recipes(numbers, raw, trained_on))
        for key, numbers in plain.items()
    }
    return Paper(
        name=name,
        title=raw["title"],
        authors=raw["authors"],
        published=raw["published"],
        tables=tables,
        figures={preset: tuple(keys) for preset, keys in raw["figures"].items()},
        claims=tuple(Claim(entry["text"], _known(entry), tuple(entry["figures"])) for entry in raw["claims"]),
        settings=tuple(Setting(entry["name"], entry["value"], _known(entry)) for entry in raw["settings"]),
        silent={entry["point"]: tuple(entry.get("figures", ())) for entry in raw["silent"]},
        scored=scored,
    )


def paper_of(preset: str) -> Paper | None:
    """The paper that a preset repeats a figure of; None for a study that is nobody's."""
    return next((paper(name) for name in PAPERS if preset in paper(name).figures), None)


def _known(raw: dict[str, Any]) -> str:
    label = str(raw["known"])
    if label not in KNOWN:
        raise unknown("way to know a number", label, KNOWN)
    return label


def _numbers(name: str, table: dict[str, Any], runs: int, scored: dict[str, dict[str, str]]) -> list[Number]:
    """The cells of one table; empty ones are left out."""
    axes, heads = table["rows"], table["heads"]
    numbers = []
    for line in table["cells"]:
        if len(line) != len(axes) + len(heads):
            raise ForewordError(
                f"The table {name} has a row of {len(line)} cells where {len(axes) + len(heads)} belong; mend it."
            )
        row = dict(zip(axes, map(str, line), strict=False)) | table.get("fixed", {})
        for head, cell in zip(heads, line[len(axes) :], strict=True):
            if cell != "":
                number = _number(table, row | {table["columns"]: head}, cell, runs)
                split = scored.get(number.at.get("task", number.held.get("task", "")), {}).get("split", "")
                numbers.append(replace(number, split=split))
    return numbers


def _with_recipes(numbers: list[Number], raw: dict[str, Any], trained_on: dict[str, str]) -> list[Number]:
    """The same with what the paper says of how such a number comes about."""
    recipes = raw.get("recipes", {})
    whole: dict[str, str | dict[str, str]] = {"training examples": trained_on}
    return [
        replace(
            number, recipe={name: _text(value) for name, value in recipes[method].items() if name != "known"} | whole
        )
        if (method := (number.held | number.at).get("method", "")) in recipes
        else number
        for number in numbers
    ]


def _text(value: Any) -> str | dict[str, str]:
    return {task: str(each) for task, each in value.items()} if isinstance(value, dict) else str(value)


def _number(table: dict[str, Any], at: dict[str, str], cell: Any, runs: int) -> Number:
    parts = _CELL.fullmatch(str(cell))
    if parts is None:
        raise ForewordError(f"A number of a paper reads {cell!r}; it is written as 41.2, '41.2±0.9' or '~41.2'.")
    lowest, scale = table.get("lowest", 0.0), table.get("scale", 100.0)
    value = float(parts["mean"])
    if not lowest <= value <= scale:
        raise ForewordError(f"A number of {table['place']} is {value:g}, outside of {lowest:g} to {scale:g}; mend it.")
    std = None if parts["std"] is None else float(parts["std"])
    return Number(
        value=value,
        std=std,
        known=_known(table),
        error=float(_of_axis(table.get("errors", {}), at.values(), table["error"])),
        place=table["place"],
        at=at,
        metric=str(_of_axis(table.get("metrics", {}), at.values(), table.get("metric", ""))),
        rough=bool(parts["rough"]),
        runs=1 if std is None else runs,
        held=table.get("held", {}),
        published=table.get("recipe") == "published",
    )


def _of_axis(table: dict[str, Any], values: Iterable[str], otherwise: Any) -> Any:
    """What the table says for one of the coordinates' values."""
    return next((table[value] for value in values if value in table), otherwise)
