"""Folds: every example of a small data set scored once, by what was trained on the others; it refuses more folds than the data bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foreword.config.run import Run
from foreword.data.examples import by_question, divided, merged, together
from foreword.data.task import Task
from foreword.metrics.scores import scores_of
from foreword.results.record import Costs, Record
from foreword.tasks._fit import SEARCHED
from foreword.tasks._leaks import leaks
from foreword.util.errors import ForewordError

DEV_SHARE = 0.1  # of the questions that a fold does not score


def folds_of(task: Task, count: int) -> tuple[Task, ...]:
    """The tasks of `count` folds, from a task whose rows are all in test. Rows of one question stand in one fold; each fold scores its
    own part, chooses checkpoints by a tenth of the rest, and trains on what is left, and none of the three shares a cluster with another.
    The order of the rows decides nothing, and where rows of one question become one example, they do so within its fold. Raises
    ForewordError for too few questions or clusters."""
    units = together(task.test)
    total = sum(map(len, units))
    if len(units) < 2 * count:
        noun = "clusters" if len(units) < total else "distinct questions"
        most = f"give {len(units) // 2} folds at most, or more rows" if len(units) >= 4 else "give more rows"
        raise ForewordError(f"{count} folds are asked for and the data have {len(units)} {noun}; {most}.")
    sizes = [total * (n + 1) // count - total * n // count for n in range(count)]
    parts = divided(task.test, sizes[:-1], whole=True)
    folds = []
    for n, part in enumerate(parts):
        scored = {example.id for example in part}
        others = [example for example in task.test if example.id not in scored]
        questions = len({example.question for example in others})
        dev, train = divided(others, [max(1, round(questions * DEV_SHARE))], seed=n + 1, whole=True)
        if not dev or not train:
            more = "give 3 folds, or more rows" if len(units) >= 6 else "give more rows"
            raise ForewordError(
                f"{count} folds are asked for, and beside what fold {n + 1} scores there is one cluster alone, where training and the "
                f"choice of a checkpoint each need one; {more}."
            )
        folds.append(replace(task, train=tuple(train), dev=tuple(merged(dev)), test=tuple(by_question(merged(part)))))
    return tuple(folds)


def limited(run: Run, folds: Sequence[Task]) -> tuple[Task, ...]:
    """The folds with the run's limit of training examples."""
    return tuple(fold.limited({"train": run.train_limit}) for fold in folds)


def as_one(folds: Sequence[Task]) -> Task:
    """The task of all folds together: their test examples, in the order of the folds, and what is to be said of them."""
    first = folds[0]
    test = tuple(example for fold in folds for example in fold.test)
    return replace(first, train=(), dev=(), test=test, notes=(*first.notes, *_twins(folds)))


def _twins(folds: Sequence[Task]) -> list[str]:
    """A note where examples have a near twin among those that their fold trains on."""
    total = sum(len(fold.test) for fold in folds)
    if total > SEARCHED:
        return [f"Near twins of scored examples were not looked for in train, for {total:,} examples would take long."]
    near = [leak for fold in folds for leak in leaks(fold.train, fold.test)]
    if not near:
        return []
    return [
        f"{len(near):,} of {total:,} test examples have a near twin in their fold's train (nine words of ten the same), such as "
        f"{near[0].scored} and {near[0].train}; it may be shown as their demonstration."
    ]


def pooled(records: Sequence[Record], folds: Sequence[Task]) -> list[Record]:
    """One record for each method and seed, out of its records of the folds: the answers of all folds, scored together, as each example
    was answered once. Costs are those of one fold's prompt. records: as they are named today, in any order."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.label, record.seed), []).append(record)
    return [_pooled(sorted(group, key=lambda record: record.fold), folds) for group in groups.values()]


def _pooled(group: Sequence[Record], folds: Sequence[Task]) -> Record:
    first = group[0]
    answers = [answer for record in group for answer in record.answers]
    facts = {example.id: example.facts for fold in folds for example in fold.test}
    names = [first.primary, *(name for name in first.scores if name != first.primary)]
    rescored = scores_of(
        names, [a.output for a in answers], [a.targets for a in answers], [facts[a.id] for a in answers]
    )
    counts = [len(record.answers) for record in group]
    costs = [record.costs for record in group]
    fold_notes = {note for fold in folds for note in fold.remarks}
    return replace(
        first,
        key="+".join(record.key[:8] for record in group),
        scores=rescored.whole,
        answers=tuple(
            replace(
                answer,
                scores={name: float(own[place]) for name, own in rescored.own.items()},
                statistics={first.primary: [float(x) for x in rescored.statistics[place]]},
            )
            for place, answer in enumerate(answers)
        ),
        costs=Costs(
            trainable_parameters=max(cost.trainable_parameters for cost in costs),
            train_seconds=float(np.mean([cost.train_seconds for cost in costs])),
            prefix_tokens=float(np.average([cost.prefix_tokens for cost in costs], weights=counts)),
            seconds_per_answer=float(np.average([cost.seconds_per_answer for cost in costs], weights=counts)),
            train_flop=float(np.mean([cost.train_flop for cost in costs])),
            answer_flop=float(np.average([cost.answer_flop for cost in costs], weights=counts)),
        ),
        fingerprints={name: value for name, value in first.fingerprints.items() if name == "backbone"},
        dropped_demonstrations=sum(record.dropped_demonstrations for record in group),
        cut_answers=sum(record.cut_answers for record in group),
        curve=(),
        prompt="",
        notes=tuple(dict.fromkeys(note for record in group for note in record.notes if note not in fold_notes)),
        fold=0,
    )
