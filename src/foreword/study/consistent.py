"""Whether a preset says one thing: every name that a part or a scale cites is there, and none twice; it refuses the first that is not."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from foreword.data.readers import readable
from foreword.prompts.inits import INITS
from foreword.prompts.methods import ROWS, current
from foreword.study.preset import GATE, GATED, LABELS, SCALES, Part, Preset, Scale, settings_of_task
from foreword.tasks import TASKS
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import stands

# Settings of a run that the grid itself lays out, or that it cannot have.
LAID = ("model", "task", "data", "methods", "seeds", "out", "folds")
GATES = [name for name, label in LABELS.items() if label.startswith(GATE)]
NAME = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*")


def consistent(preset: Preset) -> Preset:
    """The preset. Raises ForewordError for a part, model, task, method, axis or setting that nothing has, or that stands there twice."""
    if not NAME.fullmatch(preset.name):
        raise ForewordError(
            f"The study is called {preset.name!r}, which names files; give it a name without a slash that begins with no dot."
        )
    _once("questions", preset.questions)
    earlier: list[str] = []
    for part in preset.parts:
        if part.carries and part.carries not in earlier:
            raise unknown(f"part before '{part.name}' that it could carry,", part.carries, earlier)
        earlier.append(part.name)
        _methods(part)
        for axis, known in (("models", _keys(preset, "models")), ("tasks", _keys(preset, "tasks"))):
            for name in getattr(part, axis):
                if name not in known:
                    raise unknown(f"entry of {axis} of any scale", name, known)
    for name in preset.scales:
        _scale(preset, name, preset.at(name))
    return preset


def present(models: Iterable[str], tasks: Iterable[str], inits: Iterable[str]) -> None:
    """Raises ForewordError for an init that there is not, and for the user's own examples or model folder where they are not there. What
    the hub has is not asked for."""
    places = [(name, "model") for name in models if name[:1] in ("/", ".", "~")]
    places += [(data, "data") for task in tasks if _file(data := settings_of_task(task).get("data", ""))]
    for name, kind in dict.fromkeys(places):
        if not stands(Path(name).expanduser()):
            raise ForewordError(
                f"The study names the {kind} '{name}', and nothing of that name is there; check the path."
            )
    for init in dict.fromkeys(inits):
        INITS.named(init)


def _file(data: str) -> bool:
    """Whether a task is examples on this machine, and no id on the hub."""
    on_hub = data.startswith("hub:") or (data.count("/") == 1 and data[0] not in "/.~" and not readable(Path(data)))
    return bool(data) and not on_hub


def _keys(preset: Preset, table: str) -> list[str]:
    return list(
        dict.fromkeys(key for name in SCALES if name in preset.scales for key in getattr(preset.at(name), table))
    )


def _methods(part: Part) -> None:
    for place, method in enumerate(part.methods):
        head = current(LABELS.get(method, method)).partition(":")[0].partition("+")[0]
        if head not in ROWS and method not in LABELS:
            raise unknown("method", method, [*LABELS, *ROWS])
        if method in GATES and any(label not in part.methods[:place] for label in GATED):
            raise ForewordError(
                f"The part {part.name} has the method {method}, which chooses between PT and IPT; name {' and '.join(GATED)} before it."
            )
    _once(f"methods of the part {part.name}", [(LABELS.get(name, name), name == "multi-task") for name in part.methods])


def gateable(part: Part) -> Part:
    """The part as a scale has it. Raises ForewordError where it has a gate, and its PT and IPT are not trained on the task that they
    answer, or answer the dev examples that a gate's threshold is fitted on."""
    method = next((method for method in part.methods if method in GATES), None)
    other = next((name for name in ("train_on", "together", "carries") if getattr(part, name)), None)
    other = other or ('split = "dev"' if part.split == "dev" else None)
    if method is not None and other is not None:
        raise ForewordError(
            f"The part {part.name} has the method {method} and says {other}, and a gate chooses between prompts of the scored task's own, "
            "with a threshold from its dev examples; leave one of the two out."
        )
    return part


def _scale(preset: Preset, name: str, scale: Scale) -> None:
    """One scale: what it says of parts and tasks is said of those that are there, and each axis has values."""
    names = [part.name for part in preset.parts]
    for other in scale.parts:
        if other not in names:
            raise unknown(f"part, of which the scale {name} says something,", other, names)
    for task in scale.each:
        if task not in scale.tasks:
            raise unknown(f"task of the scale {name}", task, scale.tasks)
    _once(f"models of the scale {name}", [model for key, model in scale.models.items() if "@" not in key])
    _once(f"tasks of the scale {name}", list(scale.tasks.values()))
    for axis, values in scale.axes.items():
        _once(f"{axis} of the scale {name}", values)
    for where, run in _runs(preset, scale):
        laid = next((key for key in LAID if key in run), None)
        if laid is not None:
            raise ForewordError(
                f"The settings of {where} say {laid}, which the grid lays out itself; leave it out there, and name models, tasks, methods "
                "and seeds where the parts and scales do."
            )
    for part in preset.parts:
        if scale.leaves_out(part.name):
            continue
        if part.train_on and part.train_on not in (*scale.tasks, *TASKS) and "task" in settings_of_task(part.train_on):
            raise unknown(f"task that the part {part.name} could be trained on,", part.train_on, scale.tasks)
        for axis in part.over:
            if not scale.axes.get(axis):
                raise ForewordError(
                    f"The part {part.name} is laid out over {axis}, of which the scale {name} has no values; give axes = "
                    f"{{ {axis} = [...] }} there, or parts = {{ {part.name} = {{ skip = true }} }}."
                )


def _runs(preset: Preset, scale: Scale) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Every table of settings of a run, and whose it is."""
    yield "a scale", scale.run
    yield from ((f"the task {task}", run) for task, run in scale.each.items())
    yield from ((f"the part {part.name}", part.run) for part in preset.parts)
    yield from ((f"the part {name}", other.get("run", {})) for name, other in scale.parts.items())


def _once(what: str, names: Iterable[Hashable]) -> None:
    """Raises ForewordError for the first name that stands there twice."""
    listed = list(names)
    twice = next((name for place, name in enumerate(listed) if name in listed[:place]), None)
    if twice is not None:
        name = twice[0] if isinstance(twice, tuple) else twice
        raise ForewordError(f"The {what} hold '{name}' twice; name each once.")
