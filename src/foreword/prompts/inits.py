"""The shelf of init strategies: functions (backbone, length, rng, source) to [P, H], with values on the scale of the embedding table;
foreword's own, and those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from foreword.engine import Backbone
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.util.errors import ForewordError
from foreword.util.plugins import Plugin, Shelf

FREQUENT = 5000  # Lester et al. 2021, section 3.2


@dataclass(frozen=True)
class InitSource:
    """What some strategies start from. text: for `text`. labels: the task's answers to choose from, for `labels`. prompt: another
    task's soft prompt, for `warm_start`."""

    text: str = ""
    labels: Sequence[str] = ()
    prompt: SoftPrompt | None = None


Init = Callable[[Backbone, int, Random, InitSource], Tensor]


def random(backbone: Backbone, length: int, rng: Random, source: InitSource) -> Tensor:
    """Uniform, with the root mean square of the embedding rows (Lester et al. draw from [-0.5, 0.5] whatever the model's scale)."""
    bound = backbone.scale * 3**0.5
    return torch.tensor([[rng.uniform(-bound, bound) for _ in range(backbone.hidden)] for _ in range(length)])


def vocab(backbone: Backbone, length: int, rng: Random, source: InitSource) -> Tensor:
    """Rows of the 5,000 most frequent tokens, drawn without replacement (Lester et al. 2021, section 3.2)."""
    frequent = backbone.tokenizer.frequent(FREQUENT)
    if length > len(frequent):
        raise ForewordError(
            f"Init 'vocab' draws {length} different tokens and this model has {len(frequent)}; lower --prompt-length or use init 'random'."
        )
    return backbone.embed(rng.sample(frequent, length))


def text(backbone: Backbone, length: int, rng: Random, source: InitSource) -> Tensor:
    """Rows of a text's tokens; a longer text is cut at P tokens, a shorter one is followed by rows drawn as in `vocab`."""
    if not source.text.strip():
        raise ForewordError("Init 'text' needs a text; give --init-text '...', for example an instruction.")
    rows = backbone.embed(backbone.tokenizer.ids(source.text, first=True)[:length])
    return rows if len(rows) == length else torch.cat([rows, vocab(backbone, length - len(rows), rng, source)])


def labels(backbone: Backbone, length: int, rng: Random, source: InitSource) -> Tensor:
    """One row for each answer to choose from, the mean of its tokens' rows; the rest as in `vocab` (Lester et al. 2021, section 3.2)."""
    if not source.labels:
        raise ForewordError(
            "Init 'labels' needs a task with answers to choose from; give --choices, or use init 'vocab'."
        )
    if len(source.labels) > length:
        raise ForewordError(
            f"Init 'labels' has {len(source.labels)} labels for {length} positions; raise --prompt-length."
        )
    rows = torch.stack(
        [backbone.embed(backbone.tokenizer.ids(((label, False),), first=True)).mean(dim=0) for label in source.labels]
    )
    return rows if len(rows) == length else torch.cat([rows, vocab(backbone, length - len(rows), rng, source)])


def warm_start(backbone: Backbone, length: int, rng: Random, source: InitSource) -> Tensor:
    """Another prompt of the same backbone, as it is (transfer; Vu et al. 2022, Sun et al. 2023 section 5)."""
    if source.prompt is None:
        raise ForewordError("Init 'warm_start' needs another prompt; give --init-prompt FOLDER.")
    source.prompt.fits(name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden)
    if source.prompt.length != length:
        raise ForewordError(
            f"The prompt to start from has {source.prompt.length} positions and {length} are asked for; "
            f"set --prompt-length {source.prompt.length}."
        )
    return source.prompt.values.clone()


_OWN: dict[str, Init] = {"random": random, "vocab": vocab, "text": text, "labels": labels, "warm_start": warm_start}


def _accept(brought: Any, plugin: Plugin) -> Init:
    if isinstance(brought, type) or not callable(brought):
        raise plugin.fault("is no function (backbone, length, rng, source) -> [P, H]")
    strategy: Init = brought
    return strategy


INITS: Shelf[Init] = Shelf("init", lambda: _OWN, lambda name: _OWN[name], _accept)


def initial(name: str, backbone: Backbone, length: int, *, seed: int, source: InitSource) -> Tensor:
    """The initial soft prompt [P, H], float32: a function of strategy, backbone and seed. Raises ForewordError for an unknown strategy,
    and for rows of another shape or that are not finite."""
    rows = INITS.named(name)(backbone, length, Random(f"{seed}/init/{name}"), source).float().cpu()
    if rows.shape != (length, backbone.hidden) or not bool(torch.isfinite(rows).all()):
        raise ForewordError(
            f"Init '{name}' gave {list(rows.shape)}, and {[length, backbone.hidden]} finite numbers are needed; mend it, or use 'vocab'."
        )
    return rows
