"""Classification beyond accuracy: macro-F1, MCC and the confusion matrix, for tasks whose examples share their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from foreword.data.task import Task
from foreword.metrics.agreement import matthews
from foreword.metrics.labels import macro_f1
from foreword.results.record import Record
from foreword.results.rows import Classes

WIDEST_MATRIX = 30  # labels of a confusion matrix that a person can read
MISTAKES = 20


def labels_of(task: Task) -> tuple[str, ...]:
    """The labels that every test example is to be given one of; empty where choices differ, or an example has several targets."""
    sets = {example.choices for example in task.test}
    labels = next(iter(sets)) if len(sets) == 1 else ()
    alone = all(len(example.targets) == 1 for example in task.test)
    return labels if alone and len(labels) >= 2 else ()


def classes_of(records: Sequence[Record], labels: Sequence[str]) -> Classes | None:
    """One method's runs over the labels; None where there are none."""
    if not labels:
        return None
    pairs: Counter[tuple[str, str | None]] = Counter()
    f1s, mccs, known = [], [], set(labels)
    for record in records:
        truths = [answer.targets[0] for answer in record.answers]
        outputs = [answer.output for answer in record.answers]
        f1s.append(macro_f1(truths, outputs))
        mccs.append(matthews(truths, outputs))
        pairs.update(
            (truth, output if output in known else None) for truth, output in zip(truths, outputs, strict=True)
        )
    columns = (*labels, None)
    narrow = len(labels) <= WIDEST_MATRIX
    confusion = [[pairs[truth, output] for output in columns] for truth in labels] if narrow else []
    wrong = sorted(((*pair, count) for pair, count in pairs.items() if pair[0] != pair[1]), key=lambda each: -each[2])
    return Classes(sum(f1s) / len(f1s), sum(mccs) / len(mccs), confusion, wrong[:MISTAKES])
