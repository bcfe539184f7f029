"""Notes on a comparison that its reader must know, as whole sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from foreword.results.clusters import described
from foreword.results.collected import distinct
from foreword.results.record import Record
from foreword.results.rows import MethodRow
from foreword.util import phrases


def remarks(records: Sequence[Record], rows: Sequence[MethodRow], clusters: Sequence[str]) -> Iterable[str]:
    """The notes of a comparison. clusters: of each example, "" for one that stands alone."""
    together = described(clusters)
    if together is not None:
        yield together.sentence()
    if len(distinct(record.hardware for record in records)) > 1:
        yield "The trials ran on different machines, so their times cannot be compared."
    if len({tuple(sorted(record.versions.items())) for record in records}) > 1:
        yield "The trials ran under different library versions."
    for row in rows:
        if row.one_seed:
            yield f"{row.method} ran with one seed: its interval is that of this prompt, not of the method."
        if row.dropped_demonstrations:
            answers = len(row.seeds) * row.examples
            yield (
                f"{row.method}: {phrases.plural(row.dropped_demonstrations, 'demonstration')} did not fit before the input and "
                f"{'was' if row.dropped_demonstrations == 1 else 'were'} left out, in {phrases.plural(answers, 'answer')}."
            )
        if row.cut_answers:
            limit = next(record.spec.get("max_new_tokens") for record in records if record.label == row.method)
            yield f"{row.method}: {cut(row.cut_answers, len(row.seeds) * row.examples, limit)}"
    yield from _constant(records)
    labels_of: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            labels_of.setdefault(note, []).append(record.label)
    everyone = {row.method for row in rows}
    for note, labels in labels_of.items():
        whose = distinct(labels)
        yield note if set(whose) == everyone else f"{', '.join(whose)}: {note}"


def _constant(records: Sequence[Record]) -> Iterable[str]:
    """Methods that give one answer to every input."""
    constant: dict[tuple[str, str], list[int]] = {}
    for record in records:
        outputs = {answer.output.strip() for answer in record.answers}
        if len(outputs) == 1 and len(record.answers) > 1:
            seeds = constant.setdefault((record.label, outputs.pop()), [])
            seeds += [] if record.deterministic else [record.seed]
    for (label, output), seeds in constant.items():
        which = f" with seed{'s' * (len(seeds) > 1)} {phrases.listed(list(map(str, seeds)))}" if seeds else ""
        yield f"{label}{which} always answers {shown(output) if output else 'with nothing'}."


def cut(count: int, answers: int, limit: int | None = None) -> str:
    """A sentence on the answers that ended at the limit. answers: how many there are in all."""
    which = "" if limit is None else f" {limit:,}"
    were = "was" if count == 1 else "were"
    return (
        f"{count:,} of {phrases.plural(answers, 'answer')} {were} ended by --max-new-tokens{which}, not by the model."
    )


def shown(output: str, longest: int = 60) -> str:
    """An answer within a sentence."""
    return repr(output if len(output) <= longest else f"{output[:longest]}...")
