"""What /v1/models tells: the base model, then each prompt of the store with its versions and aliases; it leaves out a name whose index is
damaged, a version whose certificate is or that was unloaded, and a prompt's bare name that a request takes for the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from foreword.registry import parse_reference
from foreword.serve.shelf import Shelf, UnknownModelError
from foreword.util.errors import ForewordError


def cards_of(shelf: Shelf, *, window: int | None, started: int) -> list[dict[str, Any]]:
    """A card a model, a version and an alias, in OpenAI's shape. window: positions of the model. started: when the server was, in seconds
    since 1970, which is the date of the base model."""

    def card(name: str, parent: str | None, created: int) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "foreword",
            "root": base,
            "parent": parent,
            "max_model_len": window,
        }

    base, registry = shelf.base, shelf.registry
    cards = [card(base, None, started)]
    for name in () if registry is None else registry.names():
        assert registry is not None
        try:
            index = registry.index(name)
        except ForewordError:  # who asks for it is told
            continue
        dates = {version.digest: int(datetime.fromisoformat(version.added).timestamp()) for version in index.versions}
        read: set[str] = set()  # digests of versions
        for version in index.versions:
            if shelf.is_unloaded(name, version):
                continue
            try:
                summary = registry.summary(name, version)
            except ForewordError:  # who asks for it is told
                continue
            read.add(version.digest)
            parent = version.parents[0] if version.parents else base
            details = {"digest": version.digest, "aliases": index.aliases_of(version)} | summary
            cards.append(card(f"{name}@{version.number}", parent, dates[version.digest]) | {"foreword": details})
        bare = () if shelf.is_base(name) else (name,)
        for reference in (*bare, *(f"{name}@{alias}" for alias in sorted(index.aliases))):
            try:
                version = index.resolve(parse_reference(reference))
            except ForewordError:  # an alias of no version, or one that can be none
                continue
            if version.digest not in read:
                continue
            points_to = {"version": f"{name}@{version.number}"}
            cards.append(card(reference, base, dates[version.digest]) | {"foreword": points_to})
    return cards


def card_of(shelf: Shelf, cards: Sequence[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The card of what a request's `model` means, in any of its ways to say it; None where none of these cards is."""
    by_id = {card["id"]: card for card in cards}
    if shelf.is_base(model):
        return by_id.get(shelf.base)
    if model in by_id:
        return by_id[model]
    try:
        name, version = shelf.resolve(model)
    except UnknownModelError:
        return None
    return by_id.get(f"{name}@{version.number}")
