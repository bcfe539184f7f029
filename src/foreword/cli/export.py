"""`foreword export`: a prompt for another tool; it says what is not the same there, and refuses what cannot be exact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreword.cli import options as o
from foreword.cli.talk import print_json, say

if TYPE_CHECKING:
    from foreword.export import Source


def export(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="A prompt's folder, NAME\\[@VERSION] of a store, or an .npy file that T5X's prompt tuning wrote.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="peft, numpy, t5x, vllm or sglang.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    store: Annotated[
        Path | None, typer.Option("--store", "-s", envvar="FOREWORD_STORE", help="The store of NAME\\[@VERSION].")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="The model that an .npy file was tuned on, such as google/t5-base-lm-adapt."
        ),
    ] = None,
    kind: o.Kind = None,
    as_json: o.Json = False,
) -> None:
    """Write a prompt for PEFT, NumPy, T5X, vLLM or SGLang, and say what is not the same there.

    Examples:

      foreword export prompts/mine --to numpy --out mine-numpy

      foreword export reviews@production --store store --to vllm --out reviews-vllm

      foreword export sst2.npy --model google/t5-base-lm-adapt --to peft --out sst2
    """
    from foreword.export import export as exported

    notes = exported(_source(prompt, store, model or "", kind), to, out)
    if as_json:
        print_json({"to": to, "out": str(out), "notes": notes})
        return
    for note in notes:
        say(f"Note: {note}", style="dim")
    say(f"{prompt} for {to} is in {out}")


def _source(prompt: str, at: Path | None, model: str, kind: str | None) -> Source:
    from foreword.export import Source, read_array
    from foreword.registry import Registry, StoredPrompt, load_stored_prompt
    from foreword.util.errors import ForewordError

    path = Path(prompt)
    if path.suffix == ".npy":
        if not model:
            raise ForewordError(f"{prompt} does not say which model it was tuned on; give --model NAME.")
        array = read_array(path, model=model, kind=kind)
        return Source(path.stem, StoredPrompt(array.provenance, array), array, array.digest)
    if model or kind:
        raise ForewordError(
            f"--model and --kind are for .npy files, and {prompt} brings its model's name and kind along; leave them out."
        )
    if path.is_dir() or at is None:
        stored, name = load_stored_prompt(path), path.resolve().name
    else:
        registry = Registry(at)
        index, version = registry.resolve(prompt)
        stored, name = registry.load(index.name, version), f"{index.name}@{version.number}"
    if stored.prompt is None:
        raise ForewordError(
            f"{prompt} is words only and has no vectors to export; `foreword registry export` writes its folder."
        )
    return Source(name, stored, stored.prompt, stored.prompt.digest)
