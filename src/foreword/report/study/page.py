"""The page of one study, whole in one file: what was found, the figures, every number beside the paper's, how it was set up, the answers
behind; it refuses to say more than the cells hold."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from foreword.report.shell import document, section
from foreword.report.study import parts, setting
from foreword.report.study.answers_behind import BUDGET, answers_behind
from foreword.report.study.held import Held, counted, held_of
from foreword.report.study.marks import value
from foreword.report.study.tested import tested
from foreword.report.study.values import StudyPage
from foreword.results.cells import Bins, Test
from foreword.results.judged import rule
from foreword.results.papers import paper_of
from foreword.util import phrases
from foreword.util.files import write_text

EACH = '<p class="small">Each claim is tested by itself; what is adjusted within a claim, it says.</p>'
SCRIPTS = ("tables.js", "study.js")


def write_study(path: Path, pages: Sequence[StudyPage]) -> None:
    """Write one page with these studies, whole or not at all; the same studies give the same bytes. Raises ForewordError."""
    write_text(path, study_page(pages))


def study_page(pages: Sequence[StudyPage], home: str = "") -> str:
    """The page as text. home: where the index lies, for a page of a site."""
    back = f'<p class="small"><a href="{escape(home)}">All studies</a></p>' if home else ""
    shown: set[str] = set()
    budget = BUDGET // max(1, len(pages))
    body = back + "".join(
        _study(page, f"s{n}-" if len(pages) > 1 else "", shown, budget) for n, page in enumerate(pages)
    )
    if len(pages) > 1:
        links = "".join(f'<li><a href="#s{n}-top">{escape(page.title)}</a></li>' for n, page in enumerate(pages))
        body = f'<h1>{len(pages)} studies</h1><nav aria-label="Studies"><ul>{links}</ul></nav>{body}'
    title = pages[0].title if len(pages) == 1 else f"{len(pages)} studies"
    return document(title, body, scripts=SCRIPTS, eyebrow="foreword study")


def headline(helds: Sequence[Held], page: StudyPage) -> str:
    """The outcome in a sentence."""
    known = [held for held in helds if held.number is not None]
    if not known:
        return f"{setting.progress(page.cells)}. {_unheld(page)}"
    count, others = counted(list(helds)), sum(bool(held.other) for held in known)
    otherwise = sum(bool(held.trained) and not held.other for held in known)
    if others == len(known):
        return (
            f"Another model or task stood in for the paper's in all {phrases.plural(others, 'number')} that the paper has, so none of them "
            "confirms or contradicts it."
        )
    sentence = f"Of {phrases.plural(len(known), 'number')} that the paper has, {count['agrees']} agree, {count['differs']} differ, and of "
    sentence += f"{count['cannot say']} it cannot be said."
    if others:
        sentence += f" In {others} another model or task stood in for the paper's."
    if otherwise:
        sentence += f" In {otherwise} ours had other settings than the paper's."
    return sentence


def _small_scale(page: StudyPage) -> tuple[str, ...]:
    """What a run that is not at full scale can be taken for."""
    if page.scale != "smoke" or paper_of(page.name) is None:
        return ()
    return (
        "This is a smoke run: it shows that the study runs, and its findings are of these small models alone, not of the paper's.",
    )


def _unheld(page: StudyPage) -> str:
    """Why no number of this page has a verdict."""
    paper = paper_of(page.name)
    if paper is None:
        return "No paper's numbers stand beside these."
    if not paper.of(page.name):
        return "The paper's numbers could not be had, so the findings stand for themselves."
    if any(isinstance(answer, Bins) for every in page.answers.values() for answer in every):
        return "The paper's points stand beside ours without a verdict, for its bins and its similarity are not known."
    return "None of these numbers is one that the paper has."


def _study(page: StudyPage, before: str, shown: set[str], budget: int) -> str:
    paper, helds = paper_of(page.name), held_of(page)
    level = "h2" if before else "h1"
    tests = [answer for answered in page.answers.values() for answer in answered if isinstance(answer, Test)]
    claims = [claim for claim in (paper.claims if paper else ()) if page.name in claim.figures]
    findings = (
        f'<ul class="findings">{"".join(map(parts.finding, tests))}</ul>{EACH if len(tests) > 1 else ""}'
        if tests
        else "<p>No claim was tested.</p>"
    )
    conclusions = "".join(f"<li>{escape(claim.text)} <span class=rest>({claim.known})</span></li>" for claim in claims)
    notes = "".join(f"<p>{escape(note)}</p>" for note in (*page.notes, *_small_scale(page)))
    figures = "".join(
        parts.answer(answered, page.name, paper, f"{before}{name}-{n}")
        for name, every in page.answers.items()
        for n, answered in enumerate(every)
    )
    failed = setting.failures(page)
    findings += (f"<h3>What the paper concludes</h3><ul>{conclusions}</ul>" if conclusions else "") + tested(page)
    sections = [
        section(f"{before}found", "What was found", findings),
        section(f"{before}figures", "Figures and tables", figures or "<p>Nothing is answered yet.</p>"),
        section(f"{before}held", "Every number beside the paper's", _every(helds)) if helds else "",
        section(f"{before}failed", "What failed", failed) if failed else "",
        section(f"{before}set", "How it was set up", _how(page)),
        section(f"{before}behind", "The answers behind", answers_behind(page, shown, budget)),
    ]
    head = (
        f'<header><{level} id="{before}top">{escape(page.title)}</{level}><p class="reason">{escape(headline(helds, page))}</p>{notes}'
        f'<dl class="facts">{setting.facts(page, paper)}</dl></header>'
    )
    return head + "".join(sections)


def _how(page: StudyPage) -> str:
    paper = paper_of(page.name)
    command = (
        f'<h3>The command</h3><pre class="command"><code>{escape(page.command)}</code></pre>' if page.command else ""
    )
    own = f"<details><summary>What the paper set</summary>{setting.paper_settings(paper)}</details>" if paper else ""
    return (
        f"{command}<h3>Where the paper is silent</h3>{setting.decisions(page, paper)}{own}<h3>Settings</h3>{setting.settings(page)}"
        f"<h3>Versions and contents</h3>{setting.provenance(page)}"
    )


def _every(helds: Sequence[Held]) -> str:
    heads = ("what", "ours", "rests on", "the paper's", "not as in the paper", "verdict")
    rows = [_line(held) for held in helds]
    return f'<p class="small">{escape(rule())}</p>' + parts.table(
        "Every number beside the paper's", heads, rows, text=(2, 4, 5)
    )


def _line(held: Held) -> str:
    entry, number = held.entry, held.number
    word = held.verdict.word
    ours = value(entry) if entry.score is not None else "–"
    between = "" if entry.ci95 is None else phrases.between(*entry.ci95)
    known = "" if number is None else f"{number.known}, {number.place}"
    cells = (
        _number(entry.score, ours, between),
        f'<td class="words">{escape(parts.seeds_and_examples(entry))}</td>',
        _number(None if number is None else number.value, held.theirs or "–", known),
        f'<td class="words wide">{escape(held.differs or ("" if number is None else "nothing that is known of"))}</td>',
        f'<td class="words" data-copy="{escape(f"{word}: {held.why}")}"><span class="verdict {parts.TONES[word]}">{word}</span><br>'
        f'<span class="rest">{escape(held.why)}</span></td>',
    )
    return f'<tr><th scope="row" class="words">{escape(held.place)}</th>{"".join(cells)}</tr>'


def _number(sort: float | None, text: str, below: str) -> str:
    """A cell with a number and what belongs to it below."""
    sorted_by = "" if sort is None else f' data-sort="{sort!r}"'
    copied = f"{text} ({below})" if below else text
    whole = " whole" if len(below) < 20 else ""
    rest = f'<br><span class="rest{whole}">{escape(below)}</span>' if below else ""
    return f'<td{sorted_by} data-copy="{escape(copied)}">{escape(text)}{rest}</td>'
