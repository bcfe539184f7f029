"""ToTTo's BLEU and PARENT, with the preparation of texts and tables of its script; an example without its table is refused.

The script strips and lower-cases, writes `<null>` for nothing and for references missing to three, writes a table as
`kind|||value` entries between TABs, puts every line through Moses' detokeniser, and scores 13a tokens.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from foreword.metrics._spread import spread
from foreword.metrics.base import Numbers, pairs, values_metric
from foreword.metrics.bleu import bleu
from foreword.metrics.moses import detokenised
from foreword.metrics.parent import Score, TableError, Words, entailing, parent, to_tell
from foreword.util.errors import ForewordError

NOTHING = "<null>"
REFERENCES = 3
NEEDS = ("table", "highlighted_cells", "table_page_title", "table_section_title", "table_section_text")
LEAST = 1000  # examples that are worth a process of their own
_TOKENS = Tokenizer13a()


@dataclass(frozen=True)
class Tables:
    """A table's two lines. full: all of it, which may entail what is said; highlighted: highlighted cells and titles, which
    should be told."""

    full: str
    highlighted: str


def output_line(output: str) -> str:
    """An output as it is scored."""
    return detokenised((output.strip() or NOTHING).lower())


def reference_lines(sentences: Sequence[str]) -> list[str]:
    """The references as they are scored: three, the missing ones `<null>`; a fourth is not read."""
    padded = [*sentences, *[NOTHING] * (REFERENCES - len(sentences))]
    return [detokenised(sentence.lower()) for sentence in padded[:REFERENCES]]


def tables(example: Mapping[str, Any]) -> Tables:
    """The lines of an example in ToTTo's own JSON (see NEEDS). Raises ForewordError on JSON of another form."""
    try:
        table = example["table"]
        titles = [(name, example[f"table_{name}"]) for name in ("page_title", "section_title")]
        cells = [cell for row in table for cell in row]
        chosen = [table[row][column] for row, column in example["highlighted_cells"]]
        return Tables(
            _line([*map(_entry, cells), *titles, ("section_text", example["table_section_text"])]),
            _line([*map(_entry, chosen), *titles]),
        )
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise ForewordError(
            f"A table is not in ToTTo's form ({type(error).__name__}: {error}); write rows of cells with 'value' and "
            "'is_header' in 'table', [row, column] in 'highlighted_cells', and the titles as texts."
        ) from error


def _entry(cell: Mapping[str, Any]) -> tuple[str, str]:
    return "header" if cell["is_header"] else "cell", cell["value"]


def _line(entries: Sequence[tuple[str, str]]) -> str:
    cells = [(kind, value.strip().replace("|", "-")) for kind, value in entries]
    return detokenised("\t".join(f"{kind}|||{value}" for kind, value in cells if value).lower())


def words(line: str) -> Words:
    """The 13a tokens of a line, lower-cased."""
    line = line.strip().lower()
    if "<skipped>" in line or "-\n" in line:  # the tokeniser takes them out, and so may join two words
        return tuple(_TOKENS(line).split())
    return tuple(itertools.chain.from_iterable(map(_tokens, line.split())))


@functools.lru_cache(maxsize=2**16)
def _tokens(word: str) -> Words:
    return tuple(_TOKENS(word).split())


def parent_scores(
    output: str, references: Sequence[str], table: Tables, weights: Sequence[float | None] = (None,)
) -> list[Score]:
    """PARENT of a prepared output against prepared references, for each weight. Raises TableError where it stops."""
    known, values = _read(table)
    return parent(words(output), [words(reference) for reference in references], known, values, weights)


@functools.lru_cache(maxsize=2**10)
def _read(table: Tables) -> tuple[frozenset[str], tuple[Words, ...]]:
    return entailing(_entries(table.full)), to_tell(_entries(table.highlighted))


def _entries(line: str) -> list[list[Words]]:
    return [[words(part) for part in entry.split("|||")] for entry in line.split("\t")]


def _parents(
    outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
) -> list[float]:
    rows = zip(pairs(outputs, references), facts, strict=True)
    jobs = [
        (place, output, list(accepted), {name: known[name] for name in NEEDS})
        for place, ((output, accepted), known) in enumerate(rows)
    ]
    return spread(f_scores, jobs, least=LEAST)


def f_scores(jobs: Sequence[Any], _: Sequence[Any] = ()) -> list[float]:
    """The F of each job: place, output, references, the table (see NEEDS)."""
    scores = []
    for place, output, accepted, known in jobs:
        try:
            (score,) = parent_scores(output_line(output), reference_lines(accepted), tables(known))
        except TableError as error:
            raise ForewordError(f"Example {place} (counted from 0): {error}") from error
        scores.append(score.f)
    return scores


_BLEU = bleu("totto_bleu")


def _bleu_statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Numbers:
    rows = list(pairs(outputs, references))
    return _BLEU.statistics(
        [output_line(output) for output, _ in rows], [reference_lines(output) for _, output in rows]
    )


_SOURCE = "Parikh et al. 2020, as ToTTo's totto_eval.sh: Moses' detokeniser, lower case, three references"

METRICS = (
    replace(
        _BLEU,
        source=f"{_SOURCE}, sacrebleu; per example: its sentence_bleu.",
        statistics=_bleu_statistics,
        signature=lambda: f"totto_bleu|refs:3,<null>|detok:moses-en|{_BLEU.signature()}",
    ),
    values_metric(
        "parent",
        needs=NEEDS,
        values=_parents,
        source=f"{_SOURCE}; Dhingra et al. 2019: F with word overlap, lambda from the reference, mean.",
        signature=lambda: "parent|totto|f|tok:13a,lower|refs:3,<null>|entailment:overlap|lambda:reference|smooth:1e-5",
    ),
)
