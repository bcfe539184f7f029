"""What a pre-training goes on from: a finished model of it and what its recipe says; a folder of any other kind is refused."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_model
from tokenizers import Tokenizer

from foreword.models.cache import file_digest
from foreword.train.pretrain.batches import DocumentPlace, batches
from foreword.util import phrases
from foreword.util.errors import ForewordError, brief
from foreword.util.files import read_object

TEXT = ("size", "seed", "texts", "budget", "share", "drilled")
"""What the words of a recipe and the order of its batches follow from."""
RATE = ("peak", "warm", "decay")


@dataclass(frozen=True)
class Start:
    """A finished model. digest: of its weights. recipe: that it was made by. tokens, steps: that it has read. curve: of its loss."""

    folder: Path
    digest: str
    recipe: dict[str, Any]
    tokens: int
    steps: int
    curve: list[tuple[int, float]]

    def same_text(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The recipe of a run that goes on: this one's, with the rate of `settings`. Raises ForewordError where a setting from which the
        text follows is another."""
        names = [name for name in TEXT if settings.get(name) not in (None, self.recipe[name])]
        if names:
            other = phrases.listed([f"{name} {settings[name]}" for name in names])
            its = phrases.listed([f"{name} {self.recipe[name]}" for name in names])
            raise ForewordError(
                f"Going on from {self.folder} with {other} is asked for, and it was made with {its}; leave that out."
            )
        return {name: self.recipe[name] for name in (*TEXT, *RATE)} | {
            n: v for n, v in settings.items() if v is not None
        }

    def put_into(self, model: Any) -> None:
        """Give a model of the shape these weights. Raises ForewordError when they are damaged or of another shape."""
        try:
            load_model(model, self.folder / "model.safetensors")
        except (SafetensorError, RuntimeError, OSError) as error:
            raise ForewordError(
                f"{self.folder} holds no whole model of size {self.recipe['size']}: {brief(str(error))}; name another folder."
            ) from error

    def place(self, tokenizer: Tokenizer) -> DocumentPlace:
        """Where its stream of batches stood when it was finished. Raises ForewordError when the tokenizer has other words than its own."""
        if Tokenizer.from_file(str(self.folder / "tokenizer.json")).get_vocab() != tokenizer.get_vocab():
            raise ForewordError(
                f"{self.folder} was made from text that this version of foreword does not generate: its tokenizer has other words; "
                "train a model from nothing."
            )
        known = {name: self.recipe[name] for name in ("seed", "budget", "share", "drilled")}
        stream = batches(tokenizer, **known, place=DocumentPlace())
        return next(itertools.islice(stream, self.steps - 1, None))[1]


def start_of(folder: Path) -> Start:
    """The finished model in a folder. Raises ForewordError when pretrain did not make it."""
    path = folder / "recipe.json"
    known = read_object(path, "recipe of the model") if path.is_file() else {}
    missing = [name for name in (*TEXT, *RATE, "tokens", "steps", "curve") if name not in known]
    if missing or not (folder / "model.safetensors").is_file():
        raise ForewordError(
            f"{folder} holds no model that foreword pretrain made; name the sub-folder 'model' of such a run, or leave --start out."
        )
    digest = file_digest(folder / "model.safetensors")
    return Start(
        folder, digest, known, int(known["tokens"]), int(known["steps"]), [tuple(point) for point in known["curve"]]
    )
