"""What a study will cost before anything of it runs: measured on a few steps where model and data are at hand, else counted for an A100; it
refuses to pass one off as the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from huggingface_hub import constants

from foreword.config.run import Run
from foreword.engine import Backbone
from foreword.models import MODELS
from foreword.models.cache import converted_folder, model_folder
from foreword.models.shipped import here_by_name
from foreword.prompts.methods import Method
from foreword.study import gate
from foreword.study.cost import Estimate, estimate
from foreword.study.grid import CellSpec, Study, units_of
from foreword.study.measure import grouped
from foreword.study.pace import pace
from foreword.study.positions import FORWARD
from foreword.study.preset import GATED, settings_of_task
from foreword.study.resolve import row_of, task_of
from foreword.study.stored import Folder
from foreword.study.trial import Trial
from foreword.study.unit import Bench, on_task
from foreword.tasks import about, scored
from foreword.train.loop import MICRO_TOKENS
from foreword.train.trainables import TRAINABLES
from foreword.util import phrases
from foreword.util.files import stands

A100, REACHED = 312e12, 0.4  # operations a second in bfloat16, and the part of them that is taken to be reached
GROWN = 34  # bytes of activations a token, hidden unit and layer that a training keeps (Korthikanti et al. 2022, half precision)
FROZEN = 4  # operations of a training token for each parameter, where the weights get no gradients
LEFT = "choosing checkpoints and encoding for a dense retriever left out"
HEADS = ("model, task, method", "cells", "steps", "M tokens", "time", "memory at least")

"""Parameters, hidden size and layers (of both halves) of the papers' models: of T5 from table 4 of Lester et al. 2021, of the others as
their configurations have them."""
SHAPES: Mapping[str, tuple[int, int, int]] = {
    "bigscience/bloom-1b1": (1_065_314_304, 1536, 24),
    "facebook/opt-1.3b": (1_315_758_080, 2048, 24),
    "gpt2-xl": (1_557_611_200, 1600, 48),
    **{
        name: shape
        for size, shape in {
            "small": (76_961_152, 512, 16),
            "base": (247_577_856, 768, 24),
            "large": (783_150_080, 1024, 48),
            "xl": (2_849_757_184, 2048, 48),
            "xxl": (11_135_332_352, 4096, 48),
        }.items()
        for name in (
            f"google/t5-{size}-lm-adapt",
            f"google/t5-v1_1-{size}",
            *(f"adapted/t5-{size}-{n}" for n in (10000, 50000)),
        )
    },
}


@dataclass(frozen=True)
class Line:
    """The cells of one model, task and method. train, scored: examples of the task itself, 0 where that is not known. trained_on: the tasks
    that are trained on, joined by +, where that is not the task alone. tokens, flop: training and answers, at most. seconds, memory: None
    where the model's size is not known. measured: on this machine, else counted for an A100."""

    model: str
    task: str
    method: str
    cells: int
    train: int
    scored: int
    steps: int
    batch: int
    tokens: int
    flop: float
    seconds: float | None
    memory: float | None
    measured: bool
    trained_on: str = ""

    def row(self) -> list[str]:
        """For people, under HEADS."""
        steps = f"{phrases.whole(self.steps)} of {self.batch}" if self.steps else ""
        return [
            f"{self.model}, {self.task}, {self.method}",
            str(self.cells),
            steps,
            f"{self.tokens / 1e6:,.1f}",
            "" if self.seconds is None else phrases.duration(self.seconds),
            "" if self.memory is None else phrases.size(self.memory),
        ]


@dataclass(frozen=True)
class Priced:
    """A study's lines, and the settings of its runs. done: cells that are finished already."""

    study: Study
    lines: tuple[Line, ...]
    done: int = 0

    def cells(self) -> list[list[str]]:
        """A row a line."""
        return [line.row() for line in self.lines]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "study": self.study.preset.name,
            "scale": self.study.scale,
            "cells": len(self.study.cells),
            "done": self.done,
            "lines": [asdict(line) for line in self.lines],
            "settings": settings(self.study),
        }

    def sentences(self) -> Iterator[str]:
        """The whole in words, and how it is known."""
        whole = [line.seconds for line in self.lines]
        time = phrases.duration(sum(seconds or 0.0 for seconds in whole))
        tokens, flop = sum(line.tokens for line in self.lines), sum(line.flop for line in self.lines)
        count = f"{phrases.plural(len(self.study.cells), 'cell')}, {tokens / 1e6:,.0f} M tokens"
        if whole.count(None) < len(whole):
            yield f"{count}, {flop / 1e15:,.3g} PFLOP: about {time}."
        else:
            yield f"{count}."
        if self.done:
            yield f"{self.done:,} of them are done already and will not run again; the time is for all."
        unknown_size = list(dict.fromkeys(line.model for line in self.lines if line.seconds is None))
        if unknown_size:
            yield (
                f"Not in the time: {phrases.plural(whole.count(None), 'line')} of {', '.join(unknown_size)}, whose size is not known and "
                "which is not on this machine."
            )
        if any(line.measured for line in self.lines):
            yield f"Measured on a few steps and answers here: lines of models and data at hand, {LEFT}."
        if not all(line.measured for line in self.lines):
            long, answer = self.study.preset.tokens
            yield (
                f"Counted, not measured: one A100 in bfloat16 that reaches {REACHED:.0%} of its {A100 / 1e12:.0f} TFLOP a second, inputs "
                f"and answers of full length ({long} and {answer} tokens), {LEFT}."
            )
        yield f"Examples: {'; '.join(self._sizes())}."
        yield "Settings: " + "; ".join(f"{name} {value}" for name, value in settings(self.study).items()) + "."

    def _sizes(self) -> Iterator[str]:
        """Of each task its own examples, and by name what it is trained on where that is another."""
        for task, lines in grouped(self.lines, lambda line: line.task).items():
            others = dict.fromkeys(line.trained_on for line in lines if line.trained_on)
            first = lines[0]
            size = [f"{n:,} {what}" for n, what in ((first.train, "train"), (first.scored, "scored")) if n] or [
                "not counted"
            ]
            yield f"{task} {', '.join([*size, *(f'trained on {names}' for names in others)])}"


# Named also where they are the default: what a paper's recipe is known by.
ALWAYS = (
    "tuning.prompt_length",
    "tuning.init",
    "tuning.optimizer",
    "tuning.learning_rate",
    "tuning.batch_size",
    "tuning.max_steps",
)
LEFT_OUT = {"model", "task", "methods", "tuning", "out"}


def settings(study: Study) -> dict[str, str]:
    """Every setting of its runs that is not the default in all of them, and those of a recipe, each with all its values."""
    runs = [cell.settings() for cell in study.cells]
    changed = {name for run in runs for name in _plain(run, exclude_defaults=True)} | set(ALWAYS)
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in _plain(run).items():
            if name in changed:
                values.setdefault(name, {})[str(value)] = None
    return {name: ", ".join(each) for name, each in sorted(values.items())}


def _plain(run: Run, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """A run's settings under the names that they are set by."""
    plain = run.model_dump(exclude=LEFT_OUT, exclude_defaults=exclude_defaults)
    return plain | {f"tuning.{k}": v for k, v in run.tuning.model_dump(exclude_defaults=exclude_defaults).items()}


def at_hand(run: Run) -> bool:
    """Whether model and data are on this machine, so that nothing has to be fetched."""
    name = run.model
    if name in MODELS:
        file = model_folder(MODELS[name]) / MODELS[name].file
        here = file.is_file() and converted_folder(file, MODELS[name].digest).is_dir()
    else:
        cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
        here = here_by_name(name) or stands(name) or cached.is_dir()
    return here and (stands(run.data) if run.data else about(run.task, run.data_dir or None).ready)


def price(study: Study, out: Path, device: str = "") -> Priced:
    """What the cells of a study cost, those included that are finished. Where model and data are at hand, a few steps and answers run, and
    nothing of them is kept. device: where they run; each run's own where it is empty."""
    units = units_of(study.cells)
    lines: list[Line] = []
    bench = Bench(out, device, pricing=True)
    for group in grouped(units.values(), lambda cells: cells[0].at.model).values():
        ready = all(at_hand(_with_task(cell, name)) for cells in group for cell in cells for name in _tasks(cell))
        lines += _measured(bench, group) if ready else _counted(study, group)
    folder = Folder(out)
    states = [folder.state(cell.id) for cell in study.cells]
    return Priced(study, tuple(lines), sum(state is not None and state.state == "done" for state in states))


def _tasks(cell: CellSpec) -> tuple[str, ...]:
    return (*cell.train_on, cell.at.task)


def _with_task(cell: CellSpec, name: str) -> Run:
    return on_task(cell.settings(), name)


def _line(cells: Sequence[CellSpec], **numbers: Any) -> Line:
    first, tuning = cells[0], cells[0].settings().tuning
    trains = numbers.pop("trains")
    return Line(
        model=first.at.model,
        task=first.at.task,
        method=first.paper["method"],
        trained_on="" if first.train_on == (first.at.task,) else "+".join(first.train_on),
        cells=len(cells),
        steps=tuning.max_steps if trains else 0,
        batch=tuning.batch_size,
        **numbers,
    )


def _key(cell: CellSpec) -> tuple[str, str]:
    return cell.at.task, cell.paper["method"]


# -- where model and data are at hand -----------------------------------------------------------------------------------


def _measured(bench: Bench, units: Sequence[Sequence[CellSpec]]) -> list[Line]:
    """Estimates of every trial of one model, and the pace of the dearest two."""
    costs: list[tuple[CellSpec, Trial, Estimate]] = []
    own: dict[str, Trial] = {}
    for cells in units:
        if cells[0].gates:
            (cell,) = cells
            both = bench.gated(cell)
            own[cell.id] = both[1]
            costs += [(cell, trial, _answers(trial)) for trial in (gate.weighed(cell.at.label, each) for each in both)]
            continue
        trainer, scoring = bench.trials(cells)
        own |= {cell.id: trial for cell, trial in zip(cells, scoring, strict=True)}
        if trainer not in scoring:
            trainer = replace(trainer, spec=replace(trainer.spec, split="dev"))
            costs.append((cells[0], trainer, _training(trainer)))
        for cell, trial in zip(cells, scoring, strict=True):
            costs.append((cell, trial, estimate(trial) if trial is trainer else _answers(trial)))
    estimates = [replace(cost, finished=False) for _, _, cost in costs]
    measured = pace([trial for _, trial, _ in costs], estimates)
    assert measured is not None, "none of these counts as finished"
    whole = sum(cost.tflop for cost in estimates) or 1.0
    lines = []
    for group in grouped(costs, lambda entry: _key(entry[0])).values():
        flop = sum(cost.tflop for _, _, cost in group)
        trial = own[group[0][0].id]
        lines.append(
            _line(
                list({cell.id: cell for cell, _, _ in group}.values()),
                trains=any(cost.training_tokens for _, _, cost in group),
                train=len(trial.task.train),
                scored=len(trial.task.split(trial.spec.split)),
                tokens=sum(cost.training_tokens + cost.answer_tokens for _, _, cost in group),
                flop=flop * 1e12,
                seconds=measured.seconds * flop / whole,
                memory=float(measured.memory),
                measured=True,
            )
        )
    return lines


def _training(trial: Trial) -> Estimate:
    """What it costs to train alone, choosing checkpoints left out."""
    cost = estimate(trial)
    answers = FORWARD * trial.backbone.parameters * cost.answer_tokens / 1e12
    return replace(cost, answer_tokens=1, tflop=cost.tflop - answers)


def _answers(trial: Trial) -> Estimate:
    """What its answers cost alone."""
    cost = estimate(trial)
    return replace(cost, training_tokens=0, tflop=FORWARD * trial.backbone.parameters * cost.answer_tokens / 1e12)


# -- where they are not -------------------------------------------------------------------------------------------------


def _counted(study: Study, units: Sequence[Sequence[CellSpec]]) -> list[Line]:
    lines = []
    firsts = {cells[0].id for cells in units}
    for group in grouped([cell for cells in units for cell in cells], _key).values():
        numbers = [_of_cell(study, cell, cell.id in firsts) for cell in group]
        parameters, hidden, layers = SHAPES.get(group[0].at.model, (0, 0, 0))
        trains = any(training for training, _, _ in numbers)
        flop = sum(flops for _, _, flops in numbers) * parameters
        sizes = _sizes(group[0])
        lines.append(
            _line(
                group,
                trains=trains,
                train=sizes[0],
                scored=sizes[1],
                tokens=sum(training + answers for training, answers, _ in numbers),
                flop=flop,
                seconds=flop / (A100 * REACHED) if parameters else None,
                memory=_memory(study, group[0], parameters, hidden, layers) if parameters else None,
                measured=False,
            )
        )
    return lines


def _of_cell(study: Study, cell: CellSpec, first: bool) -> tuple[int, int, float]:
    """(training tokens, answer tokens, operations for each parameter). first: of its unit, whose training is counted once."""
    run, row = cell.settings(), _row(cell)
    if cell.gates:  # the answers of others, chosen between by what goes through both methods once more
        each = sum(_positions(study, run.tuning.prompt_length, row_of(run, label)) for label in GATED)
        sizes = run.tuning.dev_limit if gate.RULES[cell.at.label].over == "dev" else _sizes(cell)[1]
        answers = min(sizes, run.limit or 10**12) * each
        return 0, answers, FORWARD * answers
    each = _positions(study, cell.at.length or 0, row)
    trains = row.trains and not cell.needs and first
    training = run.tuning.max_steps * run.tuning.batch_size * each if trains else 0
    answers = min(_sizes(cell)[1], run.limit or 10**12) * each
    return training, answers, _flops(row) * training + FORWARD * answers


def _positions(study: Study, soft: int, row: Method) -> int:
    """Of an input and its answer at full length, with what stands before them. soft: of a soft prompt."""
    long, answer = study.preset.tokens
    return soft + long * (1 + row.k) + answer


def _row(cell: CellSpec) -> Method:
    return row_of(cell.settings(), cell.settings().methods[0] if cell.gates else cell.at.label)


def _flops(row: Method) -> int:
    """Operations of a training token for each parameter; 0 where nothing is trained."""
    one_parameter = cast(Backbone, SimpleNamespace(parameters=1))
    return TRAINABLES[row.trainable].flops(one_parameter) if row.trains else 0


def _sizes(cell: CellSpec) -> tuple[int, int]:
    """Official sizes of the task's own training split and of what of it is scored; of a user's own examples, how many there are."""
    if "data" in settings_of_task(cell.at.task):
        own = task_of(_with_task(cell, cell.at.task))
        return len(own.train), len(own.test)
    train = next((held.official for held in about(cell.at.task).splits if held.split == "train"), 0)
    split = scored(cell.at.task, split=cell.split)
    return train, split.official if split else 0


def _memory(study: Study, cell: CellSpec, parameters: int, hidden: int, layers: int) -> float:
    """Bytes: weights in bfloat16, or their copy in float32 with gradients and the optimiser's two moments; and activations."""
    run = cell.settings()
    tokens = min(MICRO_TOKENS, run.tuning.batch_size * (sum(study.preset.tokens) + (cell.at.length or 0)))
    all_trained = _flops(_row(cell)) > FROZEN
    weights = (2 + 16) * parameters if all_trained else 2 * parameters
    return float(weights + GROWN * tokens * hidden * layers)
