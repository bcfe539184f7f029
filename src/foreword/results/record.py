"""A Record: what one finished Trial leaves, spec, fingerprints, scores, answers, costs; written whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from foreword.util.errors import ForewordError
from foreword.util.files import canonical, read_json, write_json, write_json_once

# Raised when the same trial gives other numbers than before (tests/test_numbers.py holds some of them), or when a key or a record is
# made in another way: it ends every key, so that a record of another making is known by its name and never taken for a new one.
ENGINE = 4
DIGEST = "digest"  # of all else that stands in the file
_KEY = re.compile(r"[0-9a-f]{24}(?:-v(\d+))?")  # keys ended without a number up to 2


@dataclass(frozen=True)
class DemonstrationRef:
    """A demonstration as one example was shown it. similarity: the retriever's own scale; None where nothing was compared."""

    id: str
    text: str
    similarity: float | None = None


@dataclass(frozen=True)
class Answer:
    """One scored example. scores: metric name to this example's own score. statistics: metric name to the numbers whose sums
    over examples give the metric's score of the whole split. shown: farthest first, as in the input. subset: the part of the split
    that has scores of its own; empty where there is none. cut: it was still going on when it had max_new_tokens tokens.
    probabilities: of each choice, where there was a choice. cluster: what the example shares with others; empty where it stands alone,
    and in records of a time when it was not said."""

    id: str
    input: str
    output: str
    targets: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, list[float]] = field(default_factory=dict)
    shown: tuple[DemonstrationRef, ...] = ()
    dropped: int = 0
    prefix_tokens: int = 0
    input_tokens: int = 0
    subset: str = ""
    cut: bool = False
    probabilities: dict[str, float] = field(default_factory=dict)
    cluster: str = ""


@dataclass(frozen=True)
class Costs:
    """What a method costs. prefix_tokens: mean number of positions before the input (soft and text). seconds on this machine.
    train_flop, answer_flop: floating-point operations of the training, and of an answer of full length, counted from tokens: they
    are the same wherever the same trial runs, and so decide where costs decide."""

    trainable_parameters: int
    train_seconds: float
    prefix_tokens: float
    seconds_per_answer: float
    train_flop: float = 0.0
    answer_flop: float = 0.0


@dataclass(frozen=True)
class Record:
    """One finished trial. spec holds everything that the key is made of; label is the method as the user wrote it. cut_answers: how
    many of its answers ended at max_new_tokens. fold: the number of the fold that it scores; 0 where nothing is folded.
    dev_start: the dev score before the first training step, as those of the curve are after theirs."""

    key: str
    label: str
    method: str
    task: str
    backbone: str
    seed: int
    deterministic: bool
    primary: str
    scores: dict[str, float]
    costs: Costs
    answers: tuple[Answer, ...]
    spec: dict[str, Any]
    fingerprints: dict[str, str]
    versions: dict[str, str]
    hardware: str
    metric_signatures: dict[str, str]
    dropped_demonstrations: int = 0
    curve: tuple[dict[str, float], ...] = ()
    prompt: str = ""
    notes: tuple[str, ...] = ()
    cut_answers: int = 0
    fold: int = 0
    dev_start: float | None = None

    def write(self, path: Path) -> None:
        """Write the record whole or not at all, with a digest of its contents; the same record gives the same bytes."""
        contents = asdict(self)
        write_json(path, contents | {DIGEST: _digest(contents)})

    def write_once(self, path: Path) -> bool:
        """`write` where no record stands there yet. False where one does, which is left as it is."""
        contents = asdict(self)
        return write_json_once(path, contents | {DIGEST: _digest(contents)})

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record back. Raises ForewordError naming the file when it is damaged, was changed, is of another shape, of another
        trial than its name says, or written by a foreword whose numbers are others."""
        raw = read_json(path, "record")
        try:
            _refuse_other(path, str(raw["key"]))
            digest = raw.pop(DIGEST, None)
            if digest != _digest(raw):
                raise ForewordError(
                    f"The record at {path} was changed after it was written (its contents are not those of its digest); delete it to "
                    "run that trial again."
                )
            _RECORD.validate_json(canonical(raw), strict=True)
            if raw["spec"] and _KEY.fullmatch(raw["key"]) and key_of(raw["spec"]) != raw["key"]:
                raise ForewordError(
                    f"The record at {path} says one key and holds another; delete it to run that trial again."
                )
            costs = Costs(**raw.pop("costs"))
            answers = tuple(_answer(answer) for answer in raw.pop("answers"))
            raw["curve"] = tuple(raw["curve"])
            raw["notes"] = tuple(raw["notes"])
            return cls(costs=costs, answers=answers, **raw)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise ForewordError(
                f"The record at {path} does not have the shape this version writes ({reason}); delete it to run that trial again."
            ) from error


_RECORD = TypeAdapter(Record)


def key_of(contents: Mapping[str, Any]) -> str:
    """The key of a trial: a digest of all that decides its result, and the kind of making."""
    return f"{hashlib.sha256(canonical(contents).encode()).hexdigest()[:24]}-v{ENGINE}"


def _digest(contents: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(contents).encode()).hexdigest()


def refuse_older(folder: Path) -> None:
    """Raises ForewordError where the folder holds a record that another version of foreword wrote."""
    for path in sorted(folder.glob("*.json")):
        _refuse_other(path, path.stem)


def _refuse_other(path: Path, key: str) -> None:
    match = _KEY.fullmatch(key)
    if match and int(match[1] or 2) != ENGINE:
        raise ForewordError(
            f"The record {path} was written by another version of foreword (its keys are of kind {match[1] or 2}, this one's of kind "
            f"{ENGINE}), so its numbers cannot stand beside new ones; give another folder, or delete {path.parent} to run its trials again."
        )
    if _KEY.fullmatch(path.stem) and path.stem != key:
        raise ForewordError(f"The record at {path} is of another trial ({key}); delete it to run that trial again.")


def _answer(raw: dict[str, Any]) -> Answer:
    shown = tuple(DemonstrationRef(**demonstration) for demonstration in raw.pop("shown"))
    return Answer(shown=shown, targets=tuple(raw.pop("targets")), **raw)
