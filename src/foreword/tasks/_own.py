"""A Task from the user's own files or a hub id; an empty split is refused, and notes say which splits were cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.data.conversations import conversational, system_message
from foreword.data.examples import (
    Columns,
    Example,
    by_question,
    counted,
    divided,
    examples,
    merged,
    shared_kind,
    together,
)
from foreword.data.readers import Form, Rows, read_rows
from foreword.data.readers.cells import blank
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks._fit import default_metrics, near_twins, repeated_inputs, unreached
from foreword.tasks._labels import free, labelled
from foreword.tasks._splits import hub_splits, split_files
from foreword.util.errors import ForewordError
from foreword.util.files import stands
from foreword.util.phrases import listed

TEST_SHARE, FEWEST_SCORED = 0.1, 100


def task_from_files(
    name: str,
    train: Path | str,
    dev: Path | str | None = None,
    test: Path | str | None = None,
    *,
    columns: Columns | None = None,
    form: Form | None = None,
    template: Template | None = None,
    metrics: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    seed: int = 0,
    dev_share: float = 0.1,
    test_share: float | None = None,
    pooled: bool = False,
) -> Task:
    """A Task from one file, from a folder with train, dev and test files, or from files named one by one.

    A split that is not given is made by seed so that all rows of one question land in one split: of one file,
    dev_share of the distinct questions become dev and test_share test (None: as many as `test_questions` says); with a test file, dev
    is cut from train; with a dev file and no test file, dev is what is scored and a new dev is cut from train. Rows of dev and
    test that ask the same question, character by character, become one example with several references, unless they have choices; in
    train every row stays. Where no choices are given and the targets are few, short and often repeated, they are taken as
    choices; `choices=["none"]` makes answers free text. A dev or test file of a folder whose answers are hidden is left out, and the
    notes say so. Ids: the id column, or split-row. pooled: nothing is cut, every row is in test, for folds to be made of. Raises
    ForewordError for an unreadable file, a missing column, an empty answer, an empty split, system messages that differ between splits.
    """
    paths_of: Mapping[str, Sequence[Path | str]] = {
        "train": [train], "dev": [dev] if dev else [], "test": [test] if test else []
    }  # fmt: skip
    columns, template = columns or Columns(), template or Template()
    notes: list[str] = []
    folder = stands(train, folder=True)
    if folder:
        if dev or test:
            raise ForewordError(
                f"{train} is a folder with its own splits; name a train file beside --dev and --test files."
            )
        paths_of, notes = split_files(Path(train))
    rows = {
        split: (_named_together(paths), [row for path in paths for row in read_rows(path, form=form, as_written=True)])
        for split, paths in paths_of.items()
        if paths
    }
    if folder:
        rows, hidden = _answered(rows, columns, template)
        notes += hidden
    return _task(
        name,
        rows,
        ", ".join(origin for origin, _ in rows.values()),
        notes,
        columns,
        template,
        metrics,
        choices,
        seed,
        (dev_share, test_share),
        pooled,
    )


def task_from_hub(
    dataset: str,
    config: str | None = None,
    *,
    name: str | None = None,
    columns: Columns | None = None,
    template: Template | None = None,
    metrics: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    seed: int = 0,
    dev_share: float = 0.1,
    test_share: float | None = None,
    pooled: bool = False,
) -> Task:
    """A Task from a dataset of the Hugging Face hub (or a local folder that `datasets` reads), its own splits
    kept.

    A folder that `save_to_disk` of the library wrote is read as it is. Numbered class labels become their names, which are then the
    choices; a split whose answers are hidden is left out, and the notes say so; splits that are not there are made as by
    `task_from_files`. Dataset scripts are never run. Raises MissingExtraError without the `datasets` library, ForewordError where
    the dataset cannot be had, or brings splits where shares are asked for.
    """
    columns, template = columns or Columns(), template or Template()
    splits, labels, notes = hub_splits(dataset, config, target=columns.target)
    origin = f"{dataset}:{config}" if config else dataset
    rows, hidden = _answered(
        {split: (f"{split} of {origin}", split_rows) for split, split_rows in splits.items()}, columns, template
    )
    if test_share is not None and len(rows) > 1:
        raise ForewordError(
            f"Shares of train, dev and test are asked for, but {origin} brings its own {' and '.join(list(rows)[1:])} split; leave "
            "--split out."
        )
    source = f"Hugging Face hub: {origin}"
    parts = (dev_share, test_share)
    return _task(
        name or origin,
        rows,
        source,
        [*notes, *hidden],
        columns,
        template,
        metrics,
        choices or labels,
        seed,
        parts,
        pooled,
    )


def _answered(
    rows: Mapping[str, tuple[str, Rows]], columns: Columns, template: Template
) -> tuple[dict[str, tuple[str, Rows]], list[str]]:
    """The splits without those, train apart, of which no row has an answer, and a note for each of these."""
    hidden = [
        split
        for split, (_, split_rows) in rows.items()
        if split != "train" and split_rows and not any(_has_answer(row, columns, template) for row in split_rows)
    ]
    notes = [f"The answers of the {split} split are hidden, so that split is left out." for split in hidden]
    return {split: part for split, part in rows.items() if split not in hidden}, notes


def _has_answer(row: Mapping[str, Any], columns: Columns, template: Template) -> bool:
    if conversational(row, columns.input, columns.target):
        return True
    answers = [row.get(column) for column in (columns.target, columns.references) if column]
    if template.empty_answers and "" in answers:
        return True
    return not all(blank(answer.get("text") if isinstance(answer, dict) else answer) for answer in answers)


def _named_together(paths: Sequence[Path | str]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _task(
    name: str,
    rows: Mapping[str, tuple[str, Rows]],
    source: str,
    notes: Sequence[str],
    columns: Columns,
    template: Template,
    metrics: Sequence[str] | None,
    choices: Sequence[str],
    seed: int,
    shares: tuple[float, float | None],
    pooled: bool,
) -> Task:
    template, unheard = instructed(template, rows, columns)
    scored_split = next(split for split in ("test", "dev", "train") if split in rows)
    rows_of = {
        split: examples(
            split_rows,
            columns if split == scored_split else _if_there(columns, split_rows),
            choices=() if free(choices) else choices,
            empty_answers=template.empty_answers,
            origin=origin,
            fields_needed=template.names(),
            prefix=split if len(rows) > 1 else "row",
        )
        for split, (origin, split_rows) in rows.items()
    }
    read, labels_note = labelled(rows_of, choices)
    parts, remarks = pooled_splits(read, name) if pooled else completed(_distinct(read), seed, *shares)
    every = [example for split in SPLITS for example in parts[split]]
    dev, test = merged(parts["dev"]), merged(parts["test"])
    remarks += [*repeated_inputs("dev", parts["dev"], dev), *repeated_inputs("test", parts["test"], test)]
    remarks += near_twins(parts["train"], {"dev": dev, "test": test})
    remarks += _known_clusters(parts["train"], test)
    remarks += unreached(metrics or (), test)
    scored = parts["test"] if pooled else by_question(test)  # folds merge their own
    return Task(
        name=name,
        train=tuple(parts["train"]),
        dev=tuple(by_question(dev)),
        test=tuple(scored),
        template=template,
        metrics=tuple(metrics or default_metrics(every, test)),
        source=source,
        notes=(*notes, *unheard, *labels_note, *remarks),
    )


def instructed(
    template: Template, rows: Mapping[str, tuple[str, Rows]], columns: Columns
) -> tuple[Template, tuple[str, ...]]:
    """The template with the system message of the conversations as its instruction; where it has another of its own, a note says so.
    rows: where each split's rows come from, and the rows. Raises ForewordError where the messages of two splits differ."""
    messages = {
        origin: system_message(split_rows, origin, columns.input, columns.target)
        for origin, split_rows in rows.values()
        if any(conversational(row, columns.input, columns.target) for row in split_rows)
    }
    if template.instruction:
        unused = [origin for origin, message in messages.items() if message not in ("", template.instruction)]
        note = (
            f"The system messages of {listed(unused)} are not used, for another instruction is given." if unused else ""
        )
        return template, (note,) if note else ()
    for origin, message in messages.items():
        first = next(iter(messages))
        if message != messages[first]:
            raise ForewordError(
                f"The system messages of {first} and {origin} differ, and a task has one instruction; put what changes into the user's "
                "messages, or give --instruction, which stands in place of all."
            )
    return template.instructed(next(iter(messages.values()), "")), ()


def _if_there(columns: Columns, rows: Rows) -> Columns:
    """The columns without that of clusters where no row has it: what is not scored need not say it."""
    return columns if any(columns.cluster in row for row in rows) else replace(columns, cluster=None)


def _known_clusters(train: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """A note where test examples are of clusters that train has, too."""
    known = {example.cluster for example in train if example.cluster}
    names = [example.cluster for example in test if example.cluster in known]
    if not names:
        return []
    return [
        f"{len(names):,} of {len(test):,} test examples share a {shared_kind(names) or 'cluster'} with train, such as '{names[0]}': scores "
        "are of such as were seen in training."
    ]


def _distinct(read: dict[str, list[Example]]) -> dict[str, list[Example]]:
    """Users number each file from one: where splits share an id, every id gets its split's name before it."""
    ids = [example.id for part in read.values() for example in part]
    if len(set(ids)) == len(ids):
        return read
    return {split: [replace(example, id=f"{split}-{example.id}") for example in part] for split, part in read.items()}


def pooled_splits(read: Mapping[str, list[Example]], name: str) -> tuple[dict[str, list[Example]], list[str]]:
    """All rows in test, and no notes. Raises ForewordError where the rows come in splits of their own."""
    if list(read) != ["train"]:
        raise ForewordError(
            f"Folds are asked for, but {name} brings its own {' and '.join(list(read)[1:])} split; leave --folds out, or give one file."
        )
    return {"train": [], "dev": [], "test": read["train"]}, []


def test_questions(total: int) -> int:
    """How many of so many questions are scored where nobody says it: a tenth, but a hundred where a third is as many, else a third.
    On fewer than a hundred hardly any difference is told from chance."""
    return max(1, round(total * TEST_SHARE), min(FEWEST_SCORED, total // 3))


def completed(
    read: Mapping[str, list[Example]], seed: int, dev_share: float, test_share: float | None
) -> tuple[dict[str, list[Example]], list[str]]:
    """Train, dev and test with the missing ones made from train by seed, and a note for each split that was
    made."""
    parts = dict(read)
    notes = []
    if "dev" in parts and "test" not in parts:
        parts["test"] = parts.pop("dev")
        notes.append("There is no test split: the dev split is what is scored.")
    shares = {"test": test_share, "dev": dev_share}
    missing = {split: share for split, share in shares.items() if split not in parts}
    for split, share in missing.items():
        if share is not None and not 0 < share < 1:
            raise ForewordError(f"The {split} share is {share}; give a share between 0 and 1, e.g. 0.1.")
    units = together(parts["train"])
    total = sum(map(len, units))
    sizes = [test_questions(total) if share is None else max(1, round(total * share)) for share in missing.values()]
    if missing and sum(sizes) >= total:
        raise ForewordError(
            f"The {total} distinct questions of the train file leave no train split after "
            f"{' and '.join(missing)} were cut from it; give more rows or files of their own."
        )
    clustered = len(units) < total
    if missing and clustered and len(units) <= len(sizes):
        raise ForewordError(
            f"The {counted(len(units), 'cluster')} of the train file leave no train split after {' and '.join(missing)} were cut from it, "
            "for no cluster stands in two splits; give more rows or files of their own."
        )
    *cut, parts["train"] = divided(parts["train"], sizes, seed=seed, whole=True)
    for split, part in zip(missing, cut, strict=True):
        parts[split] = part
        count = len({example.question for example in part})
        cut_out = f"{counted(count, 'question')} {'were' if count > 1 else 'was'} cut from train"
        notes.append(
            f"There is no {split} split: {cut_out} by seed {seed}{', no cluster in both' if clustered else ''}."
        )
    return parts, notes
