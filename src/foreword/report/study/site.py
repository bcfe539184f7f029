"""A static site of several studies: an index, a page each, every figure as SVG and PNG, a summary in Markdown; it refuses to write into a
folder that holds something else, and leaves there what others put into a site's."""

from __future__ import annotations

import itertools
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import vl_convert as vlc

from foreword.report.drawing import solid
from foreword.report.shell import document
from foreword.report.study import parts, setting
from foreword.report.study.figures import pictures
from foreword.report.study.held import Held, counted, held_of
from foreword.report.study.marks import value
from foreword.report.study.page import SCRIPTS, headline, study_page
from foreword.report.study.values import StudyPage
from foreword.results.cells import Bins, Curve, Table, Test
from foreword.util import phrases
from foreword.util.errors import ForewordError
from foreword.util.files import whole_folder

MARK = "foreword-site.txt"  # says that a folder is a site of foreword's, and which files of it may be written anew
MARKED = "A site that `foreword report` wrote; it may write these files anew:"
FIGURES = "figures"
ANY_SITE = re.compile(rf"{re.escape(MARK)}|summary\.md|[^/]+\.html|{FIGURES}/[^/]+\.(?:svg|png)")


@dataclass(frozen=True)
class Entry:
    """A study of a site. name: of its files, told apart from other runs of the same preset. run: where it comes from, as the user named
    it."""

    name: str
    run: str
    page: StudyPage


def write_site(folder: Path, runs: Mapping[str, Sequence[StudyPage]], *, baseline: str = "") -> None:
    """Write the site whole or not at all. runs: the studies of each folder of runs, by its name. baseline: the run that other runs of the
    same preset are held against; the first where none is given. Raises ForewordError."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ForewordError(f"{folder} holds something else than a site of foreword's; give --out a new folder.")
    if baseline and baseline not in runs:
        raise ForewordError(f"The baseline {baseline} is none of the runs ({', '.join(runs)}); name one of them.")
    entries = listed(runs)
    if not entries:
        raise ForewordError("There is no study to report; give a folder that `foreword study --out` wrote.")
    others = _others(folder)
    with whole_folder(folder) as part:
        (part / "index.html").write_text(index(entries, baseline or next(iter(runs))), encoding="utf-8")
        (part / "summary.md").write_text(markdown(entries), encoding="utf-8")
        for entry in entries:
            (part / f"{entry.name}.html").write_text(study_page([entry.page], home="index.html"), encoding="utf-8")
            _draw(entry, part / FIGURES)
        own = sorted([MARK, *(_name(part, path) for path in _there(part))])
        (part / MARK).write_text("\n".join([MARKED, *own, ""]), encoding="utf-8")
        for path in others:
            _carry(path, part / _name(folder, path))


def _there(folder: Path) -> list[Path]:
    """What stands in a site's folder and among its figures."""
    parents = [
        path for path in (folder, folder / FIGURES) if path.is_dir() and (path == folder or not path.is_symlink())
    ]
    return [path for parent in parents for path in parent.iterdir() if path not in parents]


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _others(folder: Path) -> list[Path]:
    """What stands in a site's folder and is none of its files. Raises ForewordError where the site is of a version that did not say which
    are, and something stands there that no site has."""
    if not (folder / MARK).is_file():
        return []
    first, *own = (folder / MARK).read_text(encoding="utf-8", errors="replace").split("\n")
    if first == MARKED:
        return [path for path in _there(folder) if path.is_dir() or _name(folder, path) not in own]
    others = [path for path in _there(folder) if path.is_dir() or not ANY_SITE.fullmatch(_name(folder, path))]
    if others:
        names = phrases.listed(sorted(_name(folder, path) for path in others))
        raise ForewordError(
            f"{folder} holds {names} beside a site of an earlier version, which did not say which files are its own; move what is "
            "yours elsewhere and delete the folder, or give --out a new one."
        )
    return []


def _carry(path: Path, to: Path) -> None:
    """Take what is not the site's along. Raises ForewordError where a file of the new site has its name."""
    if to.exists():
        raise ForewordError(
            f"{path} is none of the site's files, and the new site has one of that name; move it elsewhere, or give --out another folder."
        )
    to.parent.mkdir(exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, to, symlinks=True)
    else:
        shutil.copy2(path, to, follow_symlinks=False)


def listed(runs: Mapping[str, Sequence[StudyPage]]) -> list[Entry]:
    """The studies with a name of their own each, upper case or lower, which is not the index's."""
    entries: list[Entry] = []
    taken = {"index"}
    for run, pages in runs.items():
        for page in pages:
            stem = re.sub(r"[^\w.-]+", "-", page.name).strip("-.") or "study"
            names = (f"{stem}--{n}" if n > 1 else stem for n in itertools.count(1))
            name = next(name for name in names if name.casefold() not in taken)
            taken.add(name.casefold())
            entries.append(Entry(name, run, page))
    return entries


def _draw(entry: Entry, folder: Path) -> None:
    """Every figure as SVG and PNG, in the light page's colours."""
    folder.mkdir(exist_ok=True)
    number = 0
    for answered in (answer for every in entry.page.answers.values() for answer in every):
        if not isinstance(answered, Table | Curve | Bins):
            continue
        for picture in pictures(answered, entry.page.name):
            number += 1
            text = solid(picture.chart)
            stem = folder / f"{entry.name}-{number}-{re.sub(r'[^A-Za-z0-9]+', '-', picture.title).strip('-')[:40]}"
            stem.with_suffix(".svg").write_text(text, encoding="utf-8")
            stem.with_suffix(".png").write_bytes(vlc.svg_to_png(text, scale=2.0))


def index(entries: Sequence[Entry], baseline: str) -> str:
    """The page that leads to all others, and holds runs of one preset against the baseline."""
    cards = []
    for entry in entries:
        page = entry.page
        run = (
            f' <span class="rest">{escape(entry.run)}</span>'
            if sum(e.page.name == page.name for e in entries) > 1
            else ""
        )
        cards.append(
            f'<li><h2><a href="{escape(entry.name)}.html">{escape(page.title)}</a></h2><p>{escape(headline(held_of(page), page))}</p>'
            f'<p class="small">{escape(page.name)}, {escape(page.scale)}; {escape(setting.progress(page.cells))}.{run}</p></li>'
        )
    again = dict.fromkeys(
        entry.page.name for entry in entries if sum(e.page.name == entry.page.name for e in entries) > 1
    )
    beside = "".join(_beside([entry for entry in entries if entry.page.name == name], baseline) for name in again)
    heading = f"<h1>{phrases.plural(len(entries), 'report')} of studies</h1>"
    more = '<p class="small">The same in plain text: <a href="summary.md">summary.md</a>; every figure as SVG and PNG: figures/.</p>'
    return document(
        "Studies",
        f'{heading}<ul class="ahead">{"".join(cards)}</ul>{beside}{more}',
        scripts=SCRIPTS,
        eyebrow="foreword report",
    )


def _beside(entries: Sequence[Entry], baseline: str) -> str:
    """Runs of one preset against the baseline: what of their settings differs, and by how much their numbers do."""
    pinned = next((entry for entry in entries if entry.run == baseline), entries[0])
    base = _by_place(pinned)
    rows = []
    for entry in entries:
        own = _by_place(entry)
        shared = [place for place in own if place in base and own[place].entry.metric == base[place].entry.metric]
        gaps = [(own[place].entry.score or 0.0) - (base[place].entry.score or 0.0) for place in shared]
        mean = sum(gaps) / len(gaps) if gaps else 0.0
        differing = ", ".join(_differing(entry.page, pinned.page)) or "nothing"
        what = (
            "the baseline"
            if entry is pinned
            else f"{phrases.points(mean)} points over {phrases.plural(len(gaps), 'number')}"
        )
        rows.append(
            f'<tr><th scope="row"><a href="{escape(entry.name)}.html">{escape(entry.run)}</a></th><td class="words">{escape(what)}</td>'
            f'<td class="words">{escape("–" if entry is pinned else differing)}</td></tr>'
        )
    title = f"Runs of {entries[0].page.name}"
    note = (
        '<p class="small">The mean difference is counted over the numbers from 0 to 100 that both have once, by the same metric; it is no '
        "test.</p>"
    )
    return (
        f"<h2>{escape(title)}</h2>"
        + parts.table(title, ("run", "above the baseline", "settings that differ"), rows, leading=3)
        + note
    )


def _by_place(entry: Entry) -> dict[str, Held]:
    """The numbers from 0 to 100 by their places; none of a place where several stand, which its name does not tell apart."""
    helds = [held for held in held_of(entry.page) if held.entry.score is not None and held.entry.unit == ""]
    several = Counter(held.place for held in helds)
    return {held.place: held for held in helds if several[held.place] == 1}


def _differing(page: StudyPage, other: StudyPage) -> list[str]:
    ours, theirs = (setting.contents(each) | setting.shared_settings(each) for each in (page, other))
    return [
        f"{name} {ours.get(name, 'none')} (not {theirs.get(name, 'none')})"
        for name in {**theirs, **ours}
        if ours.get(name) != theirs.get(name)
    ]


def markdown(entries: Sequence[Entry]) -> str:
    """All studies as Markdown: the outcome, the findings, every number beside the paper's."""
    text = ["# Studies"]
    for entry in entries:
        page, helds = entry.page, held_of(entry.page)
        count = counted(helds)
        text += [f"## {_cell(page.title)}", headline(helds, page)]
        text.append(
            f"{page.name}, {page.scale}; {setting.progress(page.cells)}; {', '.join(f'{word} {n}' for word, n in count.items())}."
        )
        tests = [answer for every in page.answers.values() for answer in every if isinstance(answer, Test)]
        if tests:
            text.append("\n".join(f"- {parts.WORDS[test.holds]}: {_cell(parts.in_words(test))}" for test in tests))
        if helds:
            rows = [
                ["what", "ours", "95% interval", "the paper's", "not as in the paper", "verdict"],
                ["---"] * 6,
                *map(_row, helds),
            ]
            text.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
        if page.command:
            text.append(f"`{page.command}`")
    return "\n\n".join(text) + "\n"


def _row(held: Held) -> list[str]:
    entry = held.entry
    return [
        _cell(held.place),
        value(entry) if entry.score is not None else _cell(entry.cause or "not run"),
        "" if entry.ci95 is None else phrases.between(*entry.ci95),
        "" if held.number is None else f"{held.theirs} ({held.number.known})",
        _cell(held.differs),
        held.verdict.word,
    ]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
