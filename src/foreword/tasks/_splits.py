"""Which files of a folder, and which splits of a dataset, are train, dev and test; what is left unread is named in a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from foreword.data.readers import STDIN, Rows, endings, limits, readable
from foreword.data.readers.features import label_names, spelled
from foreword.util.errors import ForewordError, MissingExtraError
from foreword.util.files import stands
from foreword.util.phrases import listed

SPLIT_WORDS = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val", "eval"),
    "test": ("test",),
}
SPLIT_NAMES = tuple(word for words in SPLIT_WORDS.values() for word in words)
_SHARD = re.compile(r"(\w+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?")


def split_files(folder: Path) -> tuple[Mapping[str, Sequence[Path]], list[str]]:
    """The train, dev and test files of a folder or of `data` in it, by their names (dev: also validation, valid, val, eval), the shards
    of one split (`train-00000-of-00002.parquet`) in their order; and a note on the other data files there. Raises ForewordError where a
    split has two files, where a shard is missing, and where there is no train file."""
    files_of: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and readable(path):
            files_of.setdefault(_split_of(path), []).append(path)
    others = [path.name for path in files_of.pop("", [])]
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
    return files_of, _unread("file", others, "--data TRAIN_FILE")


def files_of(data: str) -> list[Path]:
    """The data files that a user's data are: itself, or those of a folder; none of a dataset of the hub or of `save_to_disk`."""
    path = Path(data).expanduser()
    if stands(path, folder=True):
        return (
            []
            if saved(path)
            else [file for place in (path, path / "data") for file in place.glob("*") if readable(file)]
        )
    return [path] if data == STDIN or readable(path) else []


def _stem(path: Path) -> str:
    """The name without its endings."""
    return path.name.removesuffix(".gz").rpartition(".")[0].lower()


def _split_of(path: Path) -> str:
    """The split that a file's name names; empty where it names none."""
    shard = _SHARD.fullmatch(_stem(path))
    word = shard.group(1) if shard else _stem(path)
    return next((split for split, words in SPLIT_WORDS.items() if word in words), "")


def saved(folder: Path) -> bool:
    """Whether `save_to_disk` of the library `datasets` wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _reason(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")[:240] or type(error).__name__


def hub_splits(
    dataset: str, config: str | None = None, *, target: str | None = None
) -> tuple[dict[str, Rows], tuple[str, ...], tuple[str, ...]]:
    """(train, dev and test rows, names of the class labels of the target column, notes) of a hub dataset. target: class labels become
    their names and numbers their shortest text; without, rows are as the dataset has them."""
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
    labels: tuple[str, ...] = ()
    taken: list[str] = []
    for split, words in SPLIT_WORDS.items():
        word = next((word for word in words if word in loaded), None)
        if word is None:
            continue
        taken.append(word)
        features = loaded[word].features if target else {}
        names = label_names(features)
        labels = names.get(target or "", labels)
        try:
            limits.rows(len(loaded[word]), Path(dataset))
            splits[split] = spelled(loaded[word], labels=names, kinds=features)
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
    if "train" not in splits:
        raise ForewordError(f"The dataset '{dataset}' has no train split, but {', '.join(loaded)}; choose another one.")
    notes = _unread("split", [word for word in loaded if word not in taken], "a train file")
    return splits, labels, tuple(notes)


def _unread(noun: str, others: list[str], place: str) -> list[str]:
    """A note where files or splits have names that are of no split."""
    if not others:
        return []
    shown = listed([*others[:8], f"{len(others) - 8:,} more"] if len(others) > 9 else others)
    verb = "are" if len(others) > 1 else "is"
    return [
        f"The {noun}{'s' * (len(others) > 1)} {shown} {verb} not read (known names: {', '.join(SPLIT_NAMES)}); give what you mean as files "
        f"by --dev and --test, beside {place}."
    ]
