"""A Predictor answers inputs with a frozen model, loaded once, and a soft prompt, demonstrations or words only."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from foreword.api.calls import Place, folder_of
from foreword.api.data import Data, path_of, texts_as_rows
from foreword.api.models import taken
from foreword.api.settings import run_of
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.study import single
from foreword.study.plan import backbone_of
from foreword.study.resolve import checked
from foreword.util.progress import Progress, silent


class Predictor:
    """Greedy answers, each the same alone and among any others (in float32).

    model: a name, a Backbone, or a loaded transformers model with its tokenizer. prompt: a folder or a SoftPrompt; several
    vote. method: a label, where it is not the prompt's own. demonstrations: worked examples for few, icl and ipt. settings:
    as of `foreword.compare`. Raises ForewordError. `close()`, or the end of a `with`, gives a loaded model back as it came.
    """

    def __init__(
        self,
        model: Any,
        prompt: Place | SoftPrompt | Sequence[Place | SoftPrompt] | None = None,
        *,
        tokenizer: Any = None,
        method: str | None = None,
        demonstrations: Data = None,
        progress: Progress = silent,
        **settings: Any,
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="foreword-")
        folder = Path(self._scratch.name)
        name, backbone = taken(model, tokenizer)
        self._run = checked(run_of(model=name, **settings))
        self._model = model
        several: Sequence[Any] = prompt if isinstance(prompt, list | tuple) else [] if prompt is None else [prompt]
        self._prompts = [folder_of(member, folder) for member in several]
        self._method = method
        self._demonstrations = "" if demonstrations is None else path_of(demonstrations, folder, "demonstrations")
        self._progress = progress
        self._backbone = backbone_of(self._run, progress) if backbone is None else backbone

    def generate(self, inputs: Data) -> list[str]:
        """One answer for each input, in order. inputs: texts, or examples as `foreword.compare` takes them (their answers need not be
        there; a text alone is one input, and never a path). Raises ForewordError for an input that does not fit."""
        column = single.with_prompt(self._run, next(iter(self._prompts), ""), self._method)[0].input_column
        rows = texts_as_rows(inputs, column)
        with tempfile.TemporaryDirectory(dir=self._scratch.name) as folder:
            run = self._run.model_copy(update={"data": path_of(rows, Path(folder), "inputs")})
            questions = single.inputs(run, self._prompts, self._method, self._demonstrations)
            return list(single.answer(questions, progress=self._progress, backbone=self._backbone).outputs)

    def close(self) -> None:
        """Take what the engine needs out of the model, unless a Backbone was given, and remove what was kept for this object."""
        if self._backbone is not self._model:
            self._backbone.close()
        self._scratch.cleanup()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
