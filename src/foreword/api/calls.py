"""The verbs of the interface: compare, tune, evaluate and load_prompt, with the settings of the command line as keyword arguments."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from foreword.api.comparison import Comparison
from foreword.api.data import Data, path_of
from foreword.api.models import in_use
from foreword.api.settings import refuse_several, run_of
from foreword.config.run import Run
from foreword.prompts import store
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import Record
from foreword.results.scored import scored
from foreword.study.compare import compare as run_comparison
from foreword.study.single import score, tune_one
from foreword.util.errors import ForewordError
from foreword.util.progress import Progress, silent

Place = str | PathLike[str]
PROMPT = "prompt"  # where a tuned prompt stands if nothing else is said


def compare(
    model: Any,
    data: Data = None,
    *,
    tokenizer: Any = None,
    dev: Data = None,
    test: Data = None,
    progress: Progress = silent,
    **settings: Any,
) -> Comparison:
    """Which way of adapting the frozen model works best on these data, at what cost.

    model: a name (as `--model`), a Backbone, or a loaded transformers model with its tokenizer. data: a path, a hub id, a list of
    dicts, a pandas or polars DataFrame, a datasets.Dataset or DatasetDict; or task=NAME for a built-in one. dev, test: more of the
    same. settings: every name of `Run` (methods, seeds, out, instruction, ...) and of `Tuning` (prompt_length, max_steps, ...).
    Everything is kept below `out`, data in memory too, so that the command line can repeat it. What is finished is not run
    again. Raises ForewordError, with one sentence, for input that cannot be used.
    """
    with in_use(model, tokenizer, settings) as (name, backbone):
        run = _with_data(run_of(model=name, **settings), data, dev, test)
        return Comparison(run_comparison(run, progress=progress, backbone=backbone))


def tune(
    model: Any,
    data: Data = None,
    *,
    tokenizer: Any = None,
    dev: Data = None,
    out: Place = PROMPT,
    method: str = "pt",
    seed: int = 0,
    progress: Progress = silent,
    **settings: Any,
) -> SoftPrompt:
    """Fit one soft prompt, keep it as a PEFT folder at `out`, and give it back, with the notes that the command line prints. The
    arguments are those of `compare`. Raises ForewordError, also where `out` holds a prompt of another making."""
    refuse_several(settings)
    _refuse_unused("tune", settings, "test")
    out = PROMPT if out is None else out
    with in_use(model, tokenizer, settings) as (name, backbone):
        run = run_of(model=name, out=out, methods=[method], seeds=[seed], **settings)
        place = Path(run.out).absolute()
        beside = place.parent / f"{place.name}-data"
        tuned = tune_one(_with_data(run, data, dev, None, beside), progress=progress, backbone=backbone)
    return replace(store.load(Path(tuned.prompt)), notes=tuned.notes)


@dataclass(frozen=True)
class Evaluation:
    """scores: metric to score. ci95: of the deciding metric, over examples. record: with every answer. details: what `foreword
    evaluate --json` prints."""

    scores: dict[str, float]
    metric: str
    ci95: tuple[float, float]
    record: Record
    details: dict[str, Any]


def evaluate(
    model: Any,
    data: Data = None,
    *,
    tokenizer: Any = None,
    prompt: Place | SoftPrompt | None = None,
    method: str | None = None,
    test: Data = None,
    progress: Progress = silent,
    **settings: Any,
) -> Evaluation:
    """Score a prompt, or words only, on the test split of the data (or on `test`). prompt: a folder or a SoftPrompt. The other
    arguments are those of `compare`. Raises ForewordError."""
    refuse_several(settings)
    _refuse_unused("evaluate", settings, "dev")
    with in_use(model, tokenizer, settings) as (name, backbone), tempfile.TemporaryDirectory() as scratch:
        run = _with_data(run_of(model=name, **settings), data, None, test)
        _, record = score(run, folder_of(prompt, Path(scratch)), method, progress=progress, backbone=backbone)
    details = scored(record)
    low, high = details["metrics"][record.primary]["ci95"]
    return Evaluation(dict(record.scores), record.primary, (low, high), record, details)


def load_prompt(path: Place) -> SoftPrompt:
    """A soft prompt from its folder or hub id, as foreword or PEFT wrote it. Raises ForewordError where there is none, or more than a
    prompt."""
    return store.load(store.located(_named(path)))


def folder_of(prompt: Place | SoftPrompt | None, scratch: Path) -> str:
    """The folder of a prompt; one that is in memory is written below `scratch`. Empty for none. Raises ForewordError for an empty name, and
    for what is no prompt."""
    if prompt is None:
        return ""
    if not isinstance(prompt, SoftPrompt):
        return _named(prompt)
    folder = Path(tempfile.mkdtemp(dir=scratch)) / "prompt"
    store.save(prompt, folder)
    return str(folder)


def _named(prompt: Any) -> str:
    """A prompt's folder or hub id as text. Raises ForewordError for an empty one, and for anything else."""
    if not isinstance(prompt, str | PathLike) or not fspath(prompt):
        description = "an empty name" if prompt == "" else f"an object of the type {type(prompt).__name__}"
        raise ForewordError(f"The prompt is {description}; give a folder, a hub id or a SoftPrompt, or leave it out.")
    return fspath(prompt)


def _refuse_unused(verb: str, settings: Mapping[str, Any], name: str) -> None:
    """Raises ForewordError for a part of the data that a verb does not use."""
    if settings.get(name) is not None:
        raise ForewordError(f"{verb} uses no {name} examples; leave {name}=... out.")


def _with_data(run: Run, data: Data, dev: Data, test: Data, folder: Path | None = None) -> Run:
    """The run with its data by path; what is in memory is written below the run's folder (or `folder`)."""
    place = folder or Path(run.out) / "data"
    parts = {"data": data, "dev": dev, "test": test}
    names = {"data": "examples", "dev": "dev", "test": "test"}
    paths = {
        key: path_of(value, place, names[key], whole=key != "data") for key, value in parts.items() if value is not None
    }
    return Run.model_validate(run.model_dump(exclude_unset=True) | paths) if paths else run
