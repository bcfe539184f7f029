"""How a study was set up and run, in words and tables: models, settings that differ, decisions, versions, what failed; it refuses to leave
out what is unfinished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from foreword.report.study.parts import table
from foreword.report.study.values import StudyPage
from foreword.results.cells import Cell
from foreword.results.collected import distinct, merged
from foreword.results.judged import same_name, same_task
from foreword.results.papers import KNOWN, Paper, paper_of
from foreword.results.record import Record
from foreword.util import phrases

# A cell's own place, and digests.
OWN = ("label", "seed", "task", "backbone", "fingerprints", "given", "task_name", "method")
# A setting that a cell does not have: nothing is tuned in it, nothing retrieved.
ABSENT = ("", "None", "none", "[]", "{}")


def facts(page: StudyPage, paper: Paper | None) -> str:
    """The line of facts under the heading."""
    finished = records(page)
    seeds = sorted({record.seed for record in finished})
    pairs = {
        "Study": page.name,
        "Scale": page.scale,
        **({"Paper": f"{paper.authors}: {paper.title}, {paper.published}"} if paper else {}),
        "Models": ", ".join(stood_in(page, "model")) or "none yet",
        "Tasks": ", ".join(stood_in(page, "task")) or "none yet",
        "Seeds": ", ".join(map(str, seeds)) or "none yet",
        "Hardware": "; ".join(distinct(record.hardware for record in finished)) or "none yet",
        "Cells": progress(page.cells),
        **({"Date": page.date} if page.date else {}),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs.items())


def records(page: StudyPage) -> list[Record]:
    """The records of the cells that are done."""
    return [cell.record for cell in page.cells if cell.record is not None]


def contents(page: StudyPage) -> dict[str, str]:
    """The backbones and tasks that were run, each with the beginning of its fingerprint, and the seeds."""
    seeds = sorted({record.seed for record in records(page)})
    return {"seeds": ", ".join(map(str, seeds)) or "none"} | {
        f"{kind}s": ", ".join(
            distinct(f"{getattr(record, kind)} ({record.fingerprints.get(kind, '')[:11]})" for record in records(page))
        )
        for kind in ("backbone", "task")
    }


def progress(cells: Sequence[Cell]) -> str:
    """`45 cells: 40 done, 1 failed, 4 waiting`."""
    states = Counter(cell.state for cell in cells)
    parts = [f"{states[state]} {state}" for state in ("done", "failed", "running", "waiting") if states[state]]
    return f"{phrases.plural(len(cells), 'cell')}: {', '.join(parts)}" if cells else "none"


def stood_in(page: StudyPage, axis: str) -> list[str]:
    """What ran in the place of what: `reference for bloom-1b1`, or the name alone where it is the paper's own, or there is no paper."""
    if paper_of(page.name) is None:
        return distinct(str(getattr(cell.at, axis)) for cell in page.cells)
    same = same_task if axis == "task" else same_name
    pairs = [(str(getattr(cell.at, axis)), cell.paper.get(axis, "")) for cell in page.cells]
    return distinct(f"{ours} for {theirs}" if theirs and not same(ours, theirs) else ours for ours, theirs in pairs)


def decisions(page: StudyPage, paper: Paper | None) -> str:
    """What foreword does where the paper is silent, and what of that is not decided here."""
    rows = [
        f'<tr><th scope="row">{escape(point)}</th><td class="words">{escape(choice)}</td></tr>'
        for point, choice in page.decisions.items()
    ]
    what = "what this study does" if page.scale == "full" or paper is None else "what this study does at full scale"
    text = (
        table("Decisions", ("where the paper is silent or could not be followed", what), rows, leading=2)
        if rows
        else ""
    )
    silent = [point for point in (paper.undecided(page.name) if paper else ()) if point not in page.decisions]
    if silent:
        points = escape("; ".join(silent))
        text += f'<p class="small">The paper does not say these either, and this study notes no choice of its own: {points}.</p>'
    return text or "<p>Nothing had to be decided.</p>"


def paper_settings(paper: Paper) -> str:
    """What the paper set, and how that is known."""
    rows = [
        f'<tr><th scope="row">{escape(item.name)}</th><td class="words">{escape(item.value)}</td><td class="words">{item.known}</td></tr>'
        for item in paper.settings
    ]
    legend = "; ".join(f"{label}: {text}" for label, text in KNOWN.items())
    return (
        table("The paper's settings", ("the paper's settings", "value", "known"), rows, leading=3)
        + f'<p class="small">{escape(legend)}.</p>'
    )


def settings(page: StudyPage) -> str:
    """Settings that differ between cells in a table; those that all share folded away."""
    values = _values(page)
    if not values:
        return "<p>Nothing has run yet.</p>"
    differing = {name: some for name, some in values.items() if len(some) > 1}
    same = {name: some[0] for name, some in values.items() if len(some) == 1}
    parts = [_pairs("Settings that differ", {name: ", ".join(some[:12]) for name, some in differing.items()})]
    if same:
        inner = _pairs("Settings that all cells share", same)
        parts.append(
            f"<details><summary>{phrases.plural(len(same), 'setting')} that all cells share</summary>{inner}</details>"
        )
    return "".join(parts)


def shared_settings(page: StudyPage) -> dict[str, str]:
    """Every setting with its values over the page's cells."""
    return {name: ", ".join(some) for name, some in _values(page).items()}


def _values(page: StudyPage) -> dict[str, list[str]]:
    flat = [_flat(record.spec) for record in records(page)]
    names = distinct(name for values in flat for name in values)
    return {
        name: distinct(text for values in flat if (text := values.get(name, "")) not in ABSENT) or ["none"]
        for name in names
        if name.split(".")[0] not in OWN
    }


def provenance(page: StudyPage) -> str:
    """Versions, metric signatures and fingerprints."""
    finished = records(page)
    tables = {
        "Versions": merged(record.versions for record in finished),
        "Metric signatures": merged(record.metric_signatures for record in finished),
        "Models by their contents": merged(
            {record.backbone: record.fingerprints.get("backbone", "")} for record in finished
        ),
        "Data by their contents": merged({record.task: record.fingerprints.get("task", "")} for record in finished),
    }
    body = "".join(
        f"<div><dt>{name}</dt><dd class=code>{'<br>'.join(escape(f'{key}: {text}') for key, text in pairs.items())}</dd></div>"
        for name, pairs in tables.items()
        if pairs
    )
    seconds = phrases.duration(training_seconds(finished))
    return f'<dl class="measured">{body}<div><dt>Training in all</dt><dd>{seconds}</dd></div></dl>'


def training_seconds(finished: Sequence[Record]) -> float:
    """The seconds of every training once, on however many tasks it was scored; a gate trains nothing itself."""
    trained = [record for record in finished if "gate" not in record.spec]
    once = {record.spec.get("trained_by", record.key): record.costs.train_seconds for record in trained}
    return sum(once.values())


def failures(page: StudyPage) -> str:
    """The cells that failed, with their causes; nothing where none did."""
    rows = [
        f'<tr><th scope="row">{escape(named(cell))}</th><td class="words">{escape(cell.cause)}</td></tr>'
        for cell in page.cells
        if cell.state == "failed"
    ]
    return table("Failed cells", ("cell", "cause"), rows, leading=2) if rows else ""


def named(cell: Cell) -> str:
    """A cell in a few words."""
    at = cell.at
    parts = [
        at.label,
        at.task,
        at.model,
        *([phrases.plural(at.length, "token")] if at.length is not None else []),
        at.init,
        at.objective,
    ]
    parts += [
        f"from {at.source}" if at.source else "",
        *(f"{key} {text}" for key, text in at.setting.items()),
        f"seed {at.seed}",
    ]
    return ", ".join(part for part in parts if part)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested settings as dotted names; long texts and digests by their beginning."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = str(value)[:80]
    return flat


def _pairs(name: str, pairs: Mapping[str, str]) -> str:
    if not pairs:
        return "<p>All cells share all settings.</p>"
    rows = [
        f'<tr><th scope="row">{escape(key)}</th><td class="words">{escape(text)}</td></tr>'
        for key, text in pairs.items()
    ]
    return table(name, ("setting", "values"), rows, leading=2)
