"""Capabilities: which short cuts are exact for a loaded model, found by running it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What holds exactly for this model; found by running it at load time, never by its name.

    prefix_cache: the prefix may be run once and its keys and values shared. left_padding: a left-padded row equals the row alone.
    logits_to_keep: logits may be computed at chosen positions only. incremental_decoding: an answer may grow by one token a pass, out of
    the cache. packed_sequence: prefix and rows may stand in one sequence. shared_prefix: rows may stand in one sequence beside a prefix
    that is held once, and grow there. fused_lm_head_loss: logits are what `Head` makes of the last hidden states, so the loss can be
    computed in parts of the vocabulary.
    """

    prefix_cache: bool = True
    left_padding: bool = True
    logits_to_keep: bool = True
    incremental_decoding: bool = True
    packed_sequence: bool = False
    shared_prefix: bool = False
    fused_lm_head_loss: bool = False
