"""The boundary between question and answer in tokens: its blank stands where the model's own tokens have it; it refuses to let a
demonstration's answer and a trained answer be other tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.engine import Backbone

_SAMPLE = 8
_BLANKS = " \t"


def bounded(backbone: Backbone, task: Task) -> Task:
    """The task with the blank between question and answer on the side where this tokenizer has it: most tokens begin with their
    blank (` word`), some end in it (`:_`). A question that ends in a blank, as people write it, would leave a token that the model
    has hardly seen there, and an answer without the blank it knows. The text stays the same; a note says what was moved."""
    template = task.template
    head = template.answer.partition("{target}")[0]
    stripped = template.question.rstrip(_BLANKS)
    answer = template.answer.lstrip(_BLANKS) if not head.strip(_BLANKS) or head[:1] in _BLANKS else template.answer
    blank = template.question[len(stripped) :] + template.answer[: len(template.answer) - len(answer)]
    if not blank or backbone.kind == "seq2seq" or backbone.chat is not None or stripped.endswith("\n"):
        return task
    inside, before = (
        replace(template, question=stripped, answer=blank + answer),
        replace(template, question=stripped + blank, answer=answer),
    )
    sample = _sample(task)
    agreeing = {
        place: _agreeing(backbone, template_, sample) for place, template_ in (("answer", inside), ("question", before))
    }
    known = _agreeing(backbone, template, sample)
    place = max(agreeing, key=lambda name: agreeing[name])
    if agreeing[place] <= known:
        return task
    where = (
        "front of the answer's, as this model's tokens begin"
        if place == "answer"
        else "end of the question's, as this model's tokens end"
    )
    note = f"The blank between question and answer was moved to the {where} with it; the text is the same."
    return replace(task, template=inside if place == "answer" else before, notes=(*task.notes, note))


def _sample(task: Task) -> list[Example]:
    """A few examples with answers, of the first split that has some."""
    return next(
        (
            [template_ for template_ in task.split(name) if template_.targets][:_SAMPLE]
            for name in SPLITS
            if task.split(name)
        ),
        [],
    )


def _agreeing(backbone: Backbone, template: Template, examples: Sequence[Example]) -> int:
    """How many questions with their answers have, tokenised apart, the tokens of the whole text."""
    words = backbone.tokenizer
    count = 0
    for example in examples:
        question, replied = template.question_runs(example), template.replied(example.targets[0])
        apart = words.ids(question, first=True) + words.ids(replied, first=False)
        count += apart == words.ids(question + replied, first=True)
    return count
