"""What the model's tokenizer can carry of a task's answers: choices it tells apart, targets it gives back, room for the longest; it
refuses choices that are one to the model, and a limit that would cut a user's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foreword.config.run import Run
from foreword.data.examples import Example, counted
from foreword.data.task import SPLITS, Task
from foreword.engine import Backbone
from foreword.infer.choosing import choice_ids
from foreword.util.errors import ForewordError

_TRIED_CHOICES = (
    2_000  # distinct rows of choices that are tried before anything runs, at most; the others when they are scored
)
UNEVEN = 3  # tokens by which the longest choice is longer than the shortest where that is said
_TRIED = 5_000  # distinct targets that are encoded and decoded, at most


def representable(backbone: Backbone, task: Task) -> Task:
    """The task with a note on the targets that come back as another text when they are encoded and decoded. Raises ForewordError for
    choices that have the same tokens, and for one that begins another where the model has no token for the end."""
    choice_sets = dict.fromkeys(
        example.choices for name in reversed(SPLITS) for example in task.split(name) if example.choices
    )
    for choices in list(choice_sets)[:_TRIED_CHOICES]:
        _distinct(backbone, task, choices)
    note = _changed(backbone, task)
    return replace(task, notes=(*task.notes, note)) if note else task


def _distinct(backbone: Backbone, task: Task, choices: Sequence[str]) -> None:
    known = dict(zip(choice_ids(backbone, task.template, choices), choices, strict=True))
    if backbone.eos or backbone.kind == "seq2seq":
        return
    for ids, choice in known.items():
        longer = next((other for more, other in known.items() if more != ids and more[: len(ids)] == ids), None)
        if longer is not None:
            raise ForewordError(
                f"The choice '{choice}' begins the choice '{longer}' in tokens, and {backbone.name} has no token for the end of an "
                "answer, so that the shorter one would always win; word the choices otherwise, e.g. with --answer ' {target}.'."
            )


def uneven(run: Run, backbone: Backbone, task: Task) -> tuple[str, ...]:
    """A note where the choices differ so much in length that the sum of their tokens' log-probabilities favours the short ones. Raises
    ForewordError where the run says how choices are compared and there are none."""
    sets = dict.fromkeys(example.choices for example in task.test if example.choices)
    if not sets:
        if run.choice_score != "sum":
            raise ForewordError(
                f"--choice-score {run.choice_score} says how choices are compared, and the answers are free text; give --choices, or leave "
                "it out."
            )
        return ()
    if run.choice_score != "sum":
        return ()
    for choices in list(sets)[:_TRIED_CHOICES]:
        lengths = [len(ids) for ids in choice_ids(backbone, task.template, choices)]
        if max(lengths) - min(lengths) >= UNEVEN:
            return (
                f"The choices have {min(lengths)} to {max(lengths)} tokens, and the sum of their log-probabilities favours the short ones; "
                "--choice-score mean compares them a token, calibrated against what is likely without the input.",
            )
    return ()


def _changed(backbone: Backbone, task: Task) -> str:
    """A note that counts the targets that an answer cannot equal, and names the first; empty where all can be given back."""
    template = task.template
    targets = dict.fromkeys(
        t for name in reversed(SPLITS) for example in task.split(name) if not example.choices for t in example.targets
    )
    tried = list(targets)[:_TRIED]
    lost = []
    for target in tried:
        text = template.read(backbone.answer_text(backbone.answer_ids(template.replied(target))))
        if text != template.read(template.reply(target)):
            lost.append((target, text))
    if not lost:
        return ""
    of = (
        f"{len(tried):,} distinct targets"
        if len(tried) == len(targets)
        else f"the first {len(tried):,} of {len(targets):,} distinct targets"
    )
    target, text = lost[0]
    return (
        f"{len(lost):,} of {of} cannot be written by the tokenizer of {backbone.name} as they stand: {target!r} comes back as {text!r}; "
        "no answer can equal those."
    )


def roomy(run: Run, backbone: Backbone, task: Task) -> tuple[Run, Task]:
    """The run with room for the longest scored answer, and the task with a note where that was raised or is too little.

    Where the user gave no --max-new-tokens it is raised to the longest target of dev and test, up to half the window. Where the user
    gave one, or half the window is too little, and targets are longer: a user's own data are refused before anything runs (unless
    --too-long drop says to go on), a built-in task's are counted in a note.
    """
    limit = run.max_new_tokens
    sizes = {
        example.id: size
        for example in (*task.dev, *task.test)
        if (size := _size(backbone, task, example, limit)) > limit
    }
    if not sizes:
        return run, task
    longest = max(sizes.values())
    most = longest if backbone.window is None else min(longest, max(limit, backbone.window // 2))
    notes = list(task.notes)
    if "max_new_tokens" not in run.model_fields_set and most > limit:
        run = run.model_copy(update={"max_new_tokens": most})
        notes.append(
            f"--max-new-tokens was raised from {limit} to {most}, for the longest target of dev and test has {longest:,} tokens."
        )
        limit = most
    cut = [name for name, size in sizes.items() if size > limit]
    if cut:
        what = (
            f"{counted(len(cut), 'target')} of dev and test {'have' if len(cut) > 1 else 'has'} more than --max-new-tokens {limit} tokens "
            f"(example '{cut[0]}' has {sizes[cut[0]]:,}), and answers would be cut there"
        )
        if not run.task and run.too_long != "drop":
            raise ForewordError(
                f"{what}; give --max-new-tokens {longest}, or --too-long drop to score them all the same."
            )
        notes.append(f"{what}.")
    return run, replace(task, notes=tuple(notes))


def _size(backbone: Backbone, task: Task, example: Example, limit: int) -> int:
    """Tokens of an example's first target with its end; 0 where it is chosen, or surely within the limit."""
    if example.choices or not example.targets:
        return 0
    replied = task.template.replied(example.targets[0])
    if 2 * sum(len(text.encode()) for text, _ in replied) + 8 <= limit:
        return 0
    return len(backbone.answer_ids(replied))
