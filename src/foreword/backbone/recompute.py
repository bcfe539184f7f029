"""Activation checkpointing: a layer keeps its input alone and is run again for the gradient; it refuses a pass that fills a cache, which
running again would fill twice."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from foreword.backbone.attention import instead

Around = Callable[[], AbstractContextManager[Any]]
"""Makes the block in which a layer runs, anew each time."""


@contextlib.contextmanager
def recomputed(model: Any, around: Around = contextlib.nullcontext) -> Iterator[None]:
    """Within the block every layer of the model, once run, forgets what it computed; in the backward pass it is run again inside
    `around()`. Chen et al. 2016 (arXiv 1604.06174), a layer a segment: about a third more arithmetic, one layer's activations."""

    def again() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return contextlib.nullcontext(), around()

    with contextlib.ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                run = functools.partial(checkpoint, layer.forward, use_reentrant=False, context_fn=again)
                stack.enter_context(instead(layer, run))
        yield
