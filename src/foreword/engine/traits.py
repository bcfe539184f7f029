"""Traits: which short cuts are exact for a loaded model, found by running it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What holds exactly for this model; found by running it at load time, never by its name.

    shares: the prefix may be run once and shared. left_pads: a left-padded row equals the row alone. picks: logits may be computed at
    chosen positions only. continues: an answer may grow by one token a pass, out of the cache. packs: prefix and rows may stand in one
    sequence. keeps: rows may stand in one sequence beside a prefix that is held once, and grow there. heads: logits are what `Head`
    makes of the last hidden states.
    """

    shares: bool = True
    left_pads: bool = True
    picks: bool = True
    continues: bool = True
    packs: bool = False
    keeps: bool = False
    heads: bool = False
