"""Single soft prompts: fit one and keep it, use one to answer or to be scored; it refuses a prompt of another backbone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.data.examples import Example, examples
from foreword.data.readers import Rows, read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import Backbone
from foreword.infer.decoding import GREEDY, Decoding
from foreword.infer.predict import predict_ensemble
from foreword.prompts import store
from foreword.prompts.methods import current
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import Record
from foreword.results.remarks import cut
from foreword.study.fitting import fitting_split
from foreword.study.places import inputs_of, may_write_folder
from foreword.study.plan import Plan, backbone_of, encoder_of, plainly, plan_of, renamed, spoken, suits, unread
from foreword.study.remembered import cut_as_tuned, pool_of, recalled
from foreword.study.representable import representable, uneven
from foreword.study.resolve import (
    checked,
    choices_of,
    columns_of,
    form_of,
    heard,
    row_of,
    scarce,
    scored_task,
    task_of,
    worded,
)
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from foreword.tasks._own import instructed
from foreword.train.loop import Tuned
from foreword.train.trainables import TRAINABLES, usable
from foreword.util import phrases
from foreword.util.errors import ForewordError
from foreword.util.files import held, may_write, refuse_input, remove_empty, tidy, unwritable, writable_folder
from foreword.util.progress import Progress, silent


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt that was fitted. dev: its best dev score (loss in nats an answer token, or the metric's negative)."""

    prompt: str
    backbone: str
    task: str
    method: str
    seed: int
    prompt_length: int
    trainable_parameters: int
    steps: int
    best_step: int
    dev: float | None
    train_seconds: float
    digest: str
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """For people."""
        dev_text = (
            "" if self.dev is None else f", best dev score {self.dev:.4g} at step {self.best_step} of {self.steps}"
        )
        return (
            f"Tuned {self.prompt_length} vectors ({self.trainable_parameters:,} numbers) in {self.train_seconds:.1f} s{dev_text}. "
            f"Prompt: {self.prompt}"
        )


def tune_one(run: Run, *, progress: Progress = silent, backbone: Backbone | None = None) -> FittedPrompt:
    """Fit the soft prompt that the run describes (its first method and seed) and write it to run.out. A killed run goes on from
    its last checkpoint. Raises ForewordError for a method without a soft prompt, or when run.out holds something else."""
    out = Path(run.out)
    alone: dict[str, Any] = {"methods": run.methods[:1], "seeds": run.seeds[:1]}
    if run.data and run.dev and not run.test:
        alone["test"] = (
            run.dev
        )  # nothing is scored here: the dev file keeps its work, which is to choose the best prompt
    run = heard(checked(run.model_copy(update=alone)))
    if not row_of(run, run.methods[0]).soft:
        raise ForewordError(f"The method '{run.methods[0]}' has no soft prompt to tune; name pt, ipt or ipt-fixed.")
    refuse_input(out, inputs_of(run))
    _prompt_at(out)
    task = task_of(run)
    may_write(out.absolute().parent)
    work = out.absolute().parent / f".{out.absolute().name}.work"
    with held(work) as free:
        if not free:
            raise ForewordError(
                f"Another process is tuning a prompt into {out} now; give --out another folder, or wait until it is done."
            )
        try:
            planned = plan_of(run, task=task, progress=progress, backbone=backbone, scores=False)
            tuned, prompt = _fitted(replace(planned.trials[0], out=work), out)
            shutil.rmtree(work, ignore_errors=True)
        finally:
            remove_empty(work / "work", work)
    return FittedPrompt(
        prompt=str(out),
        backbone=planned.backbone.name,
        task=planned.task.name,
        method=run.methods[0],
        seed=run.seeds[0],
        prompt_length=prompt.length,
        trainable_parameters=tuned.parameters,
        steps=int(tuned.curve[-1]["step"]) if tuned.curve else 0,
        best_step=tuned.step,
        dev=min((point["dev"] for point in tuned.curve), default=None),
        train_seconds=round(tuned.seconds, 3),
        digest=prompt.digest,
        notes=planned.task.remarks,
    )


def _fitted(trial: Trial, out: Path) -> tuple[Tuned, SoftPrompt]:
    """Tune the trial's prompt and keep it. Raises ForewordError where a prompt of another making stands there by now."""
    there = _prompt_at(out)
    if there is not None and (differs := _differs(there, trial)):
        raise ForewordError(
            f"{out} holds a prompt of another making ({there.provenance.label or 'pt'} for "
            f"{there.provenance.task or 'a task unknown here'}, seed {there.provenance.seed}; what differs: {differs}); give --out a new "
            "folder, or delete that one."
        )
    tuned, prompt = trial.fit()
    assert tuned is not None and prompt is not None, "a method with a soft prompt trains and keeps one"
    tidy(out.absolute().parent, out.absolute().name)
    store.save(prompt, out)
    return tuned, prompt


def _prompt_at(out: Path) -> SoftPrompt | None:
    """The prompt that stands where one is to be written; None where there is nothing. Raises ForewordError for anything else."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return None
    except OSError as error:
        raise unwritable(out, error) from error
    if not (out / store.CONFIG).is_file():
        raise ForewordError(f"{out} is not empty and holds no prompt; give --out a new folder.")
    return store.load(out)


def _differs(there: SoftPrompt, trial: Trial) -> str:
    """In what a prompt's making differs from this one; empty where it came of this very training, so that to make it again changes
    nothing. A prompt of an earlier version does not keep its trial's key."""
    provenance, spec = there.provenance, trial.spec
    pairs = {
        "the model": (provenance.fingerprint, trial.backbone.fingerprint),
        "the task": (provenance.task_fingerprint, trial.task.fingerprint),
        "the method": (provenance.method, spec.method.as_dict()),
        "settings of tuning": (provenance.tuning, spec.tuning.stored()),
        "the seed": (provenance.seed, spec.seed),
    }
    names = [name for name, (before, now) in pairs.items() if before != now]
    if not names and provenance.settings.get("trial", trial.key) != trial.key:
        names = ["what else a trial rests on, such as dtype, encoder, metrics or --max-new-tokens"]
    return phrases.listed(names) if names else ""


def with_prompt(run: Run, folder: str, label: str | None) -> tuple[Run, SoftPrompt | None]:
    """The run as a prompt wants to be used: its method and wording, where the user says nothing else. Without a prompt: the
    method named, else zero."""
    if not folder:
        method = current(label or "zero")
        row = row_of(run, method)
        if row.soft:
            raise ForewordError(
                f"The method '{method}' needs a soft prompt; give --prompt FOLDER, as `foreword tune` writes it."
            )
        if not usable(method):
            raise ForewordError(
                f"The method '{method}' trains {TRAINABLES[row.trainable].trains} and keeps nothing; it is there to be compared, "
                "by `foreword compare`."
            )
        return heard(run.model_copy(update={"methods": [method], "tuning": Tuning(max_steps=0)})), None
    path = store.located(folder)
    prompt = store.load(path)
    run = recalled(run, prompt)
    method = current(label or prompt.provenance.label or "pt")
    row = row_of(run, method)
    if not row.soft:
        raise ForewordError(
            f"The method '{method}' uses no soft prompt, and --prompt {folder} is given; leave one of them out."
        )
    heard(run.model_copy(update={"methods": [method]}))
    update: dict[str, Any] = {
        "methods": [method],
        "tuning": Tuning(max_steps=0, prompt_length=prompt.length, init="warm_start", init_prompt=str(path)),
    }
    if run.chat == "auto" and prompt.provenance.fingerprint:
        update["chat"] = "on" if prompt.provenance.chat else "off"
    known = {name: value for name, value in prompt.provenance.template.items() if getattr(run, name, None) is None}
    if known and (run.data or not run.task or run.task == prompt.provenance.task):
        update |= known
    return run.model_copy(update=update), prompt


def score(
    run: Run, prompt: str, label: str | None, *, progress: Progress = silent, backbone: Backbone | None = None
) -> tuple[Plan, Record]:
    """Answer and score the test split with a given prompt (or with words only); a finished record is taken as it is."""
    run, soft = with_prompt(run, prompt, label)
    run = checked((run if soft is None else cut_as_tuned(run, soft)).model_copy(update={"seeds": run.seeds[:1]}))
    task = scored_task(run, whole_pool=True)
    task = task if task.train else replace(task, train=pool_of([soft], task.test))
    _needs_pool(run, task.train, "--data FILE")
    may_write_folder(run, prompt=prompt)
    planned = plan_of(run, task=task, progress=progress, backbone=backbone)
    writable_folder(Path(run.out))
    for name in ("records", "prompts"):
        tidy(Path(run.out) / name)
    (trial,) = planned.trials
    return planned, renamed(trial.run(), trial)


def _needs_pool(run: Run, pool: Sequence[Example], flag: str) -> None:
    if row_of(run, run.methods[0]).demonstrations != "none" and not pool:
        raise ForewordError(
            f"The method '{run.methods[0]}' shows demonstrations and there are none; give {flag} with training examples."
        )


@dataclass(frozen=True)
class Inputs:
    """Inputs to be answered, as a task whose test split they are; its train split is what may be demonstrated. members: what answers
    them, a run with its soft prompt; several are an ensemble."""

    task: Task
    members: tuple[tuple[Run, SoftPrompt | None], ...]


PER_MEMBER = ("methods", "tuning", "seeds", "metrics")  # settings in which the members of an ensemble may differ


def inputs(run: Run, prompts: Sequence[str], label: str | None, demonstrations: str) -> Inputs:
    """The inputs of a file (their answers need not be there), or of a built-in task's test split.
    prompts: folders, none for words only. demonstrations: a file of worked examples, else the built-in task's training split. No
    model is loaded. Raises ForewordError for a method that needs what is not given, and for prompts that want different wordings."""
    with_prompts = [with_prompt(run, folder, label) for folder in prompts or ("",)]
    beside = [demonstrations] if demonstrations else []
    members = tuple((checked(member_run, beside=beside), soft) for member_run, soft in with_prompts)
    run = members[0][0]
    for (member_run, _), folder in zip(members, prompts, strict=False):
        if differing := [
            name
            for name in Run.model_fields
            if getattr(member_run, name) != getattr(run, name) and name not in PER_MEMBER
        ]:
            flags = phrases.listed([f"--{name.replace('_', '-')}" for name in differing])
            raise ForewordError(
                f"The prompts {prompts[0]} and {folder} were tuned with other settings of {flags}, and an ensemble asks all of them the "
                "same; leave one out, or say these here."
            )
    rows_of: dict[str, tuple[str, Rows]] = {}
    if run.task:
        task = task_of(run)
    elif run.data:
        rows = read_rows(run.data, form=form_of(run), as_written=True)
        rows_of["test"] = (run.data, rows)
        template = worded(Template(), run)
        task = Task("inputs", (), (), tuple(_inputs(run, template, rows))[: run.limit], template, ("exact_match",))
    else:
        raise ForewordError("There are no inputs; give --data FILE, or --task NAME for its test split.")
    if demonstrations:
        rows = read_rows(demonstrations, form=form_of(run), as_written=True)
        rows_of["demonstrations"] = (demonstrations, rows)
        task = replace(task, train=tuple(_pool(run, rows, demonstrations, task.template)))
    template, unheard = instructed(task.template, rows_of, columns_of(run))
    task = replace(task, template=template, notes=(*task.notes, *unheard))
    if not task.train:
        task = replace(task, train=pool_of([soft for _, soft in members], task.test))
    for member_run, _ in members:
        _needs_pool(member_run, task.train, "--demonstrations FILE")
    return Inputs(replace(task, dev=()), members)


def _inputs(run: Run, template: Template, rows: Rows) -> list[Example]:
    return examples(
        rows,
        columns_of(run),
        choices=choices_of(run),
        answers_needed=False,
        origin=run.data,
        fields_needed=template.names(),
    )


def _pool(run: Run, rows: Rows, demonstrations: str, template: Template) -> list[Example]:
    return examples(
        rows,
        replace(columns_of(run), id=None),
        choices=choices_of(run),
        empty_answers=template.empty_answers,
        origin=demonstrations,
        fields_needed=template.names(),
        prefix="demonstration",
    )


@dataclass(frozen=True)
class Answered:
    """examples and outputs, one for one. votes: each member's own outputs, the majority of which the outputs are. left_out: how many
    inputs did not fit the window, where the run says to leave those out. dropped: demonstrations that did not fit. notes: what a
    reader of the answers should know. probabilities: of each choice, of one member alone."""

    examples: tuple[Example, ...]
    outputs: tuple[str, ...]
    votes: tuple[tuple[str, ...], ...]
    left_out: int
    dropped: int = 0
    notes: tuple[str, ...] = ()
    probabilities: tuple[dict[str, float], ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out, then the notes."""
        inputs, lost = len(self.examples) + self.left_out, []
        if self.left_out:
            lost.append(f"{self.left_out} of {inputs} inputs do not fit the window and were left out.")
        if self.dropped:
            lost.append(f"demonstrations that do not fit the window were left out, {self.dropped} in all.")
        return (*lost, *self.notes)


def answer(
    questions: Inputs, *, decoding: Decoding = GREEDY, progress: Progress = silent, backbone: Backbone | None = None
) -> Answered:
    """Load the model (or take the one given) and answer every input by each member, all members in one pass; several members vote."""
    run = questions.members[0][0]
    backbone = backbone_of(run, progress) if backbone is None else spoken(run, backbone)
    task = representable(backbone, plainly(run, backbone, questions.task))
    task = replace(task, notes=(*task.notes, *unread(task, run.stop, run.extract), *uneven(run, backbone, task)))
    whole = len(task.test)
    notes: list[str] = list(backbone.notes)
    for member_run, soft in questions.members:
        notes += (*scarce(member_run, (task,)), *(() if soft is None else suits(member_run, backbone, soft)))
        task = replace(
            task, test=fitting_split(member_run, backbone, task, [row_of(member_run, member_run.methods[0])], "test")
        )
    members = [
        (
            None if soft is None else soft.values,
            _trial(member_run, soft, backbone, task, progress).laid() if task.test else [],
        )
        for member_run, soft in questions.members
    ]
    dropped = sum(example.fitted.dropped for _, laid in members for example in laid)
    voted = predict_ensemble(
        backbone,
        task.template,
        members,
        longest=run.max_new_tokens,
        batch_size=run.batch_size,
        choice_score=run.choice_score,
        decoding=decoding,
        progress=progress,
    )
    if voted.cut:
        notes = [*notes, cut(voted.cut, len(task.test) * len(members), run.max_new_tokens)]
    return Answered(
        task.test,
        voted.outputs,
        voted.members,
        whole - len(task.test),
        dropped,
        (*task.remarks, *dict.fromkeys(notes)),
        voted.probabilities,
    )


def _trial(run: Run, soft: SoftPrompt | None, backbone: Backbone, task: Task, progress: Progress) -> Trial:
    row = row_of(run, run.methods[0])
    encoder, encode = encoder_of(run, backbone) if row.retriever == "dense" else ("", None)
    spec = Spec(
        run.methods[0],
        row,
        run.seeds[0],
        run.tuning,
        run.max_new_tokens,
        encoder,
        soft,
        choice_score=run.choice_score,
    )
    return Trial(spec, backbone, task, Path(run.out), encode, run.batch_size, progress)
