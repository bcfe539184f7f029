"""What the task files share: finding files, naming a missing field, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, divided, merged, shared
from foreword.data.readers import read_lines, read_rows
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks._files import json_value
from foreword.tasks._splits import hub_splits
from foreword.util.errors import ForewordError, nearest


def first_file(folder: Path, *names: str) -> Path:
    """The first of the named files that is there. Raises ForewordError naming all of them."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ForewordError(f"The folder {folder} has no {' or '.join(names)}; put the file there.")


def read_list(path: Path) -> list[Any]:
    """The list that a JSON file holds. Raises ForewordError naming the file and the line that is damaged."""
    value = json_value(path)
    if not isinstance(value, list):
        raise ForewordError(f"{path} does not hold a JSON list; download the file again.")
    return value


def get(row: Any, key: str, path: Path, number: int) -> Any:
    """A field of a row. Raises ForewordError naming file, row and field when it is not there."""
    if not isinstance(row, Mapping):
        raise ForewordError(
            f"Row {number} of {path} has no field '{key}', as it is no object; download the file again."
        )
    if key not in row:
        raise ForewordError(f"Row {number} of {path} has no field '{key}'{nearest(key, map(str, row))}")
    return row[key]


def text(row: Any, key: str, path: Path, number: int) -> str:
    """A text field of a row, stripped. Raises ForewordError when it is absent or no text."""
    value = get(row, key, path, number)
    if not isinstance(value, str):
        raise ForewordError(f"The field '{key}' in row {number} of {path} is no text; download the file again.")
    return value.strip()


def listed(row: Any, key: str, path: Path, number: int) -> list[Any]:
    """A field of a row that holds a list. Raises ForewordError when it is absent or none."""
    value = get(row, key, path, number)
    if not isinstance(value, list):
        raise ForewordError(f"The field '{key}' in row {number} of {path} is no list; download the file again.")
    return value


def balanced(form: str, path: Path, number: int, key: str) -> str:
    """A bracketed form as it is. Raises ForewordError naming row and field when its square brackets do not pair up."""
    depth = 0
    for letter in form:
        depth += (letter == "[") - (letter == "]")
        if depth < 0:
            break
    if depth:
        raise ForewordError(
            f"The field '{key}' in row {number} of {path} has brackets that do not pair up ('{form[:40]}'); mend it."
        )
    return form


def table(
    path: Path, make: Callable[[Mapping[str, Any], int], Example | None], *, quoted: bool = True
) -> list[Example]:
    """An example of every row for which `make(row, row number)` gives one."""
    rows = (make(row, number) for number, row in enumerate(read_rows(path, quoted=quoted), 1))
    return [example for example in rows if example is not None]


def from_hub(
    hub: tuple[str, str | None], make: Callable[[Mapping[str, Any], str, int], Example], *splits: str
) -> dict[str, list[Example]]:
    """The named splits of a hub dataset, an example of every row by `make(row, split, row number)`."""
    splits_of, _, _ = hub_splits(*hub)
    examples_of = {}
    for split in splits:
        if split not in splits_of:
            raise ForewordError(
                f"The hub dataset '{hub[0]}' has no {split} split, but {', '.join(splits_of)}; give the files."
            )
        try:
            examples_of[split] = [make(row, split, number) for number, row in enumerate(splits_of[split], 1)]
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise ForewordError(
                f"The {split} split of the hub dataset '{hub[0]}' has another shape than expected "
                f"({type(error).__name__}: {error}); give the files."
            ) from error
    return examples_of


def labelled_lines(path: Path, split: str, labels: Sequence[str], encoding: str = "utf-8") -> list[Example]:
    """Lines of `number text`, the number being the place of the label. Lines whose text is empty are left out.

    Raises ForewordError naming the line whose number is no label.
    """
    examples = []
    for number, line in enumerate(read_lines(path, encoding), 1):
        label, _, sentence = line.partition(" ")
        if not label.isdecimal() or len(label) > 4 or int(label) >= len(labels):
            raise ForewordError(
                f"Line {number} of {path} starts with '{label[:20]}', not with a label from 0 to "
                f"{len(labels) - 1}; download the file again."
            )
        if sentence.strip():
            examples.append(choice(f"{split}-{number}", {"input": sentence.strip()}, labels[int(label)], labels))
    return examples


def choice(name: str, fields: Mapping[str, str], target: str, labels: Sequence[str], cluster: str = "") -> Example:
    """An example whose answer is one of the labels. cluster: the field that it shares with others. Raises ForewordError where the answer
    is no label."""
    if target not in labels:
        raise ForewordError(f"The label '{target}' of example {name} is none of this task's{nearest(target, labels)}")
    return Example(name, fields, (target,), tuple(labels), cluster=shared(cluster, fields.get(cluster, "")))


def carved(train: Sequence[Example], size: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(train, dev): dev is `size` questions, at most a quarter of them, cut from train by seed; each question is one
    example with all its answers."""
    whole = len({example.question for example in train})
    dev, remaining = divided(train, [min(size, whole // 4)], seed=seed)
    return remaining, merged(dev)


def dev_scored(
    name: str,
    train: Sequence[Example],
    scored: Sequence[Example],
    size: int,
    *,
    template: Template,
    metrics: tuple[str, ...],
    source: str,
) -> Task:
    """A task whose test answers are hidden: its official dev split is what is scored, and a dev split of `size` is cut from
    train; its notes say both."""
    remaining, dev = carved(train, size)
    notes = (DEV_SCORED, CARVED.format(size=len(dev)))
    return Task(name, tuple(remaining), tuple(dev), tuple(scored), template, metrics, source, notes)


def carved_whole(
    train: Sequence[Example], size: int, group: Callable[[Example], str], seed: int = 0
) -> tuple[list[Example], list[Example]]:
    """(train, dev): dev is about `size` examples, at most a quarter, and no group (a passage, say) stands in both."""
    members: dict[str, int] = {}
    for example in train:
        members[group(example)] = members.get(group(example), 0) + 1
    chosen: set[str] = set()
    target_size, taken = min(size, len(train) // 4), 0
    for name in sorted(members, key=lambda name: hashlib.sha256(f"{seed}/split/{name}".encode()).digest()):
        if taken >= target_size or len(chosen) == len(members) - 1:
            break
        chosen.add(name)
        taken += members[name]
    remaining = [example for example in train if group(example) not in chosen]
    return remaining, [example for example in train if group(example) in chosen]


def three(examples: Sequence[Example], seed: int = 0) -> tuple[list[Example], list[Example], list[Example]]:
    """(train, dev, test): 80, 10 and 10 in a hundred of the questions, by seed, for data that come in one
    piece."""
    tenth = max(1, round(len({example.question for example in examples}) / 10))
    test, dev, train = divided(examples, [tenth, tenth], seed=seed)
    return train, merged(dev), merged(test)


CARVED = "The source has no dev split: {size} questions were cut from train by seed 0."
CARVED_WHOLE = "The source has no dev split: {size} examples were cut from train by seed 0, no {group} in both."
ONE_PIECE = "The source is in one piece: it was split 80/10/10 by question and seed 0."
DEV_SCORED = "The answers of the official test split are not public: the official dev split is what is scored."
