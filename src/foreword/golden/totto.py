"""ToTTo's evaluation, from raw predictions and ToTTo's own JSON to BLEU and PARENT; it refuses a case without its table.

The steps of its script: strip and lower-case, `<null>` for nothing and for references missing to three, tables as
`kind|||value` between TABs, Moses' detokeniser over every line, then sacrebleu and PARENT on 13a tokens. Here 0..100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from foreword.errors import ForewordError
from foreword.golden._cases import LIST, NUMBER, TEXT, Case, Kind
from foreword.golden._cases import cases as read_cases
from foreword.golden.parent_original import as_dict, parent_means
from foreword.metrics.moses import detokenised
from foreword.metrics.parent import TableError, Words, entailing, parent, to_tell

FIELDS = {"example_id": NUMBER, "prediction": TEXT}
WEIGHTS: dict[str, float | None] = {"parent": None, "parent_lambda_0.5": 0.5}
NOTHING = "<null>"
REFERENCES = 3
_EXAMPLE: dict[str, Kind] = {
    "example_id": NUMBER,
    "table": LIST,
    "highlighted_cells": LIST,
    "sentence_annotations": LIST,
    "table_page_title": TEXT,
    "table_section_title": TEXT,
    "table_section_text": TEXT,
}


@dataclass(frozen=True)
class Prepared:
    """An example after the script's preparation: each reference and table a line, detokenised and lower-cased.

    full: the whole table, which may entail what is said. told: highlighted cells and titles, which should be told.
    """

    references: tuple[str, ...]
    full: str
    told: str


def score(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """BLEU of every case as a corpus of one line, its PARENT, and both over all cases.

    folder holds examples.jsonl, ToTTo's JSON with the `example_id` that cases name.
    """
    examples = _examples(folder)
    outputs, references, parents = [], [], []
    for case in cases:
        if case["example_id"] not in examples:
            raise case.refusal(
                "example_id", f"examples.jsonl has no {case['example_id']}", "name one that stands there"
            )
        example = examples[case["example_id"]]
        outputs.append(detokenised(lowered(case["prediction"])))
        references.append(example.references)
        parents.append(_parents(outputs[-1], example))
    bleus = [_bleu([output], [accepted]) for output, accepted in zip(outputs, references, strict=True)]
    found = [{"bleu_single": bleu, **rest} for bleu, rest in zip(bleus, parents, strict=True)]
    whole = {name: parent_means([one[name] for one in parents]) for name in WEIGHTS}
    return {
        "per_example": [{"id": case.id, "out": out} for case, out in zip(cases, found, strict=True)],
        "corpus": {"bleu": _bleu(outputs, references), **whole},
    }


def lowered(prediction: str) -> str:
    """A prediction as the script prepares it, before the detokeniser."""
    return (prediction.strip() or NOTHING).lower()


def prepared(example: Mapping[str, Any]) -> Prepared:
    """The lines that ToTTo's script makes of one example of ToTTo's JSON. Raises KeyError, TypeError or IndexError
    on JSON of another form."""
    sentences = [one["final_sentence"] for one in example["sentence_annotations"]]
    sentences += [NOTHING] * (REFERENCES - len(sentences))
    table = example["table"]
    titles = [(name, example[f"table_{name}"]) for name in ("page_title", "section_title")]
    cells = [cell for row in table for cell in row]
    chosen = [table[row][column] for row, column in example["highlighted_cells"]]
    return Prepared(
        tuple(detokenised(one.lower()) for one in sentences[:REFERENCES]),
        _line([*map(_entry, cells), *titles, ("section_text", example["table_section_text"])]),
        _line([*map(_entry, chosen), *titles]),
    )


def _entry(cell: Mapping[str, Any]) -> tuple[str, str]:
    return "header" if cell["is_header"] else "cell", cell["value"]


def _line(entries: Sequence[tuple[str, str]]) -> str:
    told = [(kind, value.strip().replace("|", "-")) for kind, value in entries]
    return detokenised("\t".join(f"{kind}|||{value}" for kind, value in told if value).lower())


def _examples(folder: Path) -> dict[int, Prepared]:
    path = folder / "examples.jsonl"
    if not path.is_file():
        raise ForewordError(
            f"This metric reads ToTTo's tables from examples.jsonl beside the cases, and {folder} has none; "
            "put it there."
        )
    found: dict[int, Prepared] = {}
    for row in read_cases(path, _EXAMPLE):
        try:
            found[row["example_id"]] = prepared(row)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise ForewordError(
                f"{row.where} is no example in ToTTo's form ({type(error).__name__}: {error}); write ToTTo's own JSON, "
                "with rows of cells in 'table', [row, column] in 'highlighted_cells' and a 'final_sentence' in each "
                "of 'sentence_annotations'."
            ) from error
    return found


_TOKENS = Tokenizer13a()
_BLEU = BLEU(force=True)


def _words(text: str) -> Words:
    return tuple(_TOKENS(text.strip().lower()).split())


def _parents(output: str, example: Prepared) -> dict[str, dict[str, Any]]:
    try:
        known, told = entailing(_entries(example.full)), to_tell(_entries(example.told))
    except TableError as error:
        return {name: {"error": error.stops} for name in WEIGHTS}
    references = [_words(one) for one in example.references]
    found = parent(_words(output), references, known, told, list(WEIGHTS.values()))
    return {name: as_dict(one, 100.0) for name, one in zip(WEIGHTS, found, strict=True)}


def _entries(line: str) -> list[list[Words]]:
    return [[_words(part) for part in entry.split("|||")] for entry in line.split("\t")]


def _bleu(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """sacrebleu's command-line defaults: 13a, mixed case, exponential smoothing, no effective order."""
    streams = [[accepted[k] for accepted in references] for k in range(REFERENCES)]
    one = _BLEU.corpus_score(list(outputs), streams)
    return {
        "score": one.score,
        "counts": one.counts,
        "totals": one.totals,
        "precisions": one.precisions,
        "bp": one.bp,
        "sys_len": one.sys_len,
        "ref_len": one.ref_len,
    }
