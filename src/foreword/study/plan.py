"""The plan of a comparison: task and backbone loaded, everything checked, the grid laid out; it refuses to compute or write anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from foreword.config.run import Run
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.engine import Backbone, encoder_fingerprint, load_backbone
from foreword.metrics.scores import decides, rehearsed, scorable
from foreword.prompts import store
from foreword.prompts.chat import Chat, has_template
from foreword.prompts.inits import INITS
from foreword.prompts.retrieve import sentence_encoder
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.clusters import as_in
from foreword.results.record import Record, refuse_older
from foreword.study import remembered
from foreword.study.base import other_name
from foreword.study.boundary import bounded
from foreword.study.fitting import fitting, fitting_pool
from foreword.study.folds import as_one, folds_of, limited
from foreword.study.representable import representable, roomy, uneven
from foreword.study.resolve import checked, pooling_of, row_of, scarce, task_of, unsaid
from foreword.study.spec import Spec
from foreword.study.trial import Encode, Trial
from foreword.train.trainables import tuning_for
from foreword.util.errors import ForewordError
from foreword.util.phrases import listed
from foreword.util.progress import Progress, silent

REHEARSED = 50  # test examples whose references a user's own metric is tried on before the model is loaded


def backbone_of(run: Run, progress: Progress = silent) -> Backbone:
    """The backbone that a run names, loaded and frozen, spoken to as the run says."""
    return spoken(run, loaded(run, progress))


def model_key(run: Run) -> tuple[str | bool | None, ...]:
    """The settings that decide which backbone `backbone_of` gives."""
    return (run.model, run.dtype, run.device, run.revision, run.chat, run.target_tokenizer, run.trust_remote_code)


def loaded(run: Run, progress: Progress = silent) -> Backbone:
    """The backbone that a run names, loaded and frozen, read as it is."""
    return load_backbone(
        run.model,
        dtype=run.dtype,
        device=run.device,
        revision=run.revision or None,
        target_tokenizer=run.target_tokenizer,
        trust_remote_code=run.trust_remote_code,
        progress=progress,
    )


def spoken(run: Run, backbone: Backbone) -> Backbone:
    """The backbone, spoken to through its chat template where it has one and the run allows it. Raises ForewordError where the run
    asks for a chat and there is no template, or one that cannot be taken apart."""
    tokenizer = backbone.tokenizer.hf
    if run.chat == "off" or backbone.chat is not None:
        return backbone
    if backbone.kind == "seq2seq" or not has_template(tokenizer):
        if run.chat == "on":
            raise ForewordError(f"A chat is asked for and {backbone.name} has no chat template; leave out --chat on.")
        return backbone
    return backbone.chatting(Chat(tokenizer, start=backbone.tokenizer.start, name=backbone.name))


def suits(run: Run, backbone: Backbone, prompt: SoftPrompt, *, as_it_is: bool = True) -> tuple[str, ...]:
    """Notes on a prompt whose base is, or may be, another than the backbone. Raises ForewordError for a prompt of another backbone, unless
    the run allows it, for one of another kind of model or another width, and, where it is used as it is, for one that was tuned through
    another chat template than the backbone is spoken to through now."""
    notes = prompt.fits(
        name=backbone.name,
        fingerprint=backbone.fingerprint,
        hidden=backbone.hidden,
        kind=backbone.kind,
        allow_other_base=run.allow_other_base,
    )
    if as_it_is:
        prompt.speaks(name=backbone.name, chat="" if backbone.chat is None else backbone.chat.digest)
    return (*notes, *other_name(backbone, prompt))


def plainly(run: Run, backbone: Backbone, task: Task) -> Task:
    """The task as this kind of model wants it where nobody worded it: an encoder-decoder gets the bare input and says the bare
    answer, because its two halves already tell question from answer, and so does a chat, because its turns tell them apart; any other
    left-to-right model keeps the default wording. In a chat, worded or not, an answer ends with its turn, so that it may have several
    lines: no text ends it that the user did not name."""
    chats = backbone.chat is not None
    if run.task or (backbone.kind != "seq2seq" and not chats):
        return bounded(backbone, task)
    template = task.template
    unworded = all(getattr(run, name) is None for name in ("question", "answer"))
    if unworded:
        template = replace(template, question="{input}", answer="{target}")
    if (unworded or chats) and run.stop is None:
        template = replace(template, stop="")
    return replace(task, template=template)


def unread(task: Task, stop: str | list[str] | None, extract: str | None) -> tuple[str, ...]:
    """A note where a run says how generated text is read, and none is generated: every answer is one of an example's choices. stop,
    extract: as the run has them."""
    flags = [f"--stop {stop!r}"] if stop and stop != Template().stop else []
    flags += [f"--extract {extract!r}"] if extract else []
    if not flags or not all(example.choices for example in task.test):
        return ()
    return (
        f"{listed(flags)} {'are' if len(flags) > 1 else 'is'} not used, because every answer is one of the choices; --choices none makes "
        "answers free text.",
    )


def encoder_of(run: Run, backbone: Backbone) -> tuple[str, Encode]:
    """What turns text into vectors for dense retrieval, and what identifies it: a sentence encoder, by a fingerprint of its contents,
    or the backbone's own states (`backbone:last`, as Sun et al. 2023 took them, or `backbone:mean`)."""
    pooling = pooling_of(run.encoder)
    if pooling is None:
        encoder = sentence_encoder(run.encoder, trust_remote_code=run.trust_remote_code)
        return encoder_fingerprint(encoder.model), encoder
    return f"backbone:{pooling}", lambda texts: backbone.states(texts, pooling=pooling)


def with_init_prompt(run: Run) -> tuple[Run, SoftPrompt | None]:
    """The prompt that every soft prompt starts from, where the run names one, and the run with that prompt's length. Raises
    ForewordError where the run asks for another length."""
    tuning = run.tuning
    if tuning.init != "warm_start":
        return run, None
    start = store.load(store.located(tuning.init_prompt))
    if "prompt_length" in tuning.model_fields_set and tuning.prompt_length != start.length:
        raise ForewordError(
            f"The prompt {tuning.init_prompt} has {start.length} positions and {tuning.prompt_length} are asked for; "
            f"set --prompt-length {start.length}, or leave it out."
        )
    return run.model_copy(update={"tuning": tuning.model_copy(update={"prompt_length": start.length})}), start


def specs_of(run: Run, start: SoftPrompt | None = None) -> list[Spec]:
    """The grid: every method with every seed, a method that the seed does not touch once. Repeated labels count once. start: the
    prompt that soft prompts start from."""
    specs: list[Spec] = []
    for label in dict.fromkeys(run.methods):
        row = row_of(run, label)
        for seed in dict.fromkeys(run.seeds if row.random() else run.seeds[:1]):
            spec = Spec(
                label=label,
                method=row,
                seed=seed,
                tuning=tuning_for(run, row.trainable),
                max_new_tokens=run.max_new_tokens,
                start_prompt=start if row.soft else None,
                choice_score=run.choice_score,
            )
            specs.append(spec)
    return specs


def unwritable(backbone: Backbone, task: Task) -> tuple[str, ...]:
    """Notes when the model's output alphabet lacks characters of the answers: those it can never say, and choices of which it knows a
    part."""

    def lacks(text: str) -> bool:
        return backbone.target_tokenizer.unknown(backbone.answer_ids(task.template.replied(text))) > 0

    free = [example for example in task.test if not example.choices]
    lost = sum(all(map(lacks, example.targets)) for example in free)
    choices = dict.fromkeys(choice for example in task.test for choice in example.choices)
    unknown_choices = [choice for choice in choices if lacks(choice)]
    notes = []
    if lost:
        notes.append(
            f"{lost} of {len(free)} test examples have only answers with characters that the model's tokenizer cannot write; "
            "no method can get those right."
        )
    if unknown_choices:
        notes.append(
            f"{len(unknown_choices)} of {len(choices)} choices, such as {unknown_choices[0]!r}, hold characters that the model's tokenizer "
            "cannot write; choices are compared by their tokens, of which some are unknown to the model."
        )
    return tuple(notes)


@dataclass(frozen=True)
class Plan:
    """What a comparison will run. trials: the whole grid, finished ones included. folds: the tasks whose test examples together are
    the task's; none where it is not folded."""

    run: Run
    backbone: Backbone
    task: Task
    trials: tuple[Trial, ...]
    folds: tuple[Task, ...] = ()

    @property
    def missing(self) -> list[Trial]:
        """The trials without a record, or without the soft prompt that belongs to it."""
        return [trial for trial in self.trials if trial.finished() is None]


def renamed(record: Record, trial: Trial) -> Record:
    """A record under the names of today's run, its examples in their clusters of today: the contents are what a key is made of, so label,
    seed, task and model may have had other names when it was written, and clusters none."""
    names = {
        "label": trial.spec.label,
        "seed": trial.spec.seed,
        "fold": trial.spec.fold,
        "task": trial.task.name,
        "backbone": trial.backbone.name,
    }
    record = as_in(record, trial.task.split(trial.spec.split))
    return replace(record, **names)  # type: ignore[arg-type]


def plan(run: Run, *, progress: Progress = silent, task: Task | None = None, backbone: Backbone | None = None) -> Plan:
    """The plan of a run: see `plan_of`. Raises ForewordError also for a name in it that is not known."""
    return plan_of(checked(run), progress=progress, task=task, backbone=backbone)


def _measured(task: Task, dev: bool) -> None:
    """Raises ForewordError where a metric cannot score the task's test examples, or those of dev, before anything is computed."""
    decides(task.metrics)
    scored = (*task.test, *(task.dev if dev else ()))
    for each, examples in ((scorable, scored), (rehearsed, task.test[:REHEARSED])):
        each(task.metrics, [example.targets for example in examples], [example.facts for example in examples])


def plan_of(
    run: Run,
    *,
    progress: Progress = silent,
    task: Task | None = None,
    backbone: Backbone | None = None,
    scores: bool = True,
) -> Plan:
    """Load task and backbone of a run that is `checked`, see that everything fits, and lay out the grid. Nothing is computed or
    written. scores: whether the test examples are to be scored."""
    run, start = with_init_prompt(run)
    INITS.named(run.tuning.init)
    specs = specs_of(run, start)
    task = task or task_of(run, pooled=run.folds is not None)
    _measured(task, run.tuning.select_by == "metric")
    if start is not None and scores:
        task = replace(task, notes=(*task.notes, *remembered.seen_before(run, start, task)))
    if run.tuning.init == "labels" and not any(example.choices for example in task.train or task.test):
        raise ForewordError(
            "Init 'labels' needs a task with answers to choose from; give --choices, or use --init vocab."
        )
    backbone = spoken(run, loaded(run, progress) if backbone is None else backbone)
    run, task = roomy(run, backbone, representable(backbone, plainly(run, backbone, task)))
    notes = (*unsaid(run, task, start), *unread(task, run.stop, run.extract), *uneven(run, backbone, task))
    task = replace(task, notes=(*task.notes, *notes))
    specs = specs_of(run, start)
    for spec in specs:
        if spec.start_prompt is not None:
            about = suits(run, backbone, spec.start_prompt, as_it_is=spec.tuning.max_steps == 0)
            task = replace(task, notes=tuple(dict.fromkeys((*task.notes, *about))))
    if start is not None and run.allow_other_base:
        specs = specs_of(run, start.unbound())
    fit = fitting if run.folds is None else fitting_pool
    task = fit(run, backbone, task, [spec.method for spec in specs])
    folds = () if run.folds is None else limited(run, folds_of(task, run.folds))
    task = as_one(folds) if folds else task
    out = Path(run.out)
    refuse_older(out / "records")
    encode = None
    if any(spec.method.retriever == "dense" for spec in specs):
        encoder, encode = encoder_of(run, backbone)
        specs = [replace(spec, encoder=encoder) for spec in specs]
    trials = [
        Trial(
            replace(spec, fold=number),
            backbone,
            part,
            out,
            encode,
            run.batch_size,
            progress,
            remembered.settings_of(run, task),
        )
        for spec in specs
        for number, part in (enumerate(folds, 1) if folds else [(0, task)])
    ]
    task = replace(task, notes=(*task.notes, *scarce(run, folds or (task,))))  # names methods: it is no trial's own
    return Plan(run, backbone, task, tuple(trials), folds)
