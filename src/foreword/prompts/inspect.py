"""What the vectors of soft prompts lie near to: vocabulary items, each other, other prompts; it refuses to read a meaning into them without
random vectors beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from foreword.data.template import Template
from foreword.util.errors import ForewordError

if TYPE_CHECKING:
    from foreword.engine import Backbone
    from foreword.prompts.soft_prompt import SoftPrompt

Matrix = NDArray[np.float32]
TOGETHER = 0.5  # cosine from which vectors count as one cluster (average linkage)
RANDOM = 200  # vectors beside which a prompt's are held
AT_ONCE = 8_192  # vocabulary rows that are held against the vectors at once


@dataclass(frozen=True)
class Vocabulary:
    """values: [V, H], the input vectors of the items; pieces: what each item is, as the tokenizer shows it; ids: its token id."""

    values: Matrix
    pieces: Sequence[str]
    ids: Sequence[int]


@dataclass(frozen=True)
class Neighbour:
    """A vocabulary item and its cosine with a vector."""

    id: int
    piece: str
    cosine: float


@dataclass(frozen=True)
class Near:
    """How vectors lie to the vocabulary. nearest: the mean over vectors of the largest cosine with an item. tight: the mean cosine of
    the nearest items with each other, which is high where they form a cluster of like words. each: that cosine of every vector."""

    nearest: float
    tight: float
    each: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """Lengths of vectors."""

    mean: float
    std: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Inspected:
    """One prompt. norms: of its vectors, [P]. neighbours: [P][k], nearest first. near: of the prompt; random: of random vectors of the same
    width; items: of vocabulary items against the others. above: how many vectors lie nearer to an item than 95 % of random vectors do.
    clusters: the positions that lie together, largest first, those of one left out. repeated: how many vectors have the nearest item of
    an earlier one. label_items: the items by which each label that the prompt chooses between is known (see `label_ids`), none where no
    item is its alone; labels: the positions that have one of them among their neighbours; chance: how likely one of as many random vectors
    would have one there."""

    name: str
    length: int
    norms: list[float]
    spread: Spread
    clusters: list[list[int]]
    neighbours: list[list[Neighbour]] = field(default_factory=list)
    near: Near | None = None
    random: Near | None = None
    items: Near | None = None
    above: int = 0
    repeated: int = 0
    label_items: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Likeness:
    """Prompts beside each other. of_means: cosine of the mean vectors. of_vectors: the mean, over both prompts' vectors, of the largest
    cosine with one of the other's. places: of every vector in the plane in which all vectors spread widest, [prompt][P] of (x, y).
    explained: the share of the spread that the plane shows."""

    names: list[str]
    of_means: list[list[float]]
    of_vectors: list[list[float]]
    places: list[list[tuple[float, float]]]
    explained: float


@dataclass(frozen=True)
class Inspection:
    """Everything that is known of some prompts. vocabulary: lengths of the vocabulary's vectors; None where it was left out."""

    model: str
    prompts: list[Inspected]
    likeness: Likeness
    vocabulary: Spread | None
    neighbours: int


def inspect(
    prompts: dict[str, Matrix],
    vocabulary: Vocabulary | None,
    *,
    model: str = "",
    neighbours: int = 5,
    labels: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
) -> Inspection:
    """prompts: name to vectors [P, H], all of one width. labels: of each prompt, the ids by which each label that it chooses between is
    known. Raises ForewordError where widths differ."""
    width = {int(values.shape[1]) for values in prompts.values()} | (
        {vocabulary.values.shape[1]} if vocabulary else set()
    )
    if len(width) > 1:
        raise ForewordError(
            f"These prompts and the vocabulary are of several widths ({str(sorted(width))[1:-1]}); inspect each with its own model."
        )
    if neighbours < 1:
        raise ForewordError(f"{neighbours} neighbours were asked for; ask for 1 or more.")
    anchors = _anchors(vocabulary, neighbours) if vocabulary else None
    parts = [
        _inspected(name, values, vocabulary, anchors, neighbours, (labels or {}).get(name, {}))
        for name, values in prompts.items()
    ]
    lengths = _spread(np.linalg.norm(vocabulary.values, axis=1)) if vocabulary else None
    return Inspection(model, parts, likeness(prompts), lengths, neighbours)


def label_ids(backbone: Backbone, prompt: SoftPrompt, labels: Sequence[str]) -> dict[str, list[int]]:
    """The ids by which each label is known among the neighbours: the first token of it, as the prompt is trained to say it, that is no
    white space and that no other label has; and where the label is one token at the beginning of a text, as init `labels` lays it in, that
    one too, if it is its alone."""
    answer = prompt.provenance.template.get("answer")
    template = Template() if answer is None else Template(answer=answer)
    answers = backbone.target_tokenizer
    trained = {
        label: [i for i in backbone.answer_ids(template.replied(label), end=False) if answers.text([i]).strip()]
        for label in labels
    }
    begun = {label: backbone.tokenizer.ids(((label, False),), first=True) for label in labels}
    known: dict[str, list[int]] = {}
    for label in trained:
        others = {i for other in trained if other != label for i in (*trained[other], *begun[other])}
        first = [i for i in trained[label] if i not in others][:1]
        alone = [i for i in begun[label] if len(begun[label]) == 1 and i not in (*others, *first)]
        known[label] = first + alone
    return known


@dataclass(frozen=True)
class _Anchors:
    random: Near
    items: Near
    far: float  # the largest cosine with an item that 95 % of random vectors stay below
    drawn: list[set[int]]  # ids of the items nearest to each random vector
    unit: Matrix  # [V, H]


def _anchors(vocabulary: Vocabulary, k: int) -> _Anchors:
    """Random vectors (normal, so that every direction is as likely) and the vocabulary's own items, held against the vocabulary."""
    unit = _unit(vocabulary.values)
    rng = generator("inspect/random")
    drawn = _unit(rng.standard_normal((RANDOM, unit.shape[1])).astype(np.float32))
    _, cosines = _nearest(drawn, unit, k)
    own = rng.choice(len(unit), size=min(RANDOM, len(unit)), replace=False)
    near_ids, near_cosines = _nearest(unit[own], unit, k + 1)
    random_ids, _ = _nearest(drawn, unit, k)
    items = _near(near_cosines[:, 1:], near_ids[:, 1:], unit)  # without the item itself
    return _Anchors(
        _near(cosines, random_ids, unit),
        items,
        float(np.quantile(cosines[:, 0], 0.95)),
        [{vocabulary.ids[place] for place in row} for row in random_ids],
        unit,
    )


def _inspected(
    name: str,
    values: Matrix,
    vocabulary: Vocabulary | None,
    anchors: _Anchors | None,
    k: int,
    labels: Mapping[str, Sequence[int]],
) -> Inspected:
    norms = np.linalg.norm(values, axis=1)
    alone = Inspected(name, len(values), [float(norm) for norm in norms], _spread(norms), clusters(values))
    if vocabulary is None or anchors is None:
        return alone
    places, cosines = _nearest(_unit(values), anchors.unit, k)
    rows = [
        [
            Neighbour(vocabulary.ids[place], vocabulary.pieces[place], float(cosine))
            for place, cosine in zip(*pair, strict=True)
        ]
        for pair in zip(places, cosines, strict=True)
    ]
    first = [row[0].id for row in rows]
    pieces = dict(zip(vocabulary.ids, vocabulary.pieces, strict=True)) if labels else {}
    return Inspected(
        **vars(alone) | {
            "neighbours": rows,
            "near": _near(cosines, places, anchors.unit),
            "random": anchors.random,
            "items": anchors.items,
            "above": int((cosines[:, 0] > anchors.far).sum()),
            "repeated": len(first) - len(set(first)),
            "label_items": {
                label: [pieces[id_] for id_ in ids if id_ in pieces] for label, ids in labels.items()
            },
            "labels": {
                label: [n for n, row in enumerate(rows) if {near.id for near in row} & set(ids)]
                for label, ids in labels.items()
            },
            "chance": {label: _chance(anchors, ids, len(values)) for label, ids in labels.items()},
        }
    )  # fmt: skip


def _chance(anchors: _Anchors, ids: Sequence[int], count: int) -> float:
    """How likely one of `count` random vectors has one of these items among its nearest."""
    share = sum(bool(near & set(ids)) for near in anchors.drawn) / len(anchors.drawn)
    return 1.0 - (1.0 - share) ** count


def likeness(prompts: dict[str, Matrix]) -> Likeness:
    """How prompts lie to each other."""
    units = [_unit(values) for values in prompts.values()]
    means = [_unit(values.mean(axis=0, keepdims=True))[0] for values in prompts.values()]
    whole = np.concatenate(list(prompts.values())).astype(np.float64)
    centred = whole - whole.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    s = np.concatenate([s, np.zeros(2)])
    flat = np.zeros((len(whole), 2))
    flat[:, : u.shape[1]] = (u * s[: u.shape[1]])[:, :2]
    # A singular vector has no sign of its own: the largest entry is made positive, so that the map is the same wherever it is drawn.
    signs = np.sign(flat[np.abs(flat).argmax(axis=0), range(2)])
    flat *= np.where(signs == 0, 1.0, signs)
    ends = np.cumsum([len(values) for values in prompts.values()])[:-1]
    total = float((s**2).sum())
    return Likeness(
        names=list(prompts),
        of_means=[[float(a @ b) for b in means] for a in means],
        of_vectors=[[_best_matches(a, b) for b in units] for a in units],
        places=[[(float(x), float(y)) for x, y in part] for part in np.split(flat, ends)],
        explained=float((s[:2] ** 2).sum()) / total if total else 1.0,
    )


def clusters(values: Matrix) -> list[list[int]]:
    """Positions whose vectors lie together (average linkage of cosines, joined at TOGETHER or more); those that lie alone are left out."""
    if len(values) < 2:
        return []
    unit = _unit(values).astype(np.float64)
    distance = 1.0 - np.clip((unit @ unit.T)[np.triu_indices(len(unit), 1)], -1.0, 1.0)
    groups = fcluster(linkage(distance, method="average"), 1.0 - TOGETHER, criterion="distance")
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(int(group), []).append(place)
    return sorted((places for places in members.values() if len(places) > 1), key=lambda places: (-len(places), places))


def _best_matches(a: Matrix, b: Matrix) -> float:
    cosines = a @ b.T
    return float((cosines.max(axis=1).mean() + cosines.max(axis=0).mean()) / 2)


def _nearest(unit: Matrix, vocabulary: Matrix, k: int) -> tuple[NDArray[np.int64], Matrix]:
    """The places [P, k] of the items with the largest cosines [P, k], largest first; of equal ones the first in the vocabulary."""
    k = min(k, len(vocabulary))
    places = np.zeros((len(unit), 0), np.int64)
    cosines = np.zeros((len(unit), 0), np.float32)
    for start in range(0, len(vocabulary), AT_ONCE):
        part = unit @ vocabulary[start : start + AT_ONCE].T
        both = np.concatenate([cosines, part], axis=1)
        where = np.concatenate([places, np.broadcast_to(np.arange(start, start + part.shape[1]), part.shape)], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        places, cosines = np.take_along_axis(where, order, 1), np.take_along_axis(both, order, 1)
    return places, cosines


def _near(cosines: Matrix, places: NDArray[np.int64], unit: Matrix) -> Near:
    """How vectors lie whose nearest items are at those places [P, k], with those cosines [P, k]."""
    each = _tight(places, unit)
    return Near(float(cosines[:, 0].mean()), float(each.mean()), [float(value) for value in each])


def _tight(places: NDArray[np.int64], unit: Matrix) -> NDArray[np.float64]:
    """The mean cosine of each row's items with each other [P]; 1 where there is one item a row."""
    k = places.shape[1]
    if k < 2:
        return np.ones(len(places))
    rows = unit[places]  # [P, k, H]
    cosines = (rows @ rows.transpose(0, 2, 1)).astype(np.float64)
    whole = cosines.sum(axis=(1, 2)) - np.trace(cosines, axis1=1, axis2=2)
    each: NDArray[np.float64] = whole / (k * (k - 1))
    return each


def _unit(values: Matrix) -> Matrix:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, 1.0), np.float32)


def _spread(norms: NDArray[Any]) -> Spread:
    return Spread(float(norms.mean()), float(norms.std()), float(norms.min()), float(norms.max()))


def generator(purpose: str) -> np.random.Generator:
    """A fresh generator that depends on what it is for, and on nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(purpose.encode()).digest()))
