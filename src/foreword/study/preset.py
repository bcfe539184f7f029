"""A Preset is a study as a TOML file says it: parts of a grid, and for each scale the models, tasks and settings that fill it; it refuses
unknown keys and parts that name what no scale has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from foreword.config.run import load_toml
from foreword.config.settings import Count, Settings, Whole
from foreword.util.errors import ForewordError, unknown

PRESETS = Path(__file__).parent / "presets"
SCALES = ("smoke", "small", "full")

"""Methods that the papers call otherwise, with foreword's labels. `multi-task` is full fine-tuning on all tasks of the part together; a
gate takes PT's or IPT's answer, which the part has too."""
LABELS: Mapping[str, str] = {
    "icl-random-1": "icl:random",
    "icl-1": "icl",
    "icl-3": "icl:3",
    "prompt-design": "few:4",
    "multi-task": "full-ft",
    "gate-similarity": "gate:similarity",
    "gate-certainty": "gate:certainty",
}
GATE = "gate:"  # before what a gate chooses by, in its label
GATED = ("pt", "ipt")  # the labels that a gate chooses between
Axis = Literal["length", "init", "objective", "adaptation"]


class Part(Settings):
    """A part of the grid: every model x task x method x value of the axes x seed.

    methods: as the papers call them, or labels of foreword. models, tasks: some of the scale's (none: all). over: axes whose values the
    scale gives. seeds: how many of the scale's, the first of them; where it has fewer, the whole numbers
    after its greatest too (0: all of the scale's). variant: the key behind @ of the models that are meant, where there are such.
    train_on: the task that is trained on, where the part's tasks are only scored with what came of it. relabel: answers of the scored
    tasks, in the words of the one that is trained on. together: trained on all tasks at once, scored on each. carries: the part whose
    soft prompts stand before this one's, one source task after another, not trained further. split: of the task, the one that is scored.
    run: settings of a run that hold for this part alone.
    """

    prefix: ClassVar[str] = "parts."
    root: ClassVar[type[Settings] | None] = None

    name: Annotated[str, Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    models: list[str] = Field(default=[])
    tasks: list[str] = Field(default=[])
    over: list[Axis] = Field(default=[])
    seeds: Whole = 0
    variant: str = ""
    train_on: str = ""
    relabel: dict[str, str] = Field(default={})
    together: bool = False
    carries: str = ""
    split: Literal["test", "dev"] = "test"
    run: dict[str, Any] = Field(default={})


class Scale(Settings):
    """What fills the grid at one scale.

    models, tasks: the paper's names with ours (see `settings_of_task`); `t5-small@span` is a variant of a model. axes: the values of each
    axis. run: settings of every run; each: settings of the runs of one task, by the paper's name. generated: answers are generated and
    compared as texts, also where there are choices. parts: what parts of the grid have otherwise at this scale, by their names. about:
    what it is, in a sentence.
    """

    prefix: ClassVar[str] = "scale."
    root: ClassVar[type[Settings] | None] = None

    models: Annotated[dict[str, str], Field(min_length=1)]
    tasks: Annotated[dict[str, str], Field(min_length=1)]
    seeds: Annotated[list[Whole], Field(min_length=1)] = Field(default=[0, 1, 2])
    axes: dict[Axis, list[int | str]] = Field(default={})
    run: dict[str, Any] = Field(default={})
    each: dict[str, dict[str, Any]] = Field(default={})
    generated: bool = False
    about: str = ""
    parts: dict[str, dict[str, Any]] = Field(default={})

    def leaves_out(self, part: str) -> bool:
        """Whether a part of the grid is not run at this scale (`parts.NAME = {skip = true}`)."""
        return bool(self.parts.get(part, {}).get("skip", False))


class Preset(Settings):
    """A named study. paper: which it is from. answers: what it shows, in a line. questions: names on the shelf of questions. decisions:
    what was decided where the paper is silent, by the point. tokens: positions of an input and of an answer at most, for an estimate
    where the data are not at hand."""

    root: ClassVar[type[Settings] | None] = None

    name: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1)]
    paper: str = ""
    answers: str = ""
    questions: Annotated[list[str], Field(min_length=1)]
    decisions: dict[str, str] = Field(default={})
    tokens: Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(default=[512, 64])
    parts: Annotated[list[Part], Field(min_length=1)]
    smoke: Scale | None = None
    small: Scale | None = None
    full: Scale | None = None

    @model_validator(mode="after")
    def _parts_are_there(self) -> Self:
        names = [part.name for part in self.parts]
        for part in self.parts:
            if names.count(part.name) > 1:
                raise ForewordError(f"The study {self.name} has two parts '{part.name}'; give each its own name.")
            if part.carries and part.carries not in names:
                raise unknown("part", part.carries, names)
        if not self.scales:
            raise ForewordError(f"The study {self.name} has no scale; give a table [smoke], [small] or [full].")
        return self

    @property
    def scales(self) -> list[str]:
        """The scales that it has, the smallest first."""
        return [name for name in SCALES if getattr(self, name) is not None]

    def at(self, scale: str) -> Scale:
        """One of its scales. Raises ForewordError for another."""
        filled = getattr(self, scale, None) if scale in SCALES else None
        if not isinstance(filled, Scale):
            raise unknown(f"scale of {self.name}", scale, self.scales)
        return filled

    def part(self, name: str) -> Part:
        """One of its parts."""
        return next(part for part in self.parts if part.name == name)


def settings_of_task(name: str) -> dict[str, str]:
    """The settings of a run that name a task: one of the shelf, or, where the name has a dot or a slash in it, the user's own examples: a
    file, a folder, an id on the hub."""
    return {"data": name} if "." in name or "/" in name else {"task": name}


def names() -> list[str]:
    """The presets that come with foreword, in the order of the papers."""
    return sorted((path.stem for path in PRESETS.glob("*.toml")), key=lambda name: (not name.startswith("sun"), name))


def preset(name: str) -> Preset:
    """A preset by name, or the one of a TOML file. Raises ForewordError for an unknown name, a damaged file and unknown keys."""
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
    elif name in names():
        path = PRESETS / f"{name}.toml"
    else:
        raise unknown("study", name, names())
    return Preset.model_validate({"name": path.stem} | load_toml(path))
