"""The settings of tuning; combinations that lack what they need are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from foreword.config.settings import TUNE, Count, Settings, Whole, option
from foreword.util.errors import ForewordError

FORMER = {"prepend": "front", "append": "behind", "warm_start": "carried"}
"""Words of today by those that earlier versions took. Records, certificates and keys keep the earlier ones, so that what is finished stays
finished; a run may still say either."""
_TODAY = {former: today for today, former in FORMER.items()}

READS = {"random": "", "vocab": "", "labels": "", "text": "init_text", "warm_start": "init_prompt"}
"""Which setting an init strategy of foreword's own starts from; one of another package may read any."""


def today(word: Any) -> Any:
    """A setting's word of today; anything else as it is."""
    return _TODAY.get(word, word) if isinstance(word, str) else word


def refuse_unread(tuning: Any) -> None:
    """Raises ForewordError where a table of settings gives an init strategy and a text or a prompt to start from that it does not read."""
    strategy = today(tuning.get("init")) if isinstance(tuning, Mapping) else None
    if not isinstance(strategy, str):
        return
    for init, key in READS.items():
        if key and str(tuning.get(key, "")).strip() and READS.get(strategy, key) != key:
            raise ForewordError(
                f"tuning.{key} is given and tuning.init is '{strategy}', which does not read it; set tuning.init to '{init}' "
                f"(--init {init}), or leave {key} empty."
            )


class Tuning(Settings):
    """How a soft prompt is fitted, and, but for what only a soft prompt has, anything else that is trained. Each field says what it is."""

    prefix: ClassVar[str] = "tuning."

    prompt_length: Count = option(20, TUNE, "P, the positions of a soft prompt.", also=("--num-virtual-tokens",))
    place: Annotated[Literal["auto", "prepend", "append", "system"], BeforeValidator(today)] = option(
        "auto",
        TUNE,
        "Where the soft prompt stands: auto, prepend, append (to an encoder's input), or system (inside a chat's system message).",
        flag="--soft-place",
    )
    init: Annotated[str, Field(min_length=1), BeforeValidator(today)] = option(
        "vocab", TUNE, "random, vocab, text, labels or warm_start."
    )
    init_text: str = option("", TUNE, "The text for --init text.", default_text="none")
    init_prompt: str = option("", TUNE, "The prompt folder for --init warm_start.", default_text="none")
    reparameterisation: Literal["none", "mlp"] = Field(
        default="none", description="mlp fits the rows through two layers of width mlp_width, folded away at save."
    )
    mlp_width: Whole = Field(default=0, description="Of the two layers; 0: the backbone's H.")
    optimizer: Literal["adamw", "adafactor"] = Field(
        default="adamw", description="AdamW, or Adafactor, which keeps less memory."
    )
    learning_rate: Annotated[float, Field(gt=0)] = option(
        0.3, TUNE, "In units of the hidden states behind the model's first block."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Decoupled, as a part of the learning rate."
    )
    warmup_steps: Whole = Field(default=20, description="The learning rate rises from 0 over so many steps.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="linear", description="What the learning rate does after the warm-up, until max_steps."
    )
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="The gradient is clipped to this length; 0: never."
    )
    batch_size: Count = option(8, TUNE, "Examples a training step.", flag="--train-batch-size")
    max_steps: Whole = option(500, TUNE, "Training steps at most.")
    eval_every: Count = Field(default=50, description="Steps between evaluations on the dev split.")
    patience: Whole = Field(
        default=5, description="Evaluations without an improvement after which tuning stops; 0: never."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Layers keep their input alone and run again for the gradient, for less memory and a third more time.",
    )
    select_by: Literal["loss", "metric"] = Field(default="loss", description="What the best checkpoint is the best in.")
    dev_limit: Count = Field(default=200, description="Dev examples of an evaluation at most.")

    @model_validator(mode="after")
    def _init_has_what_it_needs(self) -> Self:
        for init, key in (("text", "init_text"), ("warm_start", "init_prompt")):
            if self.init == init and not getattr(self, key).strip():
                what = "words" if init == "text" else "folder of a prompt"
                raise ForewordError(
                    f"tuning.init is '{init}' and tuning.{key} is empty; give the {what} to start from."
                )
        if "init" not in self.model_fields_set:
            refuse_unread(self.model_dump(include={"init", "init_text", "init_prompt"}))
        return self

    def stored(self) -> dict[str, Any]:
        """Plain values as records, certificates and keys hold them: in the words of `FORMER`."""
        values = self.model_dump()
        return values | {key: FORMER.get(values[key], values[key]) for key in ("place", "init")}
