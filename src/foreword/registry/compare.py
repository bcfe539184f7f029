"""How two versions differ: settings and scores by name, numbers by distance, demonstrations by count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from foreword.registry.stored_prompt import StoredPrompt


def described(stored: StoredPrompt) -> dict[str, Any]:
    """What a version keeps, as plain values."""
    prompt = stored.prompt
    values = stored.provenance.as_dict() | {
        "choices": list(stored.choices),
        "demonstrations": len(stored.pool),
        "max_new_tokens": stored.max_new_tokens,
        "virtual_tokens": 0 if prompt is None else prompt.length,
    }
    if stored.metrics:
        values["metrics"] = list(stored.metrics)
    return values


def difference(first: StoredPrompt, second: StoredPrompt) -> dict[str, Any]:
    """settings: for each dotted name that differs, both values. numbers: of the soft prompts, where both have one of the same shape, the
    root mean square of the difference as a part of the first's, and the cosine of their angle. demonstrations: how many each has alone, and
    both."""
    left, right = _flat(described(first)), _flat(described(second))
    settings = {
        name: [left.get(name), right.get(name)] for name in sorted({*left, *right}) if left.get(name) != right.get(name)
    }
    pools = [{example.digest() for example in stored.pool} for stored in (first, second)]
    shared = len(pools[0] & pools[1])
    return {
        "settings": settings,
        "numbers": _numbers(first, second),
        "demonstrations": {"only_first": len(pools[0]) - shared, "only_second": len(pools[1]) - shared, "both": shared},
    }


def _numbers(first: StoredPrompt, second: StoredPrompt) -> dict[str, float] | None:
    if first.prompt is None or second.prompt is None or first.prompt.values.shape != second.prompt.values.shape:
        return None
    a, b = first.prompt.values.double().flatten(), second.prompt.values.double().flatten()
    scale = float(a.norm())
    return {
        "relative_distance": float((a - b).norm()) / scale if scale else 0.0,
        "cosine": float(torch.nn.functional.cosine_similarity(a, b, dim=0)),
    }


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = list(value) if isinstance(value, tuple) else value
    return flat
