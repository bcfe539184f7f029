"""What the task files share: finding files, naming a missing field, labels; it refuses to word anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreword.data import Example, divided, merged
from foreword.errors import ForewordError, nearest
from foreword.readers import read_lines, read_rows, read_text
from foreword.tasks._own import hub_splits


def first_file(folder: Path, *names: str) -> Path:
    """The first of the named files that is there. Raises ForewordError naming all of them."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ForewordError(f"The folder {folder} has no {' or '.join(names)}; put the file there.")


def read_list(path: Path) -> list[Any]:
    """The list that a JSON file holds. Raises ForewordError naming the file and the line that is damaged."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ForewordError(
            f"Line {error.lineno} of {path} is not JSON ({error.msg}, column {error.colno}); download the file again."
        ) from error
    if not isinstance(value, list):
        raise ForewordError(f"{path} does not hold a JSON list; download the file again.")
    return value


def get(row: Any, key: str, path: Path, number: int) -> Any:
    """A field of a row. Raises ForewordError naming file, row and field when it is not there."""
    if not isinstance(row, Mapping) or key not in row:
        known = map(str, row) if isinstance(row, Mapping) else ()
        raise ForewordError(f"Row {number} of {path} has no field '{key}'{nearest(key, known)}")
    return row[key]


def text(row: Any, key: str, path: Path, number: int) -> str:
    """A text field of a row, stripped. Raises ForewordError when it is absent or no text."""
    value = get(row, key, path, number)
    if not isinstance(value, str):
        raise ForewordError(f"The field '{key}' in row {number} of {path} is no text; download the file again.")
    return value.strip()


def table(
    path: Path, make: Callable[[Mapping[str, Any], int], Example | None], *, quoted: bool = True
) -> list[Example]:
    """An example of every row for which `make(row, row number)` gives one."""
    found = (make(row, number) for number, row in enumerate(read_rows(path, quoted=quoted), 1))
    return [example for example in found if example is not None]


def from_hub(
    hub: tuple[str, str | None], make: Callable[[Mapping[str, Any], str, int], Example], *splits: str
) -> dict[str, list[Example]]:
    """The named splits of a hub dataset, an example of every row by `make(row, split, row number)`."""
    found, _, _ = hub_splits(*hub)
    made = {}
    for split in splits:
        if split not in found:
            raise ForewordError(
                f"The hub dataset '{hub[0]}' has no {split} split, but {', '.join(found)}; give the files."
            )
        try:
            made[split] = [make(row, split, number) for number, row in enumerate(found[split], 1)]
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise ForewordError(
                f"The {split} split of the hub dataset '{hub[0]}' has another shape than expected "
                f"({type(error).__name__}: {error}); give the files."
            ) from error
    return made


def labelled_lines(path: Path, split: str, labels: Sequence[str], encoding: str = "utf-8") -> list[Example]:
    """Lines of `number text`, the number being the place of the label. Lines whose text is empty are left out.

    Raises ForewordError naming the line whose number is no label.
    """
    made = []
    for number, line in enumerate(read_lines(path, encoding), 1):
        label, _, sentence = line.partition(" ")
        if not label.isdecimal() or int(label) >= len(labels):
            raise ForewordError(
                f"Line {number} of {path} starts with '{label[:20]}', not with a label from 0 to "
                f"{len(labels) - 1}; download the file again."
            )
        if sentence.strip():
            made.append(choice(f"{split}-{number}", {"input": sentence.strip()}, labels[int(label)], labels))
    return made


def choice(name: str, fields: Mapping[str, str], target: str, labels: Sequence[str]) -> Example:
    """An example whose answer is one of the labels. Raises ForewordError when it is not."""
    if target not in labels:
        raise ForewordError(f"The label '{target}' of example {name} is none of this task's{nearest(target, labels)}")
    return Example(name, fields, (target,), tuple(labels))


def carved(train: Sequence[Example], size: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(train, dev): dev is `size` questions cut from train by seed, each question one example with all its
    answers."""
    dev, rest = divided(train, [size], seed=seed)
    return rest, merged(dev)


def three(given: Sequence[Example], seed: int = 0) -> tuple[list[Example], list[Example], list[Example]]:
    """(train, dev, test): 80, 10 and 10 in a hundred of the questions, by seed, for data that come in one
    piece."""
    tenth = max(1, round(len({example.question for example in given}) / 10))
    test, dev, train = divided(given, [tenth, tenth], seed=seed)
    return train, merged(dev), merged(test)


CARVED = "The source has no dev split: {size} questions were cut from train by seed 0."
ONE_PIECE = "The source is in one piece: it was split 80/10/10 by question and seed 0."
DEV_SCORED = "The answers of the official test split are not public: the official dev split is what is scored."
