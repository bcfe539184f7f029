"""A SoftPrompt: a matrix [P, H] with its birth certificate; it fits the backbone that it was tuned on, and no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from foreword.util.errors import ForewordError, TrialFailedError
from foreword.util.fingerprint import PARTS, SCHEME

KINDS = {"causal": "a decoder-only", "seq2seq": "an encoder-decoder"}
COLUMNS = {
    "input": "input_column",
    "target": "target_column",
    "references": "references_column",
    "choices": "choices_column",
    "index": "target_index",
}  # as `Columns` calls them, and as a run and a prompt do


@dataclass(frozen=True)
class Provenance:
    """Where a soft prompt comes from. fingerprint: of its backbone; empty for a prompt made elsewhere, which says only its
    width. kind: causal or seq2seq; empty where it does not say. base, revision: what the backbone was loaded from (a hub id, or an
    absolute path) and at which revision, where known. template: the wording it was trained with. method: the row of choices. place:
    front of the input, behind it, or inside the system message. chat: digest of the chat template it was trained through; empty for
    running text. settings: of the run, what those who use the prompt would have to say again: columns, choices, metrics,
    demonstrations."""

    backbone: str
    fingerprint: str = ""
    kind: str = "causal"
    task: str = ""
    task_fingerprint: str = ""
    label: str = ""
    method: dict[str, Any] = field(default_factory=dict)
    template: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    place: str = "front"
    origin: str = "foreword"
    chat: str = ""
    base: str = ""
    revision: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the certificate beside the numbers."""
        return asdict(self)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of its own data, by the names of `Columns`; none where it does not say."""
        named = {name: self.settings.get(setting) for name, setting in COLUMNS.items()}
        return {name: column for name, column in named.items() if column not in (None, "")}


def worked_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """A digest of worked examples; empty where there are none."""
    return hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest() if rows else ""


def profile_digest(profile: Mapping[str, Any]) -> str:
    """A digest of a profile; empty where there is none."""
    return hashlib.sha256(json.dumps(profile, sort_keys=True).encode()).hexdigest() if profile else ""


@dataclass(frozen=True)
class SoftPrompt:
    """values: [P, H], float32, finite. worked: of a method that shows demonstrations, the examples that it may show, as plain rows of
    id, fields, targets and choices. profile: how the inputs that it was tuned on are distributed, as plain values (`monitor.profile`).
    notes: fresh from its tuning, what a reader of it should know, such as that train and dev share inputs; no folder keeps them."""

    values: Tensor
    provenance: Provenance
    worked: tuple[dict[str, Any], ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or not len(self.values):
            raise ForewordError(
                f"A soft prompt is a matrix of P rows and H columns; this one has the shape {tuple(self.values.shape)}."
            )
        if not bool(torch.isfinite(self.values).all()):
            raise TrialFailedError(
                "This soft prompt holds numbers that are not finite; tune it again with a lower learning rate."
            )
        object.__setattr__(self, "values", self.values.detach().to(torch.float32).cpu().contiguous())

    @property
    def length(self) -> int:
        """P, the prompt length."""
        return int(self.values.shape[0])

    @property
    def hidden(self) -> int:
        """H, the width."""
        return int(self.values.shape[1])

    @property
    def digest(self) -> str:
        """A digest of the numbers."""
        return hashlib.sha256(self.values.numpy().tobytes() + str(tuple(self.values.shape)).encode()).hexdigest()

    def fits(
        self, *, name: str, fingerprint: str, hidden: int, kind: str = "", allow_other_base: bool = False
    ) -> tuple[str, ...]:
        """Raises ForewordError when this prompt was not born of that backbone (or, where its birth is unknown, has another width, or is
        for another kind of model). allow_other_base: a note says what differs instead; width and kind must fit all the same."""
        if self.hidden != hidden:
            raise ForewordError(
                f"This prompt has {self.hidden} columns and the model {name} is {hidden} wide; "
                f"use it with {self.provenance.backbone or 'its own model'}."
            )
        if kind and self.provenance.kind and kind != self.provenance.kind:
            raise ForewordError(
                f"This prompt is for {KINDS[self.provenance.kind]} model and {name} is {KINDS[kind]} one; use it with "
                f"{self.provenance.backbone or 'its own model'}."
            )
        born = self.provenance.fingerprint
        if allow_other_base and born and born != fingerprint:
            return (
                f"The soft prompt was tuned on {self.provenance.backbone} and is used on {name} (what differs: "
                f"{self._differing(fingerprint)}), as --allow-other-base says.",
            )
        if born and born.partition(":")[0] != SCHEME:
            raise ForewordError(
                f"This prompt was made by another version of foreword, whose fingerprints cannot be compared, so whether {name} is its "
                'model cannot be told; tune it again, or, if you are sure that it is, write "fingerprint": "" into its foreword.json '
                'and take "contents" out.'
            )
        if born and born != fingerprint:
            raise ForewordError(
                f"This prompt was tuned on {self.provenance.backbone}, and {name} is another model (what differs: "
                f"{self._differing(fingerprint)}); use it with its own model, or tune one for this model (between a quantised model and "
                "its full-precision twin, --allow-other-base carries it over)."
            )
        return ()

    def _differing(self, fingerprint: str) -> str:
        """The parts of a fingerprint in which another differs from this prompt's own, in words."""
        born = self.provenance.fingerprint
        mine, other = born.partition(":")[2].split("."), fingerprint.partition(":")[2].split(".")
        if born.partition(":")[0] != SCHEME:
            return "cannot be told, as another version of foreword made the prompt"
        differing = [part for part, here, there in zip(PARTS, mine, other, strict=False) if here != there]
        return ", ".join(differing) or "its identity"

    def unbound(self) -> SoftPrompt:
        """The same prompt without its backbone's fingerprint, to be used on another base that it fits in width."""
        return replace(self, provenance=replace(self.provenance, fingerprint=""))

    def speaks(self, *, name: str, chat: str) -> None:
        """Raises ForewordError when this prompt was trained through a chat template and is to be used through none, or another (chat:
        the digest of the one in use), or the other way round. A prompt made elsewhere does not say."""
        if not self.provenance.fingerprint or self.provenance.chat == chat:
            return
        if self.provenance.chat and chat:
            raise ForewordError(
                f"This prompt was tuned through another chat template than the one that {name} has now; put that template back, or tune "
                "the prompt again."
            )
        was, use = ("with", "on") if self.provenance.chat else ("without", "off")
        raise ForewordError(
            f"This prompt was tuned {was} a chat template and is to be used the other way; use --chat {use}, or leave --chat out."
        )
