"""Tasks made of others: answered in free text, in another task's words, or several as one; it refuses tasks that cannot be worded alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.util.errors import ForewordError


def generated(task: Task) -> Task:
    """The task with its dev and test examples answered in free text: an output that is none of the choices is wrong. Train keeps its
    choices, which an init strategy may start from."""
    free = {name: tuple(replace(example, choices=()) for example in task.split(name)) for name in ("dev", "test")}
    return replace(task, dev=free["dev"], test=free["test"])


def relabelled(task: Task, labels: Mapping[str, str]) -> Task:
    """The task with its answers and choices in other words."""

    def other(example: Example) -> Example:
        return replace(
            example,
            targets=tuple(labels.get(target, target) for target in example.targets),
            choices=tuple(labels.get(choice, choice) for choice in example.choices),
        )

    splits = {name: tuple(map(other, task.split(name))) for name in SPLITS}
    return replace(task, train=splits["train"], dev=splits["dev"], test=splits["test"])


def prefixed(task: Task) -> Task:
    """The task with its name before each input, as one model for several tasks is told which it is (Raffel et al. 2020)."""
    template = task.template
    wording = replace(template, instruction="", question="{input}")

    def worded(example: Example) -> Example:
        return replace(example, fields={"input": f"{task.name}: {template.ask(example)}"})

    splits = {name: tuple(map(worded, task.split(name))) for name in SPLITS}
    return replace(task, train=splits["train"], dev=splits["dev"], test=splits["test"], template=wording)


def together(tasks: Sequence[Task], dev: int) -> Task:
    """Several tasks as one to train on, each prefixed. dev: examples of each that choose the checkpoint, by their loss. Its test split
    is its dev split, and is not scored."""
    parts = [prefixed(task).limited({"dev": max(1, dev // len(tasks))}) for task in tasks]
    train = tuple(_named(part, example) for part in parts for example in part.train)
    chosen = tuple(_named(part, example) for part in parts for example in part.dev)
    stops = dict.fromkeys(stop for part in parts for stop in part.template.stops)
    template = replace(parts[0].template, stop=tuple(stops))
    return Task(
        "+".join(part.name for part in parts), train, chosen, (), _same_answer(parts, template), ("exact_match",)
    )


def _same_answer(parts: Sequence[Task], template: Template) -> Template:
    wordings = {part.template.answer: part.name for part in parts}
    if len(wordings) > 1:
        (first, name), (other, another), *_ = wordings.items()
        raise ForewordError(
            f"{name} words its answers as {first!r} and {another} as {other!r}, and one model for both needs one wording; give answer = "
            "'{target}' among the run's settings."
        )
    return template


def _named(part: Task, example: Example) -> Example:
    return replace(example, id=f"{part.name}/{example.id}")
