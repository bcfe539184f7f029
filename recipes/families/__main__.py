"""The command `python -m recipes.families`: load a tiny model of every family, write the page and the table that the engine compares
with; it refuses to write a page where a family does not load."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from foreword.engine import Backbone, Capabilities, wrap
from foreword.engine.known import TABLE
from foreword.util.errors import ForewordError
from foreword.util.files import whole_file
from recipes.families import shapes

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
NAMES = tuple(vars(Capabilities()))

HEAD = """# Families

Which short cuts of the engine are exact for which family of models: found by loading a random model of two to six layers, made from the
config class of transformers {version}, as every model is tried when it is loaded. A short cut that is off costs time and never a number:
for each of these families `tests/test_model_families.py` holds loss, gradient of the prompt, scores and greedy answers, alone and in a
batch, against the model's plain pass over token ids. What holds for your model: `foreword show --engine --model MODEL`.

Made by `python -m recipes.families`; a test keeps it current.

* prefix_cache: the prefix is run once. left_padding: rows of several lengths grow in one batch. logits_to_keep: logits at the answers'
  positions alone. incremental_decoding: a token a pass, out of a cache. packed_sequence: prefix and rows in one sequence.
  shared_prefix: answers grow beside a prefix held once. fused_lm_head_loss: loss and gradient of the output layer in parts.
* Encoder-decoders read each input whole, so they have no use for prefix_cache, left_padding, packed_sequence and shared_prefix.

"""


def load(family: str) -> Backbone:
    """A tiny model of this family."""
    return wrap(family, shapes.model(family), shapes.tokenizer())


def rows() -> list[dict[str, Any]]:
    """For each family its traits, and why the others do not hold."""
    family_rows = []
    for family in shapes.FAMILIES:
        backbone = load(family)
        engine = backbone.engine
        row = {
            "family": family,
            "kind": backbone.kind,
            "capabilities": vars(engine.capabilities),
            "reasons": engine.reasons,
        }
        family_rows.append(row | {"factor": engine.factor})
    return family_rows


def page(family_rows: Sequence[dict[str, Any]]) -> str:
    """The page: one table for decoder-only models and one for encoder-decoders, the reasons below."""
    parts = [HEAD.format(version=transformers.__version__)]
    titles = {"causal": "Decoder-only", "seq2seq": "Encoder-decoders"}
    for kind, title in titles.items():
        some = [row for row in family_rows if row["kind"] == kind]
        names = NAMES if kind == "causal" else ("logits_to_keep", "incremental_decoding", "fused_lm_head_loss")
        parts.append(f"## {title} ({len(some)})\n\n| family | {' | '.join(names)} |\n|---|{'---|' * len(names)}\n")
        for row in some:
            parts.append(
                f"| {row['family']} | {' | '.join('yes' if row['capabilities'][name] else 'no' for name in names)} |\n"
            )
        parts.append("\n")
    parts.append("## Why not\n\n")
    for row in family_rows:
        names = NAMES if row["kind"] == "causal" else ("logits_to_keep", "incremental_decoding", "fused_lm_head_loss")
        why = [f"{name}: {row['reasons'][name]}" for name in names if not row["capabilities"][name]]
        why += [f"input vectors are multiplied by {row['factor']:.4g}"] if row["factor"] != 1.0 else []
        parts.append(f"* {row['family']}: {'; '.join(why)}.\n" if why else "")
    return "".join(parts)


def table(family_rows: Sequence[dict[str, Any]]) -> str:
    """model_type to the traits that hold, as JSON."""
    held = {row["family"]: [name for name in NAMES if row["capabilities"][name]] for row in family_rows}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(held[name])}" for name in sorted(held))
    return f"{{\n{lines}\n}}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where a family does not load."""
    parser = argparse.ArgumentParser(prog="python -m recipes.families", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    try:
        family_rows = rows()
    except ForewordError as error:
        print(f"families: {error}", file=sys.stderr)
        return 2
    for path, text in ((args.page, page(family_rows)), (args.table, table(family_rows))):
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    print(f"{len(family_rows)} families")
    return 0


if __name__ == "__main__":
    sys.exit(main())
