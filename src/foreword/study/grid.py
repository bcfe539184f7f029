"""The grid of a study: a preset at one scale becomes cells, plain values that any process can be sent; it loads no model and no task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

from foreword.config.choices import doubled
from foreword.config.run import Run
from foreword.metrics import read_named
from foreword.prompts.methods import Method
from foreword.results.cells import Coordinates
from foreword.results.record import key_of
from foreword.study.consistent import consistent, gateable, present
from foreword.study.preset import GATE, GATED, LABELS, Part, Preset, Scale, settings_of_task
from foreword.study.resolve import row_of
from foreword.tasks import module
from foreword.util.errors import ForewordError, unknown

SENTINEL = "<extra_id_0> {target}"  # what stands before an answer under span corruption with its sentinel (Lester et al. 2021, 3.3)

OF_SOFT = ("length", "init")  # axes of a soft prompt: what has none is one cell along them


@dataclass(frozen=True)
class CellSpec:
    """A cell that is to be run.

    id: digest of all that follows but `paper`. run: settings of a Run, its folder and machine left out; its methods are those that are
    to answer the same examples, of which the cell is the one at.label. train_on: our names of the tasks that are trained on, where that
    is not at.task alone. relabel: answers of the scored task in the words of the trained one. generated: choices are not offered.
    carries: id of the cell whose soft prompt it uses. split: of the task, the one that is scored. gates: ids of the cells, PT's and
    IPT's, whose answers it chooses between. unit: cells of one unit share a training.
    """

    id: str
    unit: str
    at: Coordinates
    paper: dict[str, str]
    run: dict[str, Any]
    train_on: tuple[str, ...] = ()
    relabel: dict[str, str] = field(default_factory=dict)
    generated: bool = False
    carries: str = ""
    split: str = "test"
    gates: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The cells that have to be done before it."""
        return (self.carries, *self.gates) if self.carries else self.gates

    def settings(self) -> Run:
        """The run, checked."""
        return Run.model_validate(self.run)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


def spec_of(values: Mapping[str, Any]) -> CellSpec:
    """A cell from its plain values."""
    lists = {name: tuple(values[name]) for name in ("train_on", "gates")}
    return CellSpec(**(dict(values) | lists | {"at": Coordinates(**values["at"])}))


@dataclass(frozen=True)
class Overrides:
    """What a user sets beside the preset. models: in the place of the scale's, in their order. run: settings of every run that win."""

    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A preset at one scale, laid out."""

    preset: Preset
    scale: str
    cells: tuple[CellSpec, ...]


def lay_out(preset: Preset, scale: str, overrides: Overrides | None = None, only: Sequence[str] = ()) -> Study:
    """The cells of a preset. only: the questions that are to be answered, of the preset's own. Raises ForewordError for an unknown scale,
    task, metric or question, and for a preset that contradicts itself. A metric of the user's own file is read."""
    overrides = overrides or Overrides()
    for question in only:
        if question not in preset.questions:
            raise unknown(f"question of {preset.name}", question, preset.questions)
    filled = _filled(consistent(preset), preset.at(scale), overrides)
    for task in _chosen(preset, filled, overrides):
        if "task" in settings_of_task(filled.tasks[task]):
            module(filled.tasks[task])
    cells: dict[str, CellSpec] = {}
    for part in preset.parts:
        merged = _at_scale(part, filled)
        if merged is not None:
            cells |= {cell.id: cell for cell in _cells(preset, merged, filled, overrides, cells)}
    if not cells:
        raise ForewordError(f"The study {preset.name} has no cell at the scale {scale}; give other models or tasks.")
    if overrides == Overrides(run=overrides.run):
        _refuse_empty(preset, scale, cells.values())
    runs = [cell.settings() for cell in cells.values()]
    named = (name for cell in cells.values() for name in (*cell.train_on, cell.at.task))
    present((run.model for run in runs), named, (run.tuning.init for run in runs))
    read_named(dict.fromkeys(name for cell in cells.values() for name in cell.run.get("metrics", ())))
    return Study(preset, scale, tuple(cells.values()))


def _refuse_empty(preset: Preset, scale: str, cells: Collection[CellSpec]) -> None:
    """Raises ForewordError for a part that has no cell and is not left out."""
    for part in preset.parts:
        if not preset.at(scale).leaves_out(part.name) and all(cell.at.part != part.name for cell in cells):
            raise ForewordError(
                f"The part {part.name} has no cell at the scale {scale}: none of its models, tasks or carried prompts is there; leave "
                f"it out by parts = {{ {part.name} = {{ skip = true }} }} in [{scale}]."
            )


def _filled(preset: Preset, scale: Scale, overrides: Overrides) -> Scale:
    models = scale.models
    if overrides.models:
        if (twice := doubled(overrides.models)) is not None:
            raise ForewordError(f"--models names '{twice}' twice; name each once.")
        named = [name for name in models if "@" not in name]
        names = [*named[: len(overrides.models)], *overrides.models[len(named) :]]
        if (taken_name := doubled(names)) is not None:
            raise ForewordError(
                f"--models names '{taken_name}', as {preset.name} calls another of them; give its folder or hub id."
            )
        models = dict(zip(names, overrides.models, strict=True))
    return scale.model_copy(update={"models": models, "seeds": list(overrides.seeds) or scale.seeds})


def _chosen(preset: Preset, scale: Scale, overrides: Overrides) -> list[str]:
    """The tasks that are scored, by the paper's names: all of the scale, or those that the user names."""
    names = {*scale.tasks, *scale.tasks.values()}
    other = next((name for name in overrides.tasks if name not in names), None)
    if other is not None:
        raise unknown(f"task of {preset.name}", other, scale.tasks)
    return [name for name, ours in scale.tasks.items() if not overrides.tasks or {name, ours} & {*overrides.tasks}]


def _at_scale(part: Part, scale: Scale) -> Part | None:
    """The part with what the scale says otherwise; None where the scale leaves it out (`parts.NAME = {skip = true}`)."""
    if scale.leaves_out(part.name):
        return None
    other = {key: value for key, value in scale.parts.get(part.name, {}).items() if key != "skip"}
    return gateable(Part.model_validate(part.model_dump() | other))


def _cells(
    preset: Preset, part: Part, scale: Scale, overrides: Overrides, before: Mapping[str, CellSpec]
) -> Iterator[CellSpec]:
    models = part.models or [name for name in scale.models if "@" not in name]
    chosen = _chosen(preset, scale, overrides)
    tasks = [name for name in part.tasks or scale.tasks if name in chosen]
    for model, values in product([name for name in models if name in scale.models], _values(part, scale)):
        model_key = _variant(model, part.variant, values, scale)
        if model_key is None:
            raise _no_variant(part, model, values, overrides)
        for task in tasks:
            with_prompt, without = (
                (_run(part, scale, overrides, scale.models[model_key], task, coordinates), coordinates)
                for coordinates in (values, {axis: value for axis, value in values.items() if axis not in OF_SOFT})
            )
            settings = Run.model_validate(with_prompt[0])
            cells: list[CellSpec] = []
            for method in part.methods:
                label = LABELS.get(method, method)
                if label.startswith(GATE):
                    cells += _gated(part, cells, method)
                    continue
                run, coordinates = with_prompt if row_of(settings, label).soft else without
                where = {"model": model, "task": task} | {axis: str(value) for axis, value in coordinates.items()}
                cells += _of_method(part, scale, run, method, where, coordinates, before)
            yield from cells


def _values(part: Part, scale: Scale) -> list[dict[str, int | str]]:
    """Every combination of the part's axes."""
    lists = [[(axis, value) for value in scale.axes.get(axis, [])] for axis in part.over]
    return [dict(pairs) for pairs in product(*lists)]


def _variant(model: str, variant: str, values: Mapping[str, int | str], scale: Scale) -> str | None:
    """The key of the model that stands for `model` here; None where the scale has none."""
    objective, adaptation = values.get("objective"), values.get("adaptation")
    suffix = variant
    if objective in ("span", "sentinel"):
        suffix = "span"
    if adaptation is not None:
        suffix = f"{adaptation}"
    if not suffix or suffix == "lm":
        return model
    key = f"{model}@{suffix}"
    if key in scale.models:
        return key
    return model if variant and not values else None


def _no_variant(part: Part, model: str, values: Mapping[str, int | str], overrides: Overrides) -> ForewordError:
    at = " and ".join(f"{axis} {values[axis]}" for axis in ("objective", "adaptation") if axis in values)
    named = "--models names no variants of a model, so" if overrides.models else "so"
    return ForewordError(
        f"The part {part.name} is laid out over {' and '.join(part.over)}, and for {at} there is no variant of the model {model}; {named} "
        f'write a study file whose models have it, such as "{model}@{"span" if "objective" in values else values["adaptation"]}" = NAME.'
    )


def _run(
    part: Part, scale: Scale, overrides: Overrides, model: str, task: str, values: Mapping[str, int | str]
) -> dict[str, Any]:
    """The settings of a run, each later one winning: the scale's, the task's, the part's, the axes', the user's. task: the paper's name.
    A task without labels has other words to start from where its own settings say so, also where the axis says labels."""
    labels = [label for label in _labels(part) if not label.startswith(GATE)]
    base: dict[str, Any] = {
        "model": model,
        **settings_of_task(scale.tasks[task]),
        "methods": labels,
        "seeds": _seeds(part, scale, overrides),
    }
    axes: dict[str, Any] = {}
    if "length" in values:
        axes["prompt_length"] = values["length"]
    each = scale.each.get(task, {})
    if "init" in values:
        axes["init"] = values["init"]
        if values["init"] == "labels" and "init" in each.get("tuning", {}):
            axes["init"] = each["tuning"]["init"]
    run = base
    for above in (scale.run, each, part.run, {"tuning": axes} if axes else {}):
        run = _over(run, above)
    if values.get("objective") == "sentinel":
        run["answer"] = SENTINEL
    run = _over(run, overrides.run)
    Run.model_validate(run)
    return run


def _labels(part: Part) -> list[str]:
    return list(dict.fromkeys(LABELS.get(method, method) for method in part.methods))


def _gated(part: Part, cells: Sequence[CellSpec], method: str) -> Iterator[CellSpec]:
    """A gate of each seed, which needs PT and IPT before it."""
    pts, ipts = ([cell for cell in cells if cell.at.label == label] for label in GATED)
    for pt, ipt in zip(pts, ipts, strict=True):
        at = replace(ipt.at, label=LABELS.get(method, method), length=None, init="")
        paper = {name: value for name, value in ipt.paper.items() if name != "length"} | {"method": method}
        id_ = key_of({"cell": [at.as_dict(), ipt.run, pt.id, ipt.id]})[:24]
        yield replace(ipt, id=id_, unit=id_, at=at, paper=paper, gates=(pt.id, ipt.id))


def _seeds(part: Part, scale: Scale, overrides: Overrides) -> list[int]:
    if overrides.seeds:
        return list(overrides.seeds)
    more = range(max(scale.seeds) + 1, max(scale.seeds) + 1 + part.seeds)
    return [*scale.seeds, *more][: part.seeds] if part.seeds else list(scale.seeds)


def _over(under: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _over(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return merged


def _of_method(
    part: Part,
    scale: Scale,
    run: dict[str, Any],
    method: str,
    where: Mapping[str, str],
    values: Mapping[str, int | str],
    before: Mapping[str, CellSpec],
) -> Iterator[CellSpec]:
    label = LABELS.get(method, method)
    settings = Run.model_validate(run)
    row = row_of(settings, label)
    trained = _trained_on(part, scale, method)
    sources: list[CellSpec | None] = [None]
    if part.carries:
        sources = [
            cell
            for cell in before.values()
            if cell.at.part == part.carries and cell.at.length is not None and cell.paper["model"] == where["model"]
        ]
        sources = [cell for cell in sources if cell is not None and cell.at.task != (settings.task or settings.data)]
    for source in sources:
        seeds = settings.seeds if row.random() else settings.seeds[:1]
        for seed in [source.at.seed] if source is not None else seeds:
            if seed in settings.seeds:
                yield _spec(part, scale, run, method, row, seed, where, values, trained, source)


def _trained_on(part: Part, scale: Scale, method: str) -> tuple[str, ...]:
    if part.together or method == "multi-task":
        return tuple(scale.tasks[name] for name in part.tasks or scale.tasks if name in scale.tasks)
    if part.train_on:
        return (scale.tasks.get(part.train_on, part.train_on),)
    return ()


def _spec(
    part: Part,
    scale: Scale,
    run: dict[str, Any],
    method: str,
    row: Method,
    seed: int,
    where: Mapping[str, str],
    values: Mapping[str, int | str],
    trained: tuple[str, ...],
    source: CellSpec | None,
) -> CellSpec:
    settings = Run.model_validate(run)
    carried = source is not None
    at = Coordinates(
        part=part.name,
        model=run["model"],
        task=settings.task or settings.data,
        label=LABELS.get(method, method),
        seed=seed,
        length=settings.tuning.prompt_length if row.soft else None,
        init=("warm_start" if carried else settings.tuning.init) if row.soft else "",
        objective=str(values.get("objective", "")),
        source=source.at.task if source is not None else "+".join(trained),
        setting={"adaptation": str(values["adaptation"])} if "adaptation" in values else {},
    )
    paper = dict(where) | {"method": method}
    if row.soft and "length" not in paper:
        paper["length"] = str(settings.tuning.prompt_length)
    if source is not None:
        paper["source"] = source.paper["task"]
    elif part.train_on:
        paper["source"] = part.train_on
    plain = [run, part.relabel, scale.generated, list(trained), source.id if source else ""]
    if part.split != "test":
        plain.append(part.split)
    shared = [run | {"task": "", "data": ""}, part.relabel, scale.generated, list(trained), at.label, seed]
    return CellSpec(
        id=key_of({"cell": [at.as_dict(), *plain]})[:24],
        unit=key_of({"unit": shared if trained else [at.as_dict(), *plain]})[:24],
        at=at,
        paper=paper,
        run=run,
        train_on=trained,
        relabel=dict(part.relabel),
        generated=scale.generated,
        carries=source.id if source is not None else "",
        split=part.split,
    )


def units_of(cells: Sequence[CellSpec]) -> dict[str, list[CellSpec]]:
    """Cells by unit, in an order in which what a cell carries comes before it, and a model's cells stand together."""
    known = {cell.id: cell for cell in cells}
    models = list(dict.fromkeys(cell.at.model for cell in cells))
    order = sorted(cells, key=lambda cell: (bool(cell.needs), models.index(cell.at.model)))
    units: dict[str, list[CellSpec]] = {}
    for cell in order:
        for needed in cell.needs:
            if needed not in known:
                raise ForewordError(f"The cell {cell.id} needs the cell {needed}, which is not in the study.")
        units.setdefault(cell.unit, []).append(cell)
    return units


def cells_of(runs: Sequence[Run]) -> list[CellSpec]:
    """The cells of plain runs, as `foreword compare` has them: each method with each seed; those that two runs ask for once."""
    cells: dict[str, CellSpec] = {}
    for run in runs:
        settings = run.model_dump(exclude={"out", "device", "tuning"}, exclude_unset=True)
        settings["tuning"] = run.tuning.model_dump(exclude_unset=True)
        for label in run.methods:
            row = row_of(run, label)
            for seed in run.seeds if row.random() else run.seeds[:1]:
                length = run.tuning.prompt_length if row.soft else None
                at = Coordinates("", run.model, run.task, label, seed, length, run.tuning.init if row.soft else "")
                id_ = key_of({"cell": [at.as_dict(), settings]})[:24]
                cells[id_] = CellSpec(id_, id_, at, {"model": run.model, "task": run.task, "method": label}, settings)
    return list(cells.values())
