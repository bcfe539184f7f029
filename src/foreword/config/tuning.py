"""The settings of tuning; combinations that lack what they need are refused."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from foreword.config.settings import Count, Settings, Whole
from foreword.util.errors import ForewordError

FORMER = {"prepend": "front", "append": "behind", "warm_start": "carried"}
"""Words of today by those that earlier versions took. Records, certificates and keys keep the earlier ones, so that what is finished stays
finished; a run may still say either."""
_TODAY = {former: today for today, former in FORMER.items()}


def today(word: Any) -> Any:
    """A setting's word of today; anything else as it is."""
    return _TODAY.get(word, word) if isinstance(word, str) else word


class Tuning(Settings):
    """How a soft prompt is fitted, and, but for what only a soft prompt has, anything else that is trained.

    prompt_length: P, in rows. place: prepended to the input, appended to it in an encoder (auto: prepend, unless a model that has
    learnt its positions by heart loses the input there), or inside the system message of a chat. init: where the rows start;
    init_text: the words for `text`; init_prompt: the prompt's folder for `warm_start`.
    reparameterisation: `mlp` fits the rows through two layers of width mlp_width (0: the
    backbone's H), folded away at save.
    optimizer, weight_decay: AdamW, or Adafactor, which keeps less memory.
    learning_rate: in units of the root mean square of the hidden states after the backbone's first block, so that one rate serves
    every model. warmup_steps: the rate rises from 0 over so many steps; schedule: what it does after them, until max_steps.
    max_grad_norm: the gradient is clipped to this length (0: never). batch_size: examples a step. max_steps: 0 keeps
    the prompt as it starts. gradient_checkpointing: layers keep their input alone and run again for the gradient, for less memory
    and a third more time.
    eval_every: steps between evaluations on at most dev_limit dev examples. patience: evaluations without an
    improvement after which tuning stops (0: never). select_by: what the best checkpoint is the best in.
    """

    prefix: ClassVar[str] = "tuning."

    prompt_length: Count = 20
    place: Annotated[Literal["auto", "prepend", "append", "system"], BeforeValidator(today)] = "auto"
    init: Annotated[Literal["random", "vocab", "text", "labels", "warm_start"], BeforeValidator(today)] = "vocab"
    init_text: str = ""
    init_prompt: str = ""
    reparameterisation: Literal["none", "mlp"] = "none"
    mlp_width: Whole = 0
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 0.3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Whole = 20
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    batch_size: Count = 8
    max_steps: Whole = 500
    eval_every: Count = 50
    patience: Whole = 5
    gradient_checkpointing: bool = False
    select_by: Literal["loss", "metric"] = "loss"
    dev_limit: Count = 200

    @model_validator(mode="after")
    def _init_has_what_it_needs(self) -> Self:
        for init, key in (("text", "init_text"), ("warm_start", "init_prompt")):
            if self.init == init and not getattr(self, key).strip():
                what = "words" if init == "text" else "folder of a prompt"
                raise ForewordError(
                    f"tuning.init is '{init}' and tuning.{key} is empty; give the {what} to start from."
                )
        return self

    def stored(self) -> dict[str, Any]:
        """Plain values as records, certificates and keys hold them: in the words of `FORMER`."""
        values = self.model_dump()
        return values | {key: FORMER.get(values[key], values[key]) for key in ("place", "init")}
