"""The plan of a comparison: task and backbone loaded, everything checked, the grid laid out; it refuses to compute or write anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foreword import store
from foreword.backbone import Backbone, encoder_fingerprint, load_backbone
from foreword.chat import Chat, has_template
from foreword.config import Run
from foreword.context import TooLongError
from foreword.data import Example
from foreword.errors import ForewordError
from foreword.layout import Layout
from foreword.methods import Method
from foreword.metrics.scores import decides
from foreword.progress import Progress, silent
from foreword.record import Record, refuse_older
from foreword.report.words import listed
from foreword.retrieve import sentence_encoder
from foreword.softprompt import SoftPrompt
from foreword.spec import Spec
from foreword.study.asked import checked, pooling_of, row_of, task_of, unsaid
from foreword.study.boundary import bounded
from foreword.study.carried import carried, roomy
from foreword.task import SPLITS, Task
from foreword.trainables import tuning_for
from foreword.trial import Encode, Trial


def backbone_of(run: Run, progress: Progress = silent) -> Backbone:
    """The backbone that a run names, loaded and frozen, spoken to as the run says."""
    backbone = load_backbone(
        run.model,
        dtype=run.dtype,
        device=run.device,
        revision=run.revision or None,
        target_tokenizer=run.target_tokenizer,
        trust_remote_code=run.trust_remote_code,
        progress=progress,
    )
    return spoken(run, backbone)


def spoken(run: Run, backbone: Backbone) -> Backbone:
    """The backbone, spoken to through its chat template where it has one and the run allows it. Raises ForewordError where the run
    asks for a chat and there is no template, or one that cannot be taken apart."""
    tokenizer = backbone.words.tokenizer
    if run.chat == "off" or backbone.chat is not None:
        return backbone
    if backbone.kind == "seq2seq" or not has_template(tokenizer):
        if run.chat == "on":
            raise ForewordError(f"A chat is asked for and {backbone.name} has no chat template; leave out --chat on.")
        return backbone
    return backbone.chatting(Chat(tokenizer, start=backbone.words.start, name=backbone.name))


def suits(backbone: Backbone, prompt: SoftPrompt, *, as_it_is: bool = True) -> None:
    """Raises ForewordError for a prompt of another backbone, or, where it is used as it is, for one that was tuned through another chat
    template than the backbone is spoken to through now."""
    prompt.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    if as_it_is:
        prompt.speaks(name=backbone.name, chat="" if backbone.chat is None else backbone.chat.digest)


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


def encoder_of(run: Run, backbone: Backbone) -> tuple[str, Encode]:
    """What turns text into vectors for dense retrieval, and what identifies it: a sentence encoder, by a fingerprint of its contents,
    or the backbone's own states (`backbone:last`, as Sun et al. 2023 took them, or `backbone:mean`)."""
    pooling = pooling_of(run)
    if pooling is None:
        encoder = sentence_encoder(run.encoder)
        return encoder_fingerprint(encoder.model), encoder
    return f"backbone:{pooling}", lambda texts: backbone.states(texts, pooling=pooling)


def with_carried(run: Run) -> tuple[Run, SoftPrompt | None]:
    """The prompt that every soft prompt starts from, where the run names one, and the run with that prompt's length. Raises
    ForewordError where the run asks for another length."""
    tuning = run.tuning
    if tuning.init != "carried":
        return run, None
    given = store.load(Path(tuning.init_prompt))
    if "prompt_length" in tuning.model_fields_set and tuning.prompt_length != given.length:
        raise ForewordError(
            f"The prompt {tuning.init_prompt} has {given.length} positions and {tuning.prompt_length} are asked for; "
            f"set --prompt-length {given.length}, or leave it out."
        )
    return run.model_copy(update={"tuning": tuning.model_copy(update={"prompt_length": given.length})}), given


def specs_of(run: Run, given: SoftPrompt | None = None) -> list[Spec]:
    """The grid: every method with every seed, a method that the seed does not touch once. Repeated labels count once. given: the
    prompt that soft prompts start from."""
    specs: list[Spec] = []
    for label in dict.fromkeys(run.methods):
        row = row_of(run, label)
        for seed in dict.fromkeys(run.seeds if row.random() else run.seeds[:1]):
            specs.append(_spec(run, label, row, seed, given))
    return specs


def _spec(run: Run, label: str, row: Method, seed: int, given: SoftPrompt | None) -> Spec:
    return Spec(
        label=label,
        method=row,
        seed=seed,
        tuning=tuning_for(run, row.trainable),
        max_new_tokens=run.max_new_tokens,
        given=given if row.soft else None,
    )


def fitting(run: Run, backbone: Backbone, task: Task, methods: Sequence[Method]) -> Task:
    """The task without the examples that some method could not fit into the window, so that all methods answer the same ones; its
    notes count them. Where the run refuses such examples, the first is refused before any work is done."""
    keep = {split: fitting_split(run, backbone, task, methods, split) for split in SPLITS}
    lost = {split: len(task.split(split)) - len(kept) for split, kept in keep.items()}
    if not any(lost.values()):
        return task
    for split, kept in keep.items():
        if task.split(split) and not kept:
            raise ForewordError(
                f"No example of the {split} split fits the window of {run.model} ({backbone.window} positions); take a model with a "
                "larger window, raise --limit where there is one, or lower --max-new-tokens or --prompt-length."
            )
    said = [f"{count:,} of {len(task.split(split)):,} {split}" for split, count in lost.items() if count]
    note = (
        f"Left out, because they do not fit the window of {backbone.window} positions: {listed(said)} examples; every "
        "method has the same rest."
    )
    return replace(task, train=keep["train"], dev=keep["dev"], test=keep["test"], notes=(*task.notes, note))


def _refuses(run: Run) -> bool:
    """Whether an example that does not fit stops the run: by default a user's own does, a built-in task's does not."""
    return run.too_long == "refuse" or (run.too_long == "auto" and not run.task)


def fitting_split(
    run: Run, backbone: Backbone, task: Task, methods: Sequence[Method], split: str
) -> tuple[Example, ...]:
    """The examples of a split that every method can fit into the window without demonstrations, groups whole. Raises TooLongError
    for the first that does not fit, unless the run leaves such examples out."""
    layouts = [
        Layout(
            backbone,
            task.template,
            row,
            soft=run.tuning.prompt_length if row.soft else 0,
            reserve=run.max_new_tokens,
            inside=run.tuning.place == "system",
        )
        for row in dict.fromkeys(row.bare() for row in methods)
    ]
    lost: set[str] = set()
    room = None if backbone.window is None else backbone.window - run.tuning.prompt_length - run.max_new_tokens
    for example in task.split(split):
        if _surely_fits(backbone, task, example, room):
            continue
        try:
            for layout in layouts:
                layout.training_row(example) if split != "test" else layout.lay(example)
        except TooLongError:
            if _refuses(run):
                raise
            lost.add(example.group or example.id)
    return tuple(one for one in task.split(split) if (one.group or one.id) not in lost)


def _surely_fits(backbone: Backbone, task: Task, example: Example, room: int | None) -> bool:
    """Whether an example fits whatever its tokens are: no tokenizer makes more tokens of a text than twice its bytes, specials
    included. Spares counting the tokens of large splits."""
    if room is None:
        return True
    replies = map(task.template.reply, (*example.targets, *example.choices))
    around = "" if backbone.chat is None else backbone.chat.around
    words = [task.template.opening(), around, task.template.ask(example), *replies]
    return 2 * sum(len(text.encode()) for text in words) + backbone.specials + 8 <= room


def unwritable(backbone: Backbone, task: Task) -> tuple[str, ...]:
    """A note when the model's output alphabet lacks characters of the answers: those it can never say."""
    examples = task.test
    lost = sum(
        all(backbone.answers.unknown(backbone.answer_ids(task.template.replied(target))) for target in example.targets)
        for example in examples
    )
    if not lost:
        return ()
    return (
        f"{lost} of {len(examples)} test examples have only answers with characters that the model's tokenizer cannot write; "
        "no method can get those right.",
    )


@dataclass(frozen=True)
class Plan:
    """What a comparison will run. trials: the whole grid, finished ones included."""

    run: Run
    backbone: Backbone
    task: Task
    trials: tuple[Trial, ...]

    @property
    def missing(self) -> list[Trial]:
        """The trials without a record."""
        return [trial for trial in self.trials if not trial.path.is_file()]


def renamed(record: Record, trial: Trial) -> Record:
    """A record under the names of today's run: the contents are what a key is made of, so label, seed, task and model may have
    had other names when it was written."""
    names = {
        "label": trial.spec.label,
        "seed": trial.spec.seed,
        "task": trial.task.name,
        "backbone": trial.backbone.name,
    }
    return replace(record, **names)  # type: ignore[arg-type]


def plan(run: Run, *, progress: Progress = silent, task: Task | None = None, backbone: Backbone | None = None) -> Plan:
    """Load task and backbone, check that everything fits, and lay out the grid. Nothing is computed or written."""
    run, given = with_carried(checked(run))
    specs = specs_of(run, given)
    task = task or task_of(run)
    decides(task.metrics)
    if run.tuning.init == "labels" and not any(example.choices for example in task.train):
        raise ForewordError(
            "Init 'labels' needs a task with answers to choose from; give --choices, or use --init vocab."
        )
    backbone = backbone_of(run, progress) if backbone is None else spoken(run, backbone)
    run, task = roomy(run, backbone, carried(backbone, plainly(run, backbone, task)))
    task = replace(task, notes=(*task.notes, *unsaid(run, task)))
    specs = specs_of(run, given)
    for spec in specs:
        if spec.given is not None:
            suits(backbone, spec.given, as_it_is=spec.tuning.max_steps == 0)
    task = fitting(run, backbone, task, [spec.method for spec in specs])
    out = Path(run.out)
    refuse_older(out / "records")
    encode = None
    if any(spec.method.retriever == "dense" for spec in specs):
        encoder, encode = encoder_of(run, backbone)
        specs = [replace(spec, encoder=encoder) for spec in specs]
    trials = [Trial(spec, backbone, task, out, encode, run.batch_size, progress) for spec in specs]
    return Plan(run, backbone, task, tuple(trials))
