"""How the numbers were measured, in words and tables, so that a reader can judge or repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foreword.report.details import settings
from foreword.results.record import Record
from foreword.results.rows import Summary
from foreword.util import phrases


def measured(summary: Summary, records: Sequence[Record]) -> str:
    """The last section of the page, as HTML: how scores, intervals, tests and costs came about, notes, and every trial."""
    parts = [f"<p>{escape(sentence)}</p>" for sentence in _sentences(summary)]
    if summary.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in summary.notes)
        parts.append(f'<h3>Notes</h3><ul class="notes">{notes}</ul>')
    parts.append(f'<dl class="measured">{_facts(summary)}{settings(summary, records)}</dl>')
    parts.append(_trials(summary, records))
    return "".join(parts)


def _sentences(summary: Summary) -> list[str]:
    metric, answers = phrases.title(summary.metric), summary.recommendation.amortize_over
    within = f"that is shown to lie within {phrases.points(summary.recommendation.margin)} of it"
    folded = [
        f"Each test example was answered once, in one of {summary.folds} folds, by a method that was trained on, and shown "
        "demonstrations from, the other folds alone. A seed's score is that of all folds together; training sets of two folds share "
        "examples, and the interval does not count what another draw of training examples would change. Training time is that of one fold."
    ]
    together = summary.clusters
    units = "examples" if together is None else f"{together} of examples"
    return [
        *(folded if summary.folds else []),
        f"A method's score is its {metric} over all {phrases.plural(summary.examples, 'test example')}, averaged over seeds. "
        f"A method that does not depend on the seed was run once. Its 95% interval takes seeds and {units} as drawn from more "
        "of their kind (a crossed two-way model, t with Satterthwaite's degrees of freedom); of one seed it is that of the prompt "
        "at hand.",
        "Each pair of methods is compared on the same examples by that model: interval and p are read from one t, so that p is "
        "below 0.05 exactly where the interval leaves zero out. Both are adjusted by Holm's method over all pairs. No method is "
        "called better or worse on one seed.",
        f"The recommendation is the highest mean, or a cheaper method {within}: the whole interval of the difference lies below "
        "that margin. Nothing is recommended that does not score above what scores without a model. Which method is "
        f"cheaper is told by the operations that it takes to train once and then answer {phrases.plural(answers, 'input')}, counted from "
        "tokens, so that the same run gives the same answer; times are those of the hardware below.",
    ]


def _facts(summary: Summary) -> str:
    dropped = {row.method: row.dropped_demonstrations for row in summary.rows if row.dropped_demonstrations}
    dropped_text = "; ".join(f"{name}: {number:,}" for name, number in dropped.items()) or "none"
    facts = [
        ("Hardware", summary.hardware or "not recorded", False),
        ("Demonstrations left out for want of room", dropped_text, False),
        ("Versions", _pairs(summary.versions), True),
        ("Metric signatures", _pairs(summary.signatures), True),
        ("Fingerprints", _pairs(summary.fingerprints), True),
    ]
    return "".join(
        f"<div><dt>{name}</dt><dd{' class=code' if code else ''}>{_lines(value)}</dd></div>"
        for name, value, code in facts
    )


def _pairs(table: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in table.items()) or "not recorded"


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.split("\n")))


def _trials(summary: Summary, records: Sequence[Record]) -> str:
    """Every trial with every metric that was recorded."""
    metrics = list(dict.fromkeys(name for record in records for name in record.scores))
    metrics.sort(key=lambda name: name != summary.metric)
    heads = [
        "Method",
        "Seed",
        *(["Fold"] if summary.folds else []),
        *map(phrases.title, metrics),
        "Training",
        "Per answer",
        "Record",
    ]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = []
    for record in records:
        scores = [phrases.score(record.scores[name]) if name in record.scores else "–" for name in metrics]
        costs = record.costs
        train = phrases.duration(costs.train_seconds) if costs.trainable_parameters else "none"
        seed = "any" if record.deterministic else str(record.seed)
        cells = [
            seed,
            *([str(record.fold)] if summary.folds else []),
            *scores,
            train,
            phrases.duration(costs.seconds_per_answer),
        ]
        columns = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        key = f'<td class="code">{escape(record.key[:16])}</td>'
        body.append(f'<tr><th scope="row">{escape(record.label)}</th>{columns}{key}</tr>')
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return (
        f"<details><summary>Every trial and every metric ({phrases.plural(len(records), 'trial')})</summary>"
        f'<div class="scroll" role="region" aria-label="Every trial" tabindex="0">{table}</div></details>'
    )
