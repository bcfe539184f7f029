"""Runs one unit of a study, by its name: the cells that share a training, to published records; it refuses to hold two models at once, and
to publish what another has published."""

from __future__ import annotations

import hashlib
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from foreword import tasks
from foreword.config.run import Run
from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.engine.memory import out_of_memory
from foreword.metrics import METRICS, read_named
from foreword.metrics.own import file_of
from foreword.prompts.inits import INITS
from foreword.prompts.methods import ROWS, current
from foreword.prompts.retrieve import RETRIEVERS
from foreword.results.cells import Scored
from foreword.results.clusters import renamed_in
from foreword.results.record import ENGINE, Record
from foreword.study import gate
from foreword.study.composed import generated, prefixed, relabelled, together
from foreword.study.grid import CellSpec
from foreword.study.plan import Plan, backbone_of, model_key, plan, renamed
from foreword.study.preset import GATED, settings_of_task
from foreword.study.resolve import row_of, task_of
from foreword.study.stored import Folder, State, ended
from foreword.study.trial import Trial
from foreword.tasks import TASKS, module, place, shelf_name
from foreword.train.trainables import TRAINABLES
from foreword.util.claims import Claim
from foreword.util.environment import versions
from foreword.util.errors import ForewordError, TrialFailedError
from foreword.util.files import canonical, remove_empty, stands
from foreword.util.plugins import Shelf, plugins
from foreword.util.progress import Progress, silent

HELD_AT_ONCE = 8  # plans and tasks that are held at once
Held = TypeVar("Held")


@dataclass
class Bench:
    """One worker's models and tasks in memory. device: where it computes; the run's own where it is empty. pricing: nothing is to be run,
    and a soft prompt that is not there yet is taken for one that was never tuned, which costs the same."""

    out: Path
    device: str = ""
    progress: Progress = silent
    pricing: bool = False
    _model: tuple[tuple[Any, ...], Backbone] | None = None
    _tasks: OrderedDict[str, Task] = field(default_factory=OrderedDict)
    _plans: OrderedDict[str, Plan] = field(default_factory=OrderedDict)

    def run_of(self, cell: CellSpec) -> Run:
        """A cell's settings, in the study's folder and on this worker's device."""
        run = cell.settings()
        update: dict[str, Any] = {"out": str(self.out)}
        if self.device:
            update["device"] = self.device
        return run.model_copy(update=update)

    def trials(self, cells: Sequence[CellSpec]) -> tuple[Trial, list[Trial]]:
        """The trial that trains, and those of the cells, in their order."""
        first = cells[0]
        if not first.train_on:
            (cell,) = cells
            trial = self._trial(cell, self._plan(self._carrying(cell), self._task(cell, cell.at.task), ""))
            return trial, [trial]
        trainer = self._trial(first, self._plan(self._trainers(first), self._trained_on(first), "trainer"))
        scored = []
        for cell in cells:
            if cell.train_on == (cell.at.task,):
                scored.append(trainer)
                continue
            trial = self._trial(cell, self._plan(self.run_of(cell), self._scored(cell), "scored"))
            scored.append(replace(trial, spec=replace(trial.spec, source=trainer.key)))
        return trainer, scored

    def gated(self, cell: CellSpec) -> tuple[Trial, Trial]:
        """The two trials, of PT and of IPT, whose answers a gate chooses between."""
        planned = self._plan(self.run_of(cell), self._task(cell, cell.at.task), "")
        pt, ipt = (replace(cell, at=replace(cell.at, label=label)) for label in ("pt", "ipt"))
        return self._trial(pt, planned), self._trial(ipt, planned)

    def _trainers(self, cell: CellSpec) -> Run:
        return on_task(self.run_of(cell), cell.train_on[0])

    def _trained_on(self, cell: CellSpec) -> Task:
        names = cell.train_on
        if len(names) == 1:
            return self._task(cell, names[0])
        dev = cell.settings().tuning.dev_limit
        return together([self._task(cell, name) for name in names], dev)

    def _scored(self, cell: CellSpec) -> Task:
        task = relabelled(self._task(cell, cell.at.task), cell.relabel)
        return prefixed(task) if len(cell.train_on) > 1 else task

    def _carrying(self, cell: CellSpec) -> Run:
        """The run with the soft prompt that the cell carries."""
        run = self.run_of(cell)
        if not cell.carries:
            return run
        record = Folder(self.out).record(cell.carries)
        if record is None and self.pricing:
            return run.model_copy(update={"tuning": run.tuning.model_copy(update={"max_steps": 0})})
        if record is None or not record.prompt:
            raise TrialFailedError(
                "The soft prompt that it carries is not there: the cell that makes it did not end well."
            )
        tuning = run.tuning.model_copy(
            update={"init": "warm_start", "init_prompt": str(self.out / record.prompt), "max_steps": 0}
        )
        return run.model_copy(update={"tuning": tuning})

    def _task(self, cell: CellSpec, name: str) -> Task:
        run = on_task(self.run_of(cell), name)
        key = canonical([run.model_dump(exclude={"model", "methods", "seeds", "tuning"}), cell.generated])

        def load() -> Task:
            read_named(run.metrics)
            task = task_of(run)
            return generated(task) if cell.generated else task

        return _held(self._tasks, key, load)

    def _plan(self, run: Run, task: Task, role: str) -> Plan:
        key = canonical([run.model_dump(exclude={"seeds"}), task.fingerprint, role, run.seeds])
        return _held(
            self._plans, key, lambda: plan(run, task=task, backbone=self.backbone(run), progress=self.progress)
        )

    def backbone(self, run: Run) -> Backbone:
        """The run's model, loaded; the one before is let go."""
        key = model_key(run)
        if self._model is None or self._model[0] != key:
            self._model = None
            self._plans.clear()
            self._model = (key, backbone_of(run, self.progress))
        return self._model[1]

    def _trial(self, cell: CellSpec, planned: Plan) -> Trial:
        """The cell's trial of a plan, on the split that it scores. What a carried prompt's folder is called is no part of what it is."""
        at = cell.at
        trial = next(
            candidate
            for candidate in planned.trials
            if candidate.spec.label == at.label and candidate.spec.seed == at.seed
        )
        tuning = trial.spec.tuning.model_copy(update={"init_prompt": ""})
        return replace(trial, spec=replace(trial.spec, tuning=tuning, split=cell.split), progress=self.progress)


def _held(shelf: OrderedDict[str, Held], key: str, make: Callable[[], Held]) -> Held:
    """What the shelf has under that key, made where it is missing; the longest unused goes."""
    if key not in shelf:
        shelf[key] = make()
        while len(shelf) > HELD_AT_ONCE:
            shelf.popitem(last=False)
    shelf.move_to_end(key)
    return shelf[key]


def on_task(run: Run, name: str) -> Run:
    """The run on another task, or on other data of the user's."""
    return run.model_copy(update={"task": "", "data": ""} | settings_of_task(name))


def stamp(cell: CellSpec) -> str:
    """A digest of the files that model and data are read from, by name, size and date, and of the items of other packages that the cell
    names, by their contents: where it is another than before, a finished cell is looked at again, and known by its trial's key."""
    run, tasks = cell.settings(), (cell.at.task, *cell.train_on)
    paths = [run.model, run.target_tokenizer, run.dev, run.test, run.encoder, run.tuning.init_prompt]
    paths += [name for name in tasks if "data" in settings_of_task(name)]
    paths += [str(file) for name in run.metrics if (file := file_of(name)) is not None]
    places = [Path(name) for name in paths if name and stands(name)]
    for name in tasks:
        if "task" in settings_of_task(name) and hasattr(module(name), "PLACE"):
            folder = place(name, run.data_dir or None)
            places += [folder] if folder is not None else []
    files = [
        [str(path), path.stat().st_size, path.stat().st_mtime_ns]
        for where in places
        for path in (sorted(where.rglob("*")) if where.is_dir() else [where])
        if path.is_file()
    ]
    whole = [versions()["foreword"], ENGINE, run.model, run.revision, tasks, files]
    if brought := _brought(cell, run):
        whole.append(brought)
    return hashlib.sha256(canonical(whole).encode()).hexdigest()[:16]


def _brought(cell: CellSpec, run: Run) -> list[str]:
    """The identities of what a cell names of other packages' items; none where all are foreword's own."""
    labels = [current(label) for label in (GATED if cell.gates else [cell.at.label])]
    rows = [row_of(run, label) for label in labels]
    named: list[tuple[Shelf[Any], str]] = [(ROWS, label.partition(":")[0].partition("+")[0]) for label in labels]
    named += [(RETRIEVERS, row.retriever) for row in rows if row.retriever]
    named += [(TRAINABLES, row.trainable) for row in rows if row.trains]
    named += [(INITS, run.tuning.init) for row in rows if row.trains]
    own = [shelf_name(name) for name in (cell.at.task, *cell.train_on) if "task" in settings_of_task(name)]
    named += [(TASKS, name) for name in own]
    named += [(METRICS, name) for name in run.metrics if file_of(name) is None]
    if any(TASKS.plugin(name) for name in own):  # its own metrics may be any of them
        named += [(METRICS, name) for name in plugins("metric")]
    return list(dict.fromkeys(filter(None, (shelf.identity(name) for shelf, name in named))))


def run_unit(bench: Bench, cells: Sequence[CellSpec], claim: Claim) -> int:
    """Run the cells of a unit that have not ended, and publish their records and how they ended; how many were computed now. A cell that
    cannot be finished is recorded with its cause. What was claimed by another meanwhile is not published."""
    folder = Folder(bench.out)
    if ended(folder, cells):
        return 0
    try:
        with _memory():
            return _run(bench, folder, cells, claim)
    except ForewordError as error:
        if not claim.lost():
            _failed(folder, cells, str(error))
    except (
        Exception
    ) as error:  # a fault of foreword's or a library's, of this cell: said with its kind, and the others go on
        if not claim.lost():
            _failed(folder, cells, f"{type(error).__name__}: {error}")
    return 0


def _gate(bench: Bench, folder: Folder, cell: CellSpec, claim: Claim) -> int:
    """The record of a gate, out of the two that it chooses between."""
    pt, ipt = bench.gated(cell)
    key = gate.key(cell.at.label, pt, ipt)
    path, computed = folder.record_path(key), 0
    if not path.is_file():
        record = gate.gated(cell.at.label, gate.side(pt), gate.side(ipt))
        if claim.lost():
            return 0
        computed = record.write_once(path)
    _done(bench, folder, cell, ipt, key)
    return int(computed)


def _run(bench: Bench, folder: Folder, cells: Sequence[CellSpec], claim: Claim) -> int:
    if cells[0].gates:
        return _gate(bench, folder, cells[0], claim)
    trainer, scored = bench.trials(cells)
    todo = {trial.key: (cell, trial) for cell, trial in zip(cells, scored, strict=True) if trial.finished() is None}
    for cell, trial in zip(cells, scored, strict=True):
        if trial.key not in todo:
            _done(bench, folder, cell, trial)
    suffix = "" if claim.turn == 1 else f"-{claim.owner[:8]}"
    stale = [trial.path for _, trial in todo.values() if trial.path.is_file()]  # their soft prompts are gone
    computed = 0
    for record in trainer.computed([trial for _, trial in todo.values()], suffix) if todo else ():
        cell, trial = todo[record.key]
        if claim.lost():
            return computed
        if trial.path in stale:
            trial.path.unlink(missing_ok=True)
        computed += renamed(record, trial).write_once(trial.path)
        _done(bench, folder, cell, trial)
    shutil.rmtree(trainer.work, ignore_errors=True)
    remove_empty(trainer.work.parent)
    return computed


def _done(bench: Bench, folder: Folder, cell: CellSpec, trial: Trial, key: str = "") -> None:
    """A cell's record is there, under the trial's key or another."""
    key, run, answered = key or trial.key, cell.settings(), trial.task.split(trial.spec.split)
    before = len(bench._task(cell, cell.at.task).split(trial.spec.split))
    scored = scored_of(run, len(answered), before, trial.spec.split)
    clusters = renamed_in(Record.read(folder.record_path(key)), answered)
    state = State(
        state="done",
        key=key,
        stamp=stamp(cell),
        examples=len(answered),
        shape=_shape(trial.backbone),
        scored=None if scored is None else asdict(scored),
        clusters=clusters,
    )
    folder.end(cell.id, state)


def scored_of(run: Run, examples: int, before: int, of: str = "test") -> Scored | None:
    """Which examples of the official split a run scores; None where its task has no such split. examples: how many it scores; before: how
    many there were with those that do not fit the model. of: the task's own split."""
    if not run.task or tasks.scored(run.task) is None:
        return None
    split = tasks.scored(run.task, tasks.place(run.task, run.data_dir or None), of)
    if split is None:
        return Scored(run.task, "a part of train", examples, examples, "examples")
    if not split.official:
        return None
    size = split.size if split.file else split.official  # the hub's are whole
    limited = run.limit is not None and before == run.limit < size
    if limited or examples < before:  # several rows may be one example, so that these are not counted in rows
        whole = split.official if limited or size < split.official else before
        return Scored(run.task, split.name, examples, whole, "examples")
    return Scored(run.task, split.name, size, split.official, split.unit)


def _shape(backbone: Backbone) -> dict[str, int]:
    """A model's size: parameters, hidden size, layers (those of both halves of an encoder-decoder), and the width of a layer's keys, which
    is that of its values; 0 where its configuration names no attention heads."""
    config = backbone.model.config
    layers = int(getattr(config, "num_hidden_layers", 0) or 0)
    decoder = int(getattr(config, "num_decoder_layers", 0) or 0) if backbone.kind == "seq2seq" else 0
    size = {"parameters": backbone.parameters, "hidden": backbone.hidden, "layers": layers + decoder}
    return size | {"key_value": _key_value(config)}


def _key_value(config: Any) -> int:
    """Heads of keys times the width of each; Falcon's older models and StarCoder share one among all heads."""
    heads, hidden = (int(getattr(config, name, 0) or 0) for name in ("num_attention_heads", "hidden_size"))
    shared = getattr(config, "num_key_value_heads", 0) or getattr(config, "num_kv_heads", 0) or heads
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        shared = 1
    each = getattr(config, "d_kv", 0) or getattr(config, "head_dim", 0) or (hidden // heads if heads else 0)
    return int(shared) * int(each)


def _failed(folder: Folder, cells: Sequence[CellSpec], cause: str) -> None:
    for cell in cells:
        if folder.state(cell.id) is None:
            folder.end(cell.id, State("failed", cause=cause))


@contextmanager
def _memory() -> Iterator[None]:
    """Memory that runs out is one unit's failure."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise TrialFailedError(
            "The memory is not enough; lower batch_size or tuning.batch_size, or use dtype = 'bfloat16'."
        ) from error
