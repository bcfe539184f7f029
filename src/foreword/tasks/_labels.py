"""Whether the answers of a user's rows are a few labels that repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from foreword.data.examples import Example

MOST_LABELS = 30  # more are answered as free text, unless the user names them
LONGEST_LABEL = 40  # characters
ROWS_A_LABEL = 4
OFF = "none"  # --choices none: the answers are free text


def free(choices: Sequence[str]) -> bool:
    """Whether the user said that there are no choices."""
    return [choice.strip().lower() for choice in choices] == [OFF]


def labelled(
    read: Mapping[str, Sequence[Example]], choices: Sequence[str]
) -> tuple[dict[str, list[Example]], tuple[str, ...]]:
    """The rows of each split with their labels as choices, and a note that says so, where the user gave no choices and the
    answers are few, short, and each stands in several rows."""
    plain = {split: list(rows) for split, rows in read.items()}
    rows = [example for part in plain.values() for example in part]
    if free(choices) or any(example.choices or len(example.targets) != 1 for example in rows):
        return plain, ()
    counts = Counter(example.targets[0] for example in rows)
    labels = tuple(sorted(counts))
    short = all(len(label) <= LONGEST_LABEL and "\n" not in label for label in labels)
    repeated = len(labels) >= 2 and len(rows) >= ROWS_A_LABEL * len(labels)
    if not short or not repeated or min(counts.values()) == 1:
        return plain, ()
    if len(labels) > MOST_LABELS:
        note = (
            f"The {len(rows):,} rows have {len(labels):,} distinct short targets, which are answered as free text; name them with "
            "--choices (a file with one label a line) to have every answer be one of them."
        )
        return plain, (note,)
    chosen = {split: [replace(example, choices=labels) for example in part] for split, part in plain.items()}
    names = ", ".join(map(repr, labels[:8])) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")
    note = (
        f"The {len(rows):,} rows have {len(labels)} distinct short targets ({names}), which are taken as the choices of a "
        "classification; --choices none makes them free text."
    )
    return chosen, (note,)
