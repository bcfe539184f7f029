"""Which examples fit the model's window with every method of a comparison, so that all methods answer the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foreword.config.run import Run
from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.engine import Backbone
from foreword.prompts.layout import Layout
from foreword.prompts.methods import Method
from foreword.util.errors import ForewordError, TooLongError
from foreword.util.phrases import listed


def fitting(run: Run, backbone: Backbone, task: Task, methods: Sequence[Method]) -> Task:
    """The task without the examples that some method could not fit into the window, so that all methods answer the same ones; its
    notes count them. Where the run refuses such examples, the first is refused before any work is done."""
    keep = {split: fitting_split(run, backbone, task, methods, split) for split in SPLITS}
    lost = {split: len(task.split(split)) - len(examples) for split, examples in keep.items()}
    if not any(lost.values()):
        return task
    for split, examples in keep.items():
        if task.split(split) and not examples:
            raise ForewordError(
                f"No example of the {split} split fits the window of {run.model} ({backbone.window} positions); take a model with a "
                "larger window, raise --limit where there is one, or lower --max-new-tokens or --prompt-length."
            )
    counts = [f"{count:,} of {len(task.split(split)):,} {split}" for split, count in lost.items() if count]
    note = (
        f"Left out, because they do not fit the window of {backbone.window} positions: {listed(counts)} examples; every "
        "method has the same rest."
    )
    return replace(task, train=keep["train"], dev=keep["dev"], test=keep["test"], notes=(*task.notes, note))


def fitting_pool(run: Run, backbone: Backbone, task: Task, methods: Sequence[Method]) -> Task:
    """The task, whose rows are all in test, without the rows that some method could not fit into the window either as a question to be
    answered or as an example to be trained on: in folds every row is both."""
    answered = fitting(run, backbone, task, methods)
    trained = fitting(run, backbone, replace(answered, train=answered.test, test=()), methods)
    return replace(trained, train=(), test=trained.train)


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
        except TooLongError as error:
            if _refuses(run):
                raise TooLongError(f"{error} Or leave such examples out with --too-long drop.") from error
            lost.add(example.group or example.id)
    return tuple(example for example in task.split(split) if (example.group or example.id) not in lost)


def _surely_fits(backbone: Backbone, task: Task, example: Example, room: int | None) -> bool:
    """Whether an example fits whatever its tokens are: no tokenizer makes more tokens of a text than twice its bytes, specials
    included. Spares counting the tokens of large splits."""
    if room is None:
        return True
    replies = map(task.template.reply, (*example.targets, *example.choices))
    around = "" if backbone.chat is None else backbone.chat.around
    words = [task.template.opening(), around, task.template.ask(example), *replies]
    return 2 * sum(len(text.encode()) for text in words) + backbone.specials + 8 <= room
