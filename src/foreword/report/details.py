"""What stands beside the score: other metrics, confusion matrices, settings, commands; sections without data are left out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from foreword.results.record import Record
from foreword.results.rows import Classes, MethodRow, Summary
from foreword.util import phrases


def other_metrics(summary: Summary, records: Sequence[Record], colours: dict[str, int]) -> str:
    """The mean over seeds of every metric that does not decide; nothing where one metric is all."""
    names = list(dict.fromkeys(name for record in records for name in record.scores if name != summary.metric))
    heads = [phrases.title(name) for name in names] + (["macro F1", "MCC"] if summary.labels else [])
    if not heads:
        return ""
    body = []
    for row in summary.rows:
        runs = [record for record in records if record.label == row.method]
        cells = [_mean([run.scores[name] for run in runs if name in run.scores]) for name in names]
        if row.classes is not None:
            cells += [phrases.score(row.classes.macro_f1), phrases.score(row.classes.mcc)]
        body.append(line(chip(row, colours), cells))
    return table("other metrics", ["Other metrics", *heads], body)


def confusions(summary: Summary) -> str:
    """Each method's confusion matrix, truth down and answer across, over all its runs, or where that is too wide its most frequent
    mistakes; nothing where it is no classification."""
    parts = []
    for row in summary.rows:
        if row.classes is None:
            continue
        name = f"What {row.method} answered ({phrases.plural(len(row.seeds), 'run')})"
        inner = _matrix(name, row.classes, summary.labels) if row.classes.confusion else _mistakes(name, row.classes)
        parts.append(f'<details><summary>{escape(name)}</summary><div class="scroll">{inner}</div></details>')
    return f"<h3>Confusion of labels</h3>{''.join(parts)}" if parts else ""


def _mistakes(name: str, classes: Classes) -> str:
    body = [
        f'<tr><th scope="row">{escape(truth)}</th><td>{"no label" if answer is None else escape(answer)}</td><td>{count:,}</td></tr>'
        for truth, answer, count in classes.mistakes
    ]
    return table(name, ["Truth", "Most frequent wrong answers", "Times"], body) if body else "<p>No wrong answer.</p>"


def _matrix(name: str, classes: Classes, labels: Sequence[str]) -> str:
    other = any(counts[-1] for counts in classes.confusion)
    heads = ["Truth", *(f"→ {label}" for label in labels), *(["→ no label"] if other else [])]
    body = []
    for n, (label, counts) in enumerate(zip(labels, classes.confusion, strict=True)):
        shown = counts if other else counts[:-1]
        cells = [f"<b>{count:,}</b>" if at == n else f"{count:,}" for at, count in enumerate(shown)]
        body.append(f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return table(name, heads, body)


def next_steps(summary: Summary) -> str:
    """The command to type next, the prompts that were kept, and the command that made this page; nothing where none is known."""
    if summary.invocation is None:
        return ""
    resolved = summary.invocation
    parts = []
    if resolved.next_command and summary.recommendation.method:
        parts.append(
            f"<p>To answer new inputs with {escape(summary.recommendation.method)}:</p>{_code(resolved.next_command)}"
        )
    if resolved.prompts:
        rows = "".join(
            f"<li>{escape(name)}: <code>{escape(path)}</code></li>" for name, path in resolved.prompts.items()
        )
        count = phrases.plural(len(resolved.prompts), "soft prompt")
        parts.append(f"<details><summary>{count} kept</summary><ul>{rows}</ul></details>")
    parts.append(f"<p>This comparison again (what is finished is not run again):</p>{_code(resolved.command)}")
    return f'<section aria-labelledby="next"><h2 id="next">What to do next</h2>{"".join(parts)}</section>'


def settings(summary: Summary, records: Sequence[Record]) -> str:
    """Wording and hyper-parameters."""
    parts = []
    if summary.invocation is not None:
        wording = "\n".join(f"{name}: {text!r}" for name, text in summary.invocation.wording.items() if text)
        parts.append(("Wording", wording))
    for label, values in _tunings(records).items():
        parts.append((f"Tuning of {label}", "\n".join(f"{name}: {value}" for name, value in values.items())))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd class=code>{'<br>'.join(map(escape, text.splitlines()))}</dd></div>"
        for name, text in parts
    )


def break_even(summary: Summary) -> str:
    """From how many answers on the recommended method costs less time than a method without training, in words."""
    rows = {row.method: row for row in summary.rows}
    chosen = rows.get(summary.recommendation.method)
    free = [row for row in summary.rows if row.train_seconds == 0 and row is not chosen]
    if chosen is None or chosen.train_seconds == 0 or not free:
        return ""
    other = max(free, key=lambda row: row.mean)
    saved = other.seconds_per_answer - chosen.seconds_per_answer
    if saved <= 0:
        more = phrases.duration(-saved) if saved < 0 else "no time"
        return (
            f"{chosen.method} never earns its training back in time against {other.method}, the best without training: an answer "
            f"takes it {more} more."
        )
    answers = phrases.whole(chosen.train_seconds / saved)
    return f"{chosen.method} takes less time than {other.method}, the best without training, from {answers} answers on."


def chip(row: MethodRow, colours: dict[str, int]) -> str:
    """A method's name with its colour."""
    return f'<span class="chip c{colours[row.method]}"></span>{escape(row.method)}'


def line(name: str, cells: Sequence[str]) -> str:
    """A row of a table. name: HTML."""
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def table(name: str, heads: Sequence[str], body: Sequence[str]) -> str:
    """A table of finished rows."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return f'<table aria-label="{escape(name)}"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _tunings(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """The tuning of each label that trains; labels with the same stand together."""
    groups: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for record in records:
        tuning = record.spec.get("tuning")
        if tuning:
            labels, _ = groups.setdefault(repr(sorted(tuning.items())), ([], tuning))
            labels += [] if record.label in labels else [record.label]
    return {phrases.listed(labels): {k: v for k, v in tuning.items() if v != ""} for labels, tuning in groups.values()}


def _mean(values: Sequence[float]) -> str:
    return phrases.score(sum(values) / len(values)) if values else "–"


def _code(text: str) -> str:
    return f'<pre class="command"><code>{escape(text)}</code></pre>'
