"""A Predictor answers inputs with a frozen model, loaded once, and a soft prompt, demonstrations or words only."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from foreword.api.calls import Place, folder_of, load_prompt
from foreword.api.data import Data, path_of, texts_as_rows
from foreword.api.models import in_use
from foreword.api.settings import refuse_several, run_of
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.study import single
from foreword.study.plan import backbone_of
from foreword.study.resolve import checked
from foreword.util.errors import ForewordError, TooLongError
from foreword.util.progress import Progress, silent


class Predictor:
    """Greedy answers, each the same alone and among any others (in float32), by the prompt's folder as it was at the beginning.

    model: a name, a Backbone, or a loaded transformers model with its tokenizer. prompt: a folder or a SoftPrompt; several
    vote. method: a label, where it is not the prompt's own. demonstrations: worked examples for few, icl and ipt. settings:
    as of `foreword.compare`. notes: what a reader of the last answers should know, such as that one was cut. Raises ForewordError, also
    for a setting that would leave inputs out. `close()`, or the end of a `with`, gives a loaded model back as it came.
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
        refuse_several(settings)
        with ExitStack() as opened:  # a refusal below gives a loaded model back, too
            self._folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="foreword-")))
            name, backbone = opened.enter_context(in_use(model, tokenizer, settings))
            run = checked(run_of(model=name, **settings))
            for setting, loses in (("limit", run.limit is not None), ("too_long='drop'", run.too_long == "drop")):
                if loses:
                    raise ForewordError(
                        f"A Predictor gives one answer for each input, and {setting} would leave some out; leave it out, and give "
                        "`generate` the inputs that are to be answered."
                    )
            if run.data:
                raise ForewordError(
                    "A Predictor answers what `generate` is given; give it there, and leave data=... out."
                )
            several: Sequence[Any] = prompt if isinstance(prompt, list | tuple) else [] if prompt is None else [prompt]
            if prompt is not None and not several:
                raise ForewordError("prompt is an empty list; give the prompts that vote, or leave it out.")
            prompts = [member if isinstance(member, SoftPrompt) else load_prompt(member) for member in several]
            self._prompts = [folder_of(member, self._folder) for member in prompts]
            self._demonstrations = (
                "" if demonstrations is None else path_of(demonstrations, self._folder, "demonstrations", whole=True)
            )
            as_prompted = single.with_prompt(run, next(iter(self._prompts), ""), method)[0]
            if backbone is None:
                backbone = backbone_of(as_prompted, progress)
                opened.callback(backbone.close)
            self._run, self._as_prompted, self._method = run, as_prompted, method
            self._backbone, self._progress = backbone, progress
            self.notes: tuple[str, ...] = ()
            self._opened = opened.pop_all()

    def generate(self, inputs: Data) -> list[str]:
        """One answer for each input, in order. inputs: texts, or examples as `foreword.compare` takes them (their answers need not be
        there; a text alone is one input, and never a path). Raises ForewordError for an input that does not fit."""
        if not self._folder.is_dir():
            raise ForewordError("This Predictor was closed; make another.")
        rows = texts_as_rows(inputs, self._as_prompted, "rows")
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            run = self._run.model_copy(update={"data": path_of(rows, Path(folder), "inputs", whole=True)})
            questions = single.inputs(run, self._prompts, self._method, self._demonstrations)
            try:
                answered = single.answer(questions, progress=self._progress, backbone=self._backbone)
            except TooLongError as error:
                raise TooLongError(str(error.__cause__ or error)) from error  # without the flag that it advises
        self.notes = answered.remarks
        return list(answered.outputs)

    def close(self) -> None:
        """Take what the engine needs out of the model, unless a Backbone was given, and remove what was kept for this object."""
        self._opened.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
