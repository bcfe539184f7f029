"""What requests are compared with: a prompt's profile or its demonstrations, a file of data, an earlier log; it refuses what tells nothing
of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foreword.data.examples import Columns, Example, examples
from foreword.data.readers import read_rows
from foreword.data.template import Template
from foreword.monitor.observations import Observation, is_log, of_prompt, read_log
from foreword.monitor.profile import Profile, drawn_of, profile_of, read_profile
from foreword.monitor.shift import FEWEST
from foreword.monitor.windows import Reference, reference_of
from foreword.registry import Registry, StoredPrompt, load_stored_prompt, parse_reference
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Encoder:
    """Makes vectors of texts. kind: names model and rule. texts: whether also the log's vectors are to be made by it, of its texts."""

    encode: Callable[[Sequence[str]], Any]
    kind: str
    texts: bool = False


@dataclass(frozen=True)
class Against:
    """A reference. what: in words. values: of each feature. vectors: the kind of its vectors. stored: the prompt, where it is one. name,
    digest: `name@version` and the version's digest, of one in a store. answers: whether the answers of the reference are known."""

    what: str
    values: Reference
    vectors: str = ""
    stored: StoredPrompt | None = None
    name: str = ""
    answers: bool = False
    digest: str = ""


def against(
    source: str,
    *,
    store: Path | None = None,
    encoder: Encoder | None = None,
    prompt: str = "",
    columns: Mapping[str, Any] | None = None,
    question: str = "",
) -> Against:
    """What --against names: a prompt's folder, a log, a file of data, or a prompt of the store. prompt: of an earlier log, which one's
    answers, and by whose columns and wording a file of data is read. columns, question: of a file of data, by the names of `Columns` and of
    `Template`, where they are others. Raises ForewordError where it is none of
    these, or says too little."""
    path = Path(source)
    if path.is_file() and not is_log(path):
        known, template = _own_data(prompt, store)
        template = replace(template, question=question) if question else template
        return _data(path, encoder, {**known, **(columns or {})}, template)
    if columns or question:
        raise ForewordError(
            f"Columns or a question are given, by which a file of data is read, and --against {source} is none; leave them out."
        )
    if path.is_dir():
        return of_folder(path, f"the prompt {path}", encoder)
    if path.is_file():
        return _log(path, prompt, encoder)
    if store is None:
        raise ForewordError(
            f"--against {source} is neither a prompt's folder, nor a file of data, nor a log; for a prompt of a store give --store too."
        )
    registry = Registry(store)
    index, version = registry.resolve(source)
    stored = registry.load(index.name, version)
    place = registry.place(index.name, version)
    name = f"{index.name}@{version.number}"
    return replace(of_folder(place, name, encoder, stored=stored, name=name), digest=version.digest)


def without_alias(prompt: str, store: Path | None) -> str:
    """A prompt's name, `name@alias` as the `name@digest` that it points to. Raises ForewordError where that is not known."""
    if not prompt or not parse_reference(prompt).alias:
        return prompt
    if store is None:
        raise ForewordError(
            f"--prompt {prompt} names an alias, which a store keeps; give --store too, or the version's number."
        )
    index, version = Registry(store).resolve(prompt)
    return f"{index.name}@{version.digest}"


def of_folder(
    folder: Path, what: str, encoder: Encoder | None = None, *, stored: StoredPrompt | None = None, name: str = ""
) -> Against:
    """What a prompt's folder says: its profile, or the demonstrations that it keeps. what: the prompt in words. stored: its contents, where
    they are read already. Raises ForewordError where it keeps neither."""
    stored = stored or load_stored_prompt(folder)
    reads_texts = encoder is not None and encoder.texts
    profile = None if reads_texts else read_profile(folder)
    if profile is None and len(stored.pool) < FEWEST:
        lacks = (
            "no texts of the examples that it was tuned on, of which --encoder makes vectors"
            if reads_texts
            else "no profile of the examples that it was tuned on (prompts tuned by earlier versions and prompts of words have none)"
        )
        raise ForewordError(
            f"There is nothing to compare with: {what} keeps {lacks}; give --against DATA, the file of those examples."
        )
    if profile is None:
        return _of_examples(stored.pool, f"the demonstrations of {what}", encoder, stored, name)
    return Against(f"what {what} was tuned on", _of_profile(profile), profile.kind, stored, name)


def _of_profile(profile: Profile) -> Reference:
    values: Reference = {
        "input vectors": list(profile.vectors),
        "input length": list(profile.characters),
        "similarity": list(profile.similarity),
    }
    return {feature: some for feature, some in values.items() if len(some) >= FEWEST}


def _of_examples(
    reference_examples: Sequence[Example],
    what: str,
    encoder: Encoder | None,
    stored: StoredPrompt | None = None,
    name: str = "",
) -> Against:
    if len(reference_examples) < FEWEST:
        raise ForewordError(
            f"There are {len(reference_examples)} examples in {what}; give {FEWEST} or more to compare with."
        )
    if encoder is None:
        return Against(what, _of_profile(profile_of(reference_examples)), "", stored, name)
    vectors = np.asarray(encoder.encode([example.text for example in drawn_of(reference_examples)]))
    values = _of_profile(profile_of(reference_examples)) | {
        "input vectors": [tuple(map(float, vector)) for vector in vectors]
    }
    return Against(what, values, encoder.kind, stored, name)


def _own_data(prompt: str, store: Path | None) -> tuple[dict[str, Any], Template]:
    """The columns of a prompt's own data and how it words them; what is usual where there is no such prompt in the store."""
    if not prompt or store is None or parse_reference(prompt).name not in Registry(store).names():
        return {}, Template()
    index, version = Registry(store).resolve(prompt)
    stored = Registry(store).load(index.name, version)
    return dict(stored.provenance.columns), stored.template(Template())


def _data(path: Path, encoder: Encoder | None, columns: Mapping[str, Any], template: Template) -> Against:
    rows = read_rows(path, as_written=True)
    reference_examples = examples(
        rows, Columns(**columns), answers_needed=False, origin=str(path), fields_needed=template.names()
    )
    return _of_examples(reference_examples, f"the data {path.name}", encoder)


def _log(path: Path, prompt: str, encoder: Encoder | None) -> Against:
    earlier = of_prompt(read_log(path), prompt, str(path))
    if encoder is not None and encoder.texts:
        earlier = encoded(earlier, encoder, str(path))
    kind = next((observation.vectors for observation in reversed(earlier) if observation.vectors), "")
    values = reference_of([observation for observation in earlier if observation.vectors in (kind, "")])
    if not values:
        raise ForewordError(f"The log {path} holds {len(earlier)} answers of the prompt; {FEWEST} or more are needed.")
    return Against(f"the earlier log {path.name}", values, kind, answers=True)


def encoded(observations: Sequence[Observation], encoder: Encoder, where: str) -> list[Observation]:
    """Observations with vectors of their texts by an encoder. Raises ForewordError where the log keeps no texts."""
    if any(observation.text is None for observation in observations):
        raise ForewordError(
            f"The log {where} keeps no texts, and --encoder makes vectors of them; serve with --log-content, or leave --encoder out."
        )
    vectors = np.asarray(encoder.encode([str(observation.text) for observation in observations]))
    return [
        replace(observation, vector=tuple(map(float, vector)), vectors=encoder.kind)
        for observation, vector in zip(observations, vectors, strict=True)
    ]
