"""A Task from the user's own files or a hub id; an empty split is refused, and notes say which splits were cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.data.conversations import conversational, system_message
from foreword.data.examples import Columns, Example, counted, divided, examples, merged, shared_kind, together
from foreword.data.readers import Form, Rows, endings, limits, read_rows, readable
from foreword.data.task import SPLITS, Task
from foreword.data.template import Template
from foreword.tasks._fit import default_metrics, near_twins, repeated_inputs, unreached
from foreword.tasks._labels import free, labelled
from foreword.util.errors import ForewordError, MissingExtraError
from foreword.util.files import stands

TEST_SHARE, FEWEST_SCORED = 0.1, 100
SPLIT_WORDS = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val", "eval"),
    "test": ("test",),
}
_SHARD = re.compile(r"(\w+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?")


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
    choices; `choices=["none"]` makes answers free text. Ids: the id column, or split-row. pooled: nothing is cut, every row is in
    test, for folds to be made of. Raises ForewordError for an unreadable file, a missing column, an empty answer, an empty split.
    """
    paths_of = {"train": [train], "dev": [dev] if dev else [], "test": [test] if test else []}
    if stands(train, folder=True):
        if dev or test:
            raise ForewordError(
                f"{train} is a folder with its own splits; name a train file beside --dev and --test files."
            )
        paths_of = {split: list(paths) for split, paths in split_files(Path(train)).items()}
    rows = {
        split: (_named_together(paths), [row for path in paths for row in read_rows(path, form=form, as_written=True)])
        for split, paths in paths_of.items()
        if paths
    }
    source = ", ".join(origin for origin, _ in rows.values())
    return _task(
        name,
        rows,
        source,
        (),
        columns or Columns(),
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
    columns = columns or Columns()
    splits, labels, notes = hub_splits(dataset, config, target=columns.target)
    origin = f"{dataset}:{config}" if config else dataset
    if test_share is not None and len(splits) > 1:
        raise ForewordError(
            f"Shares of train, dev and test are asked for, but {origin} brings its own {' and '.join(list(splits)[1:])} split; leave "
            "--split out."
        )
    rows = {split: (f"{split} of {origin}", split_rows) for split, split_rows in splits.items()}
    source = f"Hugging Face hub: {origin}"
    parts = (dev_share, test_share)
    return _task(
        name or origin,
        rows,
        source,
        notes,
        columns,
        template,
        metrics,
        choices or labels,
        seed,
        parts,
        pooled,
    )


def split_files(folder: Path) -> Mapping[str, Sequence[Path]]:
    """The train, dev and test files of a folder or of `data` in it, by their names (dev: also validation, valid, val, eval); the
    shards of one split (`train-00000-of-00002.parquet`) in their order. Raises ForewordError where a split has two files, where a
    shard is missing, and where there is no train file."""
    files_of: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = _split_of(path)
        if split and path.is_file() and readable(path):
            files_of.setdefault(split, []).append(path)
    for split, paths in files_of.items():
        shards = [_SHARD.fullmatch(_stem(path)) for path in paths]
        if len(paths) > 1 and not all(shards):
            raise ForewordError(
                f"The folder {folder} has two {split} files, {paths[0].name} and {paths[1].name}; leave one there."
            )
        whole = int(shards[0].group(3)) if shards[0] else 1
        if len(paths) != whole:
            raise ForewordError(
                f"The folder {folder} has {len(paths)} of the {whole} shards of its {split} split; download the others."
            )
    if "train" not in files_of and (folder / "data").is_dir():
        return split_files(folder / "data")
    if "train" not in files_of:
        there = ", ".join(path.name for path in sorted(folder.iterdir())[:8]) or "nothing"
        raise ForewordError(
            f"The folder {folder} has no train file, but {there}; put train, dev and test files there "
            f"({', '.join('train' + end for end in endings())})."
        )
    return files_of


def _stem(path: Path) -> str:
    """The name without its endings."""
    return path.name.removesuffix(".gz").rpartition(".")[0].lower()


def _split_of(path: Path) -> str:
    """The split that a file's name names; empty where it names none."""
    shard = _SHARD.fullmatch(_stem(path))
    word = shard.group(1) if shard else _stem(path)
    return next((split for split, words in SPLIT_WORDS.items() if word in words), "")


def _named_together(paths: Sequence[Path | str]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def saved(folder: Path) -> bool:
    """Whether `save_to_disk` of the library `datasets` wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _reason(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")[:240] or type(error).__name__


def hub_splits(
    dataset: str, config: str | None = None, *, target: str | None = None
) -> tuple[dict[str, Rows], tuple[str, ...], tuple[str, ...]]:
    """(train, dev and test rows, names of the class labels of the target column, notes) of a hub dataset."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(f"Reading the hub dataset '{dataset}'", "hub") from error
    try:
        if saved(Path(dataset)):
            loaded = datasets.load_from_disk(dataset)
            loaded = loaded if hasattr(loaded, "keys") else {"train": loaded}
        else:
            loaded = datasets.load_dataset(dataset, config)
    except Exception as error:
        raise ForewordError(
            f"The dataset '{dataset}' (config {config}) could not be had from the hub ({_reason(error)}); "
            "check its id and config and the network, or give the files."
        ) from error
    splits: dict[str, Rows] = {}
    notes: list[str] = []
    labels: tuple[str, ...] = ()
    for split, words in SPLIT_WORDS.items():
        word = next((word for word in words if word in loaded), None)
        if word is None:
            continue
        names = getattr(loaded[word].features.get(target), "names", None) if target else None
        labels = tuple(names) if names else labels
        try:
            limits.rows(len(loaded[word]), Path(dataset))
            rows = [_named(dict(row), target, names) for row in loaded[word]]
        except ForewordError:
            raise
        except MemoryError as error:
            raise ForewordError(
                f"{dataset} needs more memory than there is when it is read, or is damaged; copy it again, or give a smaller one."
            ) from error
        except (
            Exception
        ) as error:  # the values of a damaged file; the library raises many kinds, and the reason is kept
            raise ForewordError(
                f"The {word} split of the dataset '{dataset}' cannot be read ({_reason(error)}); write or download it again."
            ) from error
        if (
            split != "train"
            and target
            and rows
            and not conversational(rows[0])
            and all(row.get(target) in (None, "") for row in rows)
        ):
            notes.append(f"The answers of the {word} split are hidden, so that split is left out.")
        else:
            splits[split] = rows
    if "train" not in splits:
        raise ForewordError(f"The dataset '{dataset}' has no train split, but {', '.join(loaded)}; choose another one.")
    return splits, labels, tuple(notes)


def _named(row: dict[str, Any], target: str | None, names: Sequence[str] | None) -> dict[str, Any]:
    if target and names:
        number = row[target]
        row[target] = names[number] if number is not None and 0 <= number < len(names) else None
    return row


def _task(
    name: str,
    rows: Mapping[str, tuple[str, Rows]],
    source: str,
    notes: Sequence[str],
    columns: Columns,
    template: Template | None,
    metrics: Sequence[str] | None,
    choices: Sequence[str],
    seed: int,
    shares: tuple[float, float | None],
    pooled: bool,
) -> Task:
    template = template or Template()
    for origin, split_rows in rows.values():
        template = template.instructed(system_message(split_rows, origin, columns.input, columns.target))
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
    scored = parts["test"] if pooled else test  # folds merge their own
    return Task(
        name=name,
        train=tuple(parts["train"]),
        dev=tuple(dev),
        test=tuple(scored),
        template=template,
        metrics=tuple(metrics or default_metrics(every, test)),
        source=source,
        notes=(*notes, *labels_note, *remarks),
    )


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
            f"There is no {split} file: {cut_out} by seed {seed}{', no cluster in both' if clustered else ''}."
        )
    return parts, notes
