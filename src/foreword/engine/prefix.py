"""A Prefix is what stands before a row's own tokens, as a value with a digest: embeddings of a soft prompt, token ids, keys and values,
or several of these one after another."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from foreword.util.errors import ForewordError

Pair = tuple[Tensor, Tensor]  # keys and values [1, key heads, S, D] of a layer


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Input vectors [P, H], such as a soft prompt's; gradients may flow to them."""

    values: Tensor

    def __post_init__(self) -> None:
        if self.values.dim() != 2:
            raise ForewordError(f"A soft prompt is a matrix [P, H]; this one has the shape {tuple(self.values.shape)}.")

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def on(self, device: torch.device) -> Embeddings:
        """The same on that device."""
        return self if self.values.device == device else Embeddings(self.values.to(device))

    def tensors(self) -> tuple[Tensor, ...]:
        """The numbers."""
        return (self.values,)


@dataclass(frozen=True)
class Tokens:
    """Token ids, such as an instruction's."""

    ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def on(self, device: torch.device) -> Tokens:
        """Ids stand nowhere."""
        return self

    def tensors(self) -> tuple[Tensor, ...]:
        """The ids."""
        return (torch.tensor(self.ids, dtype=torch.long),)


@dataclass(frozen=True, eq=False)
class KeysValues:
    """For each layer keys and values [1, key heads, S, D] as the model's attention takes them, positions applied; gradients may flow to
    them. Li and Liang 2021 (arXiv 2101.00190) train such a prefix; they stand first."""

    layers: tuple[Pair, ...]

    def __post_init__(self) -> None:
        lengths = {int(states.shape[-2]) for pair in self.layers for states in pair}
        if len(lengths) != 1 or any(states.dim() != 4 or len(states) != 1 for pair in self.layers for states in pair):
            raise ForewordError(
                "A prefix of keys and values needs a pair [1, key heads, S, D] for each layer, all of one length S."
            )

    def __len__(self) -> int:
        return int(self.layers[0][0].shape[-2])

    def on(self, device: torch.device) -> KeysValues:
        """The same on that device."""
        if all(states.device == device for states in self.tensors()):
            return self
        return KeysValues(tuple((keys.to(device), values.to(device)) for keys, values in self.layers))

    def tensors(self) -> tuple[Tensor, ...]:
        """The numbers, layer by layer."""
        return tuple(states for pair in self.layers for states in pair)


Piece = Embeddings | Tokens | KeysValues


@dataclass(frozen=True, eq=False)
class Prefix:
    """Pieces that stand one after the other. Its values must not change once it is used: `digest` is made once."""

    pieces: tuple[Piece, ...]
    _copies: dict[torch.device, Prefix] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if any(isinstance(piece, KeysValues) for piece in self.pieces[1:]):
            raise ForewordError("Keys and values stand before everything else in a prefix; put them first.")

    @classmethod
    def of(cls, value: Prefix | Tensor | None) -> Prefix | None:
        """A soft prompt [P, H] as a prefix; a prefix, or none, as it is. Raises ForewordError for another shape."""
        return cls((Embeddings(value),)) if isinstance(value, Tensor) else value

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    @functools.cached_property
    def digest(self) -> str:
        """Of the kinds and contents of the pieces, whatever device they stand on."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(type(piece).__name__.encode())
            for values in piece.tensors():
                plain = values.detach().contiguous().cpu()
                digest.update(f"{tuple(plain.shape)}{plain.dtype}".encode())
                digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def on(self, device: torch.device) -> Prefix:
        """The same with its numbers on that device; a copy is made once and kept."""
        with self._lock:
            if device not in self._copies:
                moved = tuple(piece.on(device) for piece in self.pieces)
                same = all(new is old for new, old in zip(moved, self.pieces, strict=True))
                if same:
                    return self
                self._copies[device] = Prefix(moved)
                vars(self._copies[device])["digest"] = self.digest
            return self._copies[device]

    @property
    def past(self) -> KeysValues | None:
        """The keys and values that it begins with."""
        first = self.pieces[0] if self.pieces else None
        return first if isinstance(first, KeysValues) else None

    @property
    def inputs(self) -> tuple[Embeddings | Tokens, ...]:
        """What the model reads after those."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, KeysValues))

    def matrix(self) -> Tensor:
        """The one matrix [P, H] that it is made of. Raises ForewordError where it is of another kind: an encoder takes nothing else."""
        if len(self.pieces) != 1 or not isinstance(self.pieces[0], Embeddings):
            raise ForewordError(
                "An encoder-decoder takes a soft prompt [P, H] and no keys, values or tokens in its place; use a soft prompt."
            )
        return self.pieces[0].values

    def then(self, ids: Sequence[int]) -> Prefix:
        """This and token ids after it."""
        return Prefix((*self.pieces, Tokens(tuple(ids)))) if ids else self


Prefixes = (
    Prefix | Tensor | Sequence[Prefix | Tensor | None] | None
)  # one for every row, or none, or one of these for each row


def each(prefixes: Prefixes, rows: int, device: torch.device | None = None) -> list[Prefix | None]:
    """The prefix of each row; a tensor that several rows have becomes one prefix. device: where they are to stand; None: where they do.
    Raises ForewordError where there are not as many as rows."""

    def placed(value: Prefix | Tensor | None) -> Prefix | None:
        prefix = Prefix.of(value)
        return prefix if prefix is None or device is None else prefix.on(device)

    if prefixes is None or isinstance(prefixes, Tensor | Prefix):
        return [placed(prefixes)] * rows
    if len(prefixes) != rows:
        raise ForewordError(
            f"{len(prefixes)} soft prompts were given for {rows} rows; give one for all, or one for each row."
        )
    known = {id(value): placed(value) for value in prefixes}
    return [known[id(value)] for value in prefixes]


def length_of_prefix(prefix: Prefix | None) -> int:
    """Positions that it takes, 0 for none."""
    return 0 if prefix is None else len(prefix)
