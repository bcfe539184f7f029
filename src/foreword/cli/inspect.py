"""`foreword inspect`: what the vectors of soft prompts lie near to, in a table, as JSON and on a page; it refuses to compare prompts of
different models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, print_table, say

if TYPE_CHECKING:
    from foreword.prompts.inspect import Inspection, Vocabulary
    from foreword.prompts.soft_prompt import SoftPrompt

ROWS = 20  # vectors of a prompt that a terminal shows


def inspect(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT...", help="Folders that `foreword tune`, `foreword import` or PEFT wrote, or hub ids."
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model whose vocabulary they are held against.")
    ] = None,
    no_vocabulary: Annotated[
        bool, typer.Option("--no-vocabulary", help="Look at the prompts' own numbers alone; no model is loaded.")
    ] = False,
    neighbours: Annotated[int, typer.Option("--neighbours", min=1, help="Vocabulary items shown for each vector.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a page to this file, such as inspected.html.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Show the vocabulary items nearest to each vector of soft prompts, how long the vectors are, and how alike the prompts are.

    Examples:

      foreword inspect prompts/dart

      foreword inspect prompts/sst2 prompts/mrpc --no-vocabulary --out inspected.html
    """
    from dataclasses import asdict

    from foreword.prompts import store
    from foreword.prompts.inspect import inspect as inspected
    from foreword.util.errors import ForewordError

    if no_vocabulary and model:
        raise ForewordError("--no-vocabulary loads no model, and --model names one; leave one of them out.")
    prompts = {folder: store.load(store.located(folder)) for folder in dict.fromkeys(folders)}
    _one_model(prompts)
    vocabulary: Vocabulary | None = None
    labels: dict[str, dict[str, list[int]]] = {}
    name = model or next(iter(prompts.values())).provenance.backbone
    if not no_vocabulary:
        vocabulary, labels, name = _vocabulary(prompts, model)
    inspection = inspected(
        {folder: prompt.values.numpy() for folder, prompt in prompts.items()},
        vocabulary,
        model=name,
        neighbours=neighbours,
        labels=labels,
    )
    if out is not None:
        from foreword.report.inspected import write_inspected

        write_inspected(out, inspection)
    if as_json:
        print_json(asdict(inspection))
        return
    _show(inspection)
    if out is not None:
        say(f"The page is {out}")


def _one_model(prompts: dict[str, SoftPrompt]) -> None:
    """Raises ForewordError where two prompts are not of one model."""
    from foreword.util.errors import ForewordError

    (first, prompt), *others = prompts.items()
    for folder, other in others:
        prints = {prompt.provenance.fingerprint, other.provenance.fingerprint} - {""}
        if len(prints) > 1 or (not prints and prompt.provenance.backbone != other.provenance.backbone):
            raise ForewordError(
                f"{first} is a prompt of {prompt.provenance.backbone} and {folder} one of {other.provenance.backbone}, "
                "whose vectors mean other things; inspect each with its own model."
            )


def _vocabulary(
    prompts: dict[str, SoftPrompt], model: str | None
) -> tuple[Vocabulary, dict[str, dict[str, list[int]]], str]:
    """The vocabulary of the model that the prompts name, or of --model, and the ids of each label that a prompt chooses between."""
    from foreword.config.run import Run
    from foreword.prompts.inspect import Vocabulary, label_ids
    from foreword.study.base import Base, base_of
    from foreword.study.plan import loaded, spoken
    from foreword.util.errors import ForewordError

    base = Base(model) if model else base_of(list(prompts))
    bars = Bars()
    try:
        with bars.shown(), bars.waiting("loading model"):
            run = Run(model=base.model, revision=base.revision)
            backbone = loaded(run, bars)
    except ForewordError as error:
        raise ForewordError(f"{error} (--no-vocabulary inspects the prompts without their model.)") from error
    with backbone:
        for prompt in prompts.values():
            prompt.fits(
                name=backbone.name, fingerprint=backbone.fingerprint, hidden=backbone.hidden, kind=backbone.kind
            )
        ids = backbone.tokenizer.frequent(backbone.vocab)
        vocabulary = Vocabulary(backbone.embed(ids).cpu().numpy(), backbone.tokenizer.pieces(ids), ids)
        labels = {
            folder: label_ids(spoken(run, backbone) if prompt.provenance.chat else backbone, prompt, _choices(prompt))
            for folder, prompt in prompts.items()
        }
        return vocabulary, labels, backbone.name


def _choices(prompt: SoftPrompt) -> list[str]:
    from foreword.tasks._labels import free

    choices: Any = prompt.provenance.settings.get("choices") or []
    return [] if free(choices) else [str(choice) for choice in choices]


def _show(inspection: Inspection) -> None:
    for prompt in inspection.prompts:
        head = f"{prompt.name}: {prompt.length} vectors"
        if prompt.neighbours:
            rows = [
                [str(place), f"{norm:.3g}", ", ".join(f"{near.piece} {near.cosine:.2f}" for near in row)]
                for place, (norm, row) in enumerate(zip(prompt.norms, prompt.neighbours, strict=True))
            ]
            print_table(
                head, ("vector", "norm", "nearest items (cosine)"), rows[:ROWS], left=["nearest items (cosine)"]
            )
        else:
            say(head, style="bold")
        if len(prompt.norms) > ROWS and prompt.neighbours:
            say(f"{len(prompt.norms) - ROWS} more vectors are in --json and on the page of --out.", style="dim")
        for sentence in _sentences(prompt, inspection):
            say(sentence)
    names = [str(number) for number in range(1, len(inspection.prompts) + 1)]
    if len(names) > 1:
        cells = [
            [f"{number} {name}", *(f"{value:.2f}" for value in row)]
            for number, name, row in zip(names, inspection.likeness.names, inspection.likeness.of_means, strict=True)
        ]
        print_table("Cosine of the prompts' mean vectors", ("prompt", *names), cells, left=["prompt"])


def _sentences(prompt: Any, inspection: Inspection) -> list[str]:
    from foreword.report.inspected import sentences

    return sentences(prompt, inspection)
