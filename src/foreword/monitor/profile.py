"""A Profile is what a prompt keeps of the inputs it was tuned on: lengths, vectors, similarities; it refuses to keep a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from foreword.data.examples import Example
from foreword.prompts.store import PROFILE
from foreword.util.errors import ForewordError
from foreword.util.files import read_json

SCHEME = 1
MOST = 256  # examples of which it is made


@dataclass(frozen=True)
class Profile:
    """characters: of each input. vectors: of the same inputs, of the kind `kind`; empty where they were not made. similarity: to the
    nearest demonstration, of inputs that are none of them."""

    characters: tuple[int, ...]
    vectors: tuple[tuple[float, ...], ...] = ()
    kind: str = ""
    similarity: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as its file holds them."""
        return {
            "v": SCHEME,
            "characters": list(self.characters),
            "vectors": [list(vector) for vector in self.vectors],
            "kind": self.kind,
            "similarity": list(self.similarity),
        }

    @classmethod
    def of(cls, raw: Any, where: str) -> Profile:
        """A profile by the values of its file. Raises ForewordError for damaged ones."""
        try:
            if raw["v"] != SCHEME:
                raise ValueError(f"it is of scheme {raw['v']}")
            vectors = tuple(tuple(float(value) for value in vector) for vector in raw["vectors"])
            if vectors and (len(vectors) != len(raw["characters"]) or len({len(vector) for vector in vectors}) != 1):
                raise ValueError("its vectors are not as many or as long as they should be")
            characters = tuple(int(value) for value in raw["characters"])
            return cls(characters, vectors, str(raw["kind"]), tuple(float(value) for value in raw["similarity"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ForewordError(
                f"The profile {where} does not have the shape this version reads ({error}); tune the prompt again, or give --against DATA."
            ) from error


def profile_of(
    examples: Sequence[Example],
    vector: Callable[[str], tuple[float, ...]] | None = None,
    kind: str = "",
    similarity: Sequence[float] = (),
) -> Profile:
    """The profile of examples, of MOST of them drawn where there are more. vector: of a text."""
    texts = [example.text for example in drawn_of(examples)]
    return Profile(
        tuple(map(len, texts)),
        () if vector is None else tuple(vector(text) for text in texts),
        "" if vector is None else kind,
        tuple(round(float(value), 4) for value in similarity),
    )


def drawn_of(examples: Sequence[Example]) -> list[Example]:
    """The examples of which a profile is made, in their order."""
    if len(examples) <= MOST:
        return list(examples)
    return [examples[place] for place in sorted(Random("profile").sample(range(len(examples)), MOST))]


def read_profile(folder: Path) -> Profile | None:
    """The profile in a prompt's folder; None where it keeps none. Raises ForewordError for a damaged one."""
    path = folder / PROFILE
    return Profile.of(read_json(path, "prompt's profile"), str(path)) if path.is_file() else None
