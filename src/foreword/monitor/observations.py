"""Requests as `foreword serve` logs them, one Observation an input; it refuses a file that is no log."""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from foreword.registry.names import Reference, parse_reference
from foreword.util.errors import ForewordError, nearest

REFUSED = "refused-"  # how the id of a request that came to nothing begins
SHOWN = 10  # characters of a digest in a sentence, which do not read as a number


@dataclass(frozen=True)
class Observation:
    """One input that was answered. id: of the request; of the k-th of several inputs `id#k`. prompt, version, digest: that answered, None
    for the base model alone. characters: of the input. tokens: that the model read. vector: of the input, of the kind `vectors`.
    similarity: of its nearest demonstration. answer_tokens, logprob (in nats a token), finish_reason, choice (its number among the
    prompt's choices): of its first answer. text, output: where the log keeps contents."""

    id: str
    time: str = ""
    prompt: str | None = None
    version: int | None = None
    digest: str | None = None
    characters: float | None = None
    tokens: float | None = None
    vector: tuple[float, ...] | None = None
    vectors: str = ""
    similarity: float | None = None
    answer_tokens: float | None = None
    logprob: float | None = None
    finish_reason: str | None = None
    choice: int | None = None
    text: str | None = None
    output: str | None = None

    @property
    def name(self) -> str:
        """`name@version`, or `base`."""
        return "base" if self.prompt is None else f"{self.prompt}@{self.version}"


def observations_of(line: Mapping[str, Any]) -> list[Observation]:
    """The inputs of a line of the log; none of a request that was refused or broken off. Raises KeyError, TypeError or ValueError for a
    line that is none of a log's."""
    if line["status"] != 200 or str(line["id"]).startswith(REFUSED):
        return []
    inputs, answers = line["inputs"], line["choices"]
    per_input = len(answers) // max(1, len(inputs))
    outputs = line.get("output_texts") or [None] * len(answers)
    several = len(inputs) > 1
    observations = []
    for place, input_values in enumerate(inputs):
        answer = answers[place * per_input]
        tokens, logprob = answer["tokens"], answer["logprob"]
        similarities = [_finite(value) for value in input_values["similarity"] if value is not None]
        vector = input_values.get("vector")
        observations.append(
            Observation(
                id=f"{line['id']}#{place}" if several else str(line["id"]),
                time=str(line["time"]),
                prompt=_text(line["prompt"]),
                version=None if line["version"] is None else int(line["version"]),
                digest=_text(line["digest"]),
                characters=_number(input_values.get("characters")),
                tokens=_number(input_values["tokens"]),
                vector=None if vector is None else tuple(_finite(value) for value in vector),
                vectors=str(line.get("vectors") or ""),
                similarity=max(similarities, default=None),
                answer_tokens=_number(tokens),
                logprob=_finite(logprob) / tokens if logprob is not None and tokens else None,
                finish_reason=_text(answer["finish_reason"]),
                choice=None if answer.get("choice") is None else int(answer["choice"]),
                text=_text(input_values.get("text")),
                output=_text(outputs[place * per_input]),
            )
        )
    return observations


def _number(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no measurement")
    return number


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def is_log(path: Path) -> bool:
    """Whether a file's first whole line is one of a log of requests."""
    try:
        with path.open("rb") as stream:
            raw = json.loads(stream.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and {"v", "id", "status"} <= set(raw)


def _opened(path: Path) -> tuple[list[Path], BinaryIO | None]:
    """The parts of a log that were put aside, the oldest first, and the file that is being written, None where there is none: both of one
    moment, for where the log is put aside between the two looks, they are taken again."""
    aside = f"{glob.escape(path.stem)}-[0-9]*T[0-9]*{glob.escape(path.suffix)}"
    while True:
        try:
            stream = path.open("rb") if path.is_file() else None
        except FileNotFoundError:  # put aside between the two
            continue
        earlier = sorted(path.parent.glob(aside))
        if _still(path, stream):
            return earlier, stream
        if stream is not None:
            stream.close()


def _still(path: Path, stream: BinaryIO | None) -> bool:
    """Whether the file of this name is the one that was opened, or there is still none."""
    try:
        return not path.is_file() if stream is None else os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _lines_of(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    """The whole lines of a log that was there at a moment after the call, each once and in order, with their file and number. Raises
    ForewordError where there is no log."""
    try:
        earlier, current = _opened(path)
        if not earlier and current is None:
            raise ForewordError(f"There is no log at {path}; give the file that `foreword serve --log` writes.")
        with current or contextlib.nullcontext():
            for part in earlier:
                with part.open("rb") as stream:
                    yield from _whole(part, stream)
            if current is not None:
                yield from _whole(path, current)
    except OSError as error:
        raise ForewordError(f"The log {path} cannot be read ({error.strerror}); check its name and rights.") from error


def _whole(path: Path, stream: BinaryIO) -> Iterator[tuple[Path, int, bytes]]:
    for number, line in enumerate(stream, 1):
        if line.endswith(b"\n"):
            yield path, number, line


def read_log(path: Path) -> list[Observation]:
    """The answered inputs of a log, in order, those of its parts that were put aside first, also while it is put aside; a line that is
    being written is left out. Raises ForewordError where there is no log, or a line is none of it."""
    observations = [each for part, number, line in _lines_of(path) for each in _of_line(line, number, part)]
    sizes: dict[str, int] = {}
    for observation in observations:
        size = len(observation.vector or ())
        if observation.vector is not None and sizes.setdefault(observation.vectors, size) != size:
            raise ForewordError(
                f"The log {path} holds vectors of one kind with {sizes[observation.vectors]} numbers and with {size} (request "
                f"{observation.id}), so it was changed; restore it from a copy."
            )
    return observations


def _of_line(line: bytes, number: int, path: Path) -> Iterable[Observation]:
    try:
        raw = json.loads(line)
        return [] if raw["status"] != 200 else observations_of(raw)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ForewordError(
            f"Line {number} of {path} is no line of a request log ({error!r}); give the file that `foreword serve --log` writes."
        ) from error


def of_prompt(observations: Sequence[Observation], name: str, where: str, digest: str = "") -> list[Observation]:
    """Those that one version of a prompt answered. name: `prompt`, whose version is the one that answered last; `prompt@` and a version's
    number or the beginning of its digest; `base`; empty where the log has one prompt alone. digest: the version's, in the place of its
    number. Raises ForewordError for a name that answered nothing or means several versions, and for an empty one where there are several
    prompts."""
    if not observations:
        raise ForewordError(f"The log {where} holds no answered request; ask the server something first.")
    prompts = Counter("base" if observation.prompt is None else observation.prompt for observation in observations)
    if not name and len(prompts) > 1:
        counts = ", ".join(f"{prompt} ({count})" for prompt, count in prompts.most_common())
        raise ForewordError(f"The log {where} holds requests of several prompts: {counts}; name one by --prompt.")
    reference = parse_reference(name) if name else Reference(next(iter(prompts)))
    mine = [observation for observation in observations if (observation.prompt or "base") == reference.name]
    if not mine:
        raise ForewordError(f"The log {where} holds no answer of '{reference.name}'{nearest(reference.name, prompts)}")
    if digest or reference.digest:
        chosen = [
            each for each in mine if each.digest is not None and each.digest.startswith(digest or reference.digest)
        ]
    elif reference.number or reference.alias:
        chosen = [each for each in mine if each.version == reference.number]
    else:
        chosen = [each for each in mine if (each.version, each.digest) == (mine[-1].version, mine[-1].digest)]
    if len({each.digest for each in chosen}) != 1:
        known = ", ".join(
            sorted({each.name if each.digest is None else _shown(each.name, each.digest) for each in mine})
        )
        which = _shown(name, digest) if digest else str(replace(reference, digest=reference.digest[:SHOWN]))
        matching = "answers of several versions that are" if chosen else "no answer of"
        raise ForewordError(
            f"The log {where} holds {matching} {which}; it has {known}: name one by --prompt, by its number or digest."
        )
    return chosen


def _shown(name: str, digest: str) -> str:
    return f"{name} ({digest[:SHOWN]})"
