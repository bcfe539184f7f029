"""The report of studies: figures with the paper's points, numbers with what they rest on; whole, silent, usable by everybody."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import entry
import study_pages
from foreword.report.study import StudyPage, setting, study_page, write_site, write_study
from foreword.report.study.figures import pictures
from foreword.report.study.held import counted, held_of, hold, varies
from foreword.report.study.lines import lines
from foreword.report.study.tested import places
from foreword.results import stats
from foreword.results.cells import Bins, Curve, Entry, Table
from foreword.results.papers import paper
from foreword.util.errors import ForewordError

PageBuilder = Callable[[], StudyPage]


@pytest.fixture(scope="module")
def main() -> StudyPage:
    return study_pages.main()


@pytest.fixture(scope="module")
def html(main: StudyPage) -> str:
    return study_page([main])


@pytest.mark.parametrize("build_page", study_pages.EVERY, ids=lambda build_page: build_page.__name__)
def test_a_page_of_every_form_needs_nothing_from_outside_and_says_what_was_asked(build_page: PageBuilder) -> None:
    page = build_page()
    html = study_page([page])
    assert not re.search(r"(?:src|href)=\"(?!#|data:|index)", html), "no address"
    assert "#a1b2" not in html, "every stand-in colour was replaced"
    assert html.count("<h1") == 1 and html.count("<main") == 1
    assert page.command in html
    assert study_page([build_page()]) == html, "the same study gives the same bytes"
    drawn = [answer for every in page.answers.values() for answer in every if isinstance(answer, Table | Curve | Bins)]
    expected = sum(len(pictures(answer, page.name)) for answer in drawn)
    assert html.count("<svg") == expected
    if build_page not in (study_pages.transfer, study_pages.own):
        assert expected and "the paper's own" in html, "the paper's points stand behind ours"


def test_a_cell_says_all_that_it_rests_on(html: str, main: StudyPage) -> None:
    row = main.answers["main"][0].rows[2].entries[0]  # type: ignore[union-attr]
    assert (row.paper["model"], row.paper["method"], row.paper["task"]) == ("bloom-1b1", "pt", "totto")
    cell = next(html_cell for html_cell in re.findall(r"<td.*?</td>", html) if f'href="#c-{row.cells[0]}"' in html_cell)
    text = re.sub(r"<[^>]+>", " ", cell)
    for part in (f"{row.score:.1f} ± 1.3", "2 of 2 seeds, 12 of 12 examples", "paper 36.3 ± 0.3 (seen)",
                 "reference for bloom-1b1; mini-totto for totto", "cannot say"):  # fmt: skip
        assert part in text, part
    assert "The memory was not enough &lt;here&gt;." in html
    assert "72 cells: 70 done, 1 failed, 1 waiting" in html
    assert html.count('<details class="behind"') == 70 and f'id="c-{row.cells[0]}"' in html
    assert "max_steps" in html and "40, 50" in html, "a setting that differs"
    assert "decoding" in html and "greedy, at most 48 tokens." in html
    assert "width of the reparameterisation" in html, "what is not decided is said too"


def test_every_number_that_the_paper_has_finds_it(main: StudyPage) -> None:
    helds = held_of(main)
    assert len(helds) == 40 and sum(held.number is not None for held in helds) == 30
    assert counted(helds) == {"agrees": 0, "differs": 0, "cannot say": 30}
    true = replace(main, answers={"main": (_as_the_papers(main.answers["main"][0]),)})  # type: ignore[arg-type]
    assert counted(held_of(true))["agrees"] > 0, "and without stand-ins some can agree"


def _as_the_papers(table: Table) -> Table:
    """The same with the paper's models, tasks, metrics and numbers, and narrow intervals."""
    metrics = {"spider": "spider_match", "mtop": "mtop_em", "logic2text": "blec"}
    rows = []
    for row in table.rows:
        entries = []
        for own in row.entries:
            assert isinstance(own, Entry)
            number, task = paper("sun2023").number("sun2023-main", own.paper), own.paper["task"]
            score = number.value if number else 1.0
            ours = {"model": own.paper["model"], "task": task, "metric": metrics.get(task, "bleu")}
            entries.append(replace(own, **ours, score=score, ci95=(score - 0.2, score + 0.2)))
        rows.append(replace(row, entries=tuple(entries)))
    return replace(table, rows=tuple(rows))


def test_whether_a_seed_matters_follows_from_the_method() -> None:
    names = ("zero", "icl-1", "icl-3", "icl-random-1", "few", "pt", "ipt", "full-ft", "multi-task")
    assert [name for name in names if not varies(name)] == ["zero", "icl-1", "icl-3"]


def test_ties_and_what_scores_vary_by_are_told(html: str, main: StudyPage) -> None:
    there = places(main)
    assert len(there) == 10 and list(there[0].samples) == ["icl-random-1", "icl-1", "pt", "ipt"]
    first = next(place for place in there if place.name == "reference, mini-dart")
    best, *tied = stats.tied_with_best(first.samples)
    row = next(
        table_row
        for table_row in re.findall(r"<tr>.*?</tr>", html)
        if table_row.startswith('<tr><th scope="row">reference, mini-dart</th>')
    )
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)]
    assert cells[0] == best and cells[1] == (", ".join(tied) or "none")
    ranked = sorted(first.samples.values(), key=lambda sample: -sample.score)
    adjusted = stats.all_pairs(ranked, span=first.width)[0, 1]
    assert adjusted.factor > 1.0 and cells[3] == f"{adjusted.reach:.1f}", "of the test that is judged by"
    assert html.count("of one seed.</p>") >= 1 and "Training seeds apart from items" in html
    assert places(study_pages.own()) == []


def test_one_training_counts_once_on_however_many_tasks_it_is_scored() -> None:
    pt, ipt = study_pages.record("pt", "dart", 0), study_pages.record("ipt", "dart", 0)
    elsewhere = replace(pt, key="other", spec=pt.spec | {"trained_by": pt.key})
    gate = replace(ipt, key="gate", spec={"gate": "gate:similarity", "of": [pt.key, ipt.key]})
    trained = pt.costs.train_seconds + ipt.costs.train_seconds
    for there in ([pt, ipt], [pt, elsewhere, ipt, gate, pt], [elsewhere, gate, ipt]):
        assert setting.training_seconds(there) == trained > 0


def test_ghosts_stand_where_the_paper_s_models_do() -> None:
    (curve,) = study_pages.scale().answers["scale"]
    (picture,) = pictures(curve, "lester2021-scale")  # type: ignore[arg-type]
    ghosts = picture.chart.layer[0].data.values
    assert len(ghosts) == 10, "five sizes of each of two methods"
    xs = sorted({row["x"] for row in ghosts})
    assert xs == sorted(study_pages.SIZES.values())
    assert {row["y"] for row in ghosts if row["series"] == "pt"} == {58.5, 63.8, 75.8, 80.3, 90.0}


def test_a_cell_that_two_studies_ask_for_is_shown_once() -> None:
    first, second = study_pages.transfer(), replace(study_pages.transfer(), name="sun2023-main")
    html = study_page([first, second])
    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "a link leads to one place"
    assert "Its cells are shown with an earlier study of this page." in html
    assert html.count("<h1") == 1 and html.count('<details class="behind"') == len({cell.id for cell in first.cells})


def test_bold_is_what_surely_beats_the_baseline() -> None:
    html = study_page([study_pages.transfer()])
    assert html.count("<strong><a href=") == 4, "of six pairs two are below"
    assert "−1.0" in html and "+3.0" in html and "icl-1 (baseline)" in html


def test_bins_have_counts_and_the_paper_s_beside_them() -> None:
    html = study_page([study_pages.similarity()])
    assert "2,756 (digitised)" in html and "paper 42.7 (digitised)" in html
    assert "too few for an interval" in html and "mtop, bloom-1b1: PT or IPT is not run." in html


def test_texts_of_others_stay_texts() -> None:
    html = study_page([study_pages.own()])
    for mark in ("<script>alert", "<img src=x>", "<b>", "<i>text", "<u>claim"):
        assert mark not in html
    assert "&lt;u&gt;claim&lt;/u&gt;" in html


def test_a_site_has_an_index_pages_pictures_and_a_summary(tmp_path: Path) -> None:
    other = replace(study_pages.length(), scale="small")
    runs = {"runs/a": [study_pages.length(), study_pages.own()], "runs/b": [other]}
    write_site(tmp_path / "site", runs, baseline="runs/a")
    names = sorted(path.name for path in (tmp_path / "site").iterdir())
    assert names == [
        "figures",
        "foreword-site.txt",
        "index.html",
        "mine.html",
        "summary.md",
        "sun2023-length--2.html",
        "sun2023-length.html",
    ]
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for link in re.findall(r'href="([^"#:]+\.(?:html|md))"', index):
        assert (tmp_path / "site" / link).is_file(), link
    assert "Runs of sun2023-length" in index and "the baseline" in index and "0.0 points over 18 numbers" in index
    pictures_there = sorted((tmp_path / "site" / "figures").iterdir())
    assert len(pictures_there) == 8
    for path in pictures_there:
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_text(encoding="utf-8"))
            assert "#a1b2" not in path.read_text(encoding="utf-8")
        else:
            assert path.read_bytes().startswith(b"\x89PNG")
    summary = (tmp_path / "site" / "summary.md").read_text(encoding="utf-8")
    assert "| pt, 1 token, dart, bloom-1b1 | 30.0 ± 1.3 |" in summary and "34.6 (digitised)" in summary
    write_site(tmp_path / "site", runs)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ForewordError, match="something else"):
        write_site(tmp_path / "mine", runs)
    with pytest.raises(ForewordError, match="none of the runs"):
        write_site(tmp_path / "new", runs, baseline="runs/c")
    with pytest.raises(ForewordError, match="no study"):
        write_site(tmp_path / "new", {})


OWN = """title = "Mine"
questions = ["main"]

[[parts]]
name = "grid"
methods = ["zero", "icl-1"]

[smoke]
models = { mine = "MODEL" }
tasks = { dart = "mini-dart" }
seeds = [0]
run = { limit = 3, max_new_tokens = 4 }
"""


def test_finished_studies_become_a_site_by_one_command(tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "tiny", "bloom")
    (tmp_path / "mine.toml").write_text(OWN.replace("MODEL", str(model)), encoding="utf-8")
    ran = entry.foreword("study", tmp_path / "mine.toml", "--out", tmp_path / "runs")
    assert ran.code == 0, ran.err
    assert "2 cells: 2 done" in (tmp_path / "runs" / "report.html").read_text(encoding="utf-8")
    site = entry.foreword("report", tmp_path / "runs", "--out", tmp_path / "site", "--json")
    assert site.code == 0, site.err
    assert site.json["studies"] == 1 and Path(site.json["index"]).is_file()
    assert "numbers stand beside these." in (tmp_path / "site" / "mine.html").read_text(encoding="utf-8")
    (tmp_path / "empty").mkdir()
    entry.refused("report", tmp_path / "empty", "--out", tmp_path / "site2", says=("no study", "foreword study"))
    says = ("none of the runs",)
    entry.refused("report", tmp_path / "runs", "--baseline", "other", "--out", tmp_path / "site2", says=says)


# --- in a real browser -------------------------------------------------------------------------------


def opened(browser: Any, path: Path, width: int, scheme: str) -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    addresses: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(path.as_uri())
    return page, complaints, addresses


OUT_OF_COLUMN = """[...document.querySelectorAll('table')].filter((table) => table.tHead && table.offsetParent).flatMap((table) =>
  [...table.tBodies[0].rows].filter((row) => row.cells.length === table.tHead.rows[0].cells.length).flatMap((row) =>
    [...row.cells].filter((cell, column) => {
      const head = table.tHead.rows[0].cells[column].getBoundingClientRect(), own = cell.getBoundingClientRect();
      return Math.abs(head.left - own.left) > 1 || Math.abs(head.right - own.right) > 1 || own.top < head.top;
    }).map((cell) => cell.textContent)))"""
"""Cells that do not stand below their column's head."""


@pytest.mark.parametrize(
    ("width", "scheme", "shown"), [(1280, "light", study_pages.EVERY[1:4]), (390, "dark", study_pages.EVERY[3:])]
)
def test_the_page_is_silent_asks_nobody_and_fits(
    browser: Any, tmp_path: Path, width: int, scheme: str, shown: tuple[PageBuilder, ...]
) -> None:
    write_study(tmp_path / "s.html", [build_page() for build_page in shown])
    page, complaints, addresses = opened(browser, tmp_path / "s.html", width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    cut = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, svg, .skip') &&"
        " one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert cut == []
    assert page.evaluate(OUT_OF_COLUMN) == [] or width < 600, "a row is a card on a phone alone"
    page.emulate_media(media="print")
    assert page.evaluate("document.querySelectorAll('table').length") > 3 and page.evaluate(OUT_OF_COLUMN) == []
    page.emulate_media(media="screen")
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    faults = page.evaluate("axe.run()")
    serious = [violation["id"] for violation in faults["violations"] if violation["impact"] in ("serious", "critical")]
    assert serious == [], [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in faults["violations"]]
    assert faults["passes"], "axe looked at something"
    assert complaints == [] and addresses == [(tmp_path / "s.html").as_uri()]
    page.close()


def test_tables_sort_copy_and_lead_to_answers_by_keyboard(
    browser: Any, tmp_path: Path, html: str, main: StudyPage
) -> None:
    (tmp_path / "s.html").write_text(html, encoding="utf-8")
    page, complaints, _ = opened(browser, tmp_path / "s.html", 1280, "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tables = page.locator("table.sortable")
    place = next(
        n for n in range(tables.count()) if tables.nth(n).locator("thead th").first.inner_text().startswith("model")
    )
    first = tables.nth(place)
    first.locator("button.sort").nth(2).focus()
    page.keyboard.press("Enter")
    scores = first.locator("tbody tr td:nth-of-type(2)").evaluate_all(
        "(cells) => cells.map((one) => Number(one.dataset.sort))"
    )
    assert scores == sorted(scores, reverse=True) and len(scores) == 8
    for form, start in (
        ("CSV", "model,method,totto"),
        ("LaTeX", "\\begin{tabular}{lrrrrrr}"),
        ("Markdown", "| model | method | totto"),
    ):
        around = first.locator("xpath=ancestor::*[.//button[contains(., 'Copy as')]][1]")
        button = around.get_by_role("button", name=f"Copy as {form}").first
        button.click()
        around.locator(
            "button[data-copied]", has_text=form
        ).first.wait_for()  # a function would wait by eval, which the page forbids
        copied = button.get_attribute("data-copied")
        assert copied.startswith(start), copied[:80]
        assert "paper 36.3" in copied and "±" in copied.replace("$\\pm$", "±")
        assert "<" not in copied.replace("<here>", "")
    link = page.locator("td a[href^='#c-']").first
    target = link.get_attribute("href")
    link.focus()
    page.keyboard.press("Enter")
    page.locator(f"details[id='{target[1:]}'][open]").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert page.locator(f"details[id='{target[1:]}'] li").count() == 6
    mark = page.locator(f"svg [data-to]:not([data-to='{target}'])").first
    mark.dispatch_event("click")
    assert page.evaluate("location.hash") == mark.get_attribute("data-to") != target
    assert complaints == []
    page.close()


def test_what_is_no_comparison_has_no_ties(main: StudyPage) -> None:
    matrix = study_pages.transfer()
    assert "Tied with the best" in study_page([main]) and "Tied with the best" not in study_page([matrix])


def test_only_settings_that_differ_are_shown(main: StudyPage) -> None:
    html = setting.settings(main)
    shown = html.partition("<details>")[0]
    assert "tuning.max_steps" in shown and "40, 50" in shown
    assert "tuning.learning_rate" not in shown, "a cell without tuning has no other learning rate"


def test_all_of_the_papers_points_and_its_level_stand_behind_the_measured() -> None:
    page = study_pages.length()
    curve = next(answer for every in page.answers.values() for answer in every if isinstance(answer, Curve))
    picture = lines(curve.panels[0], curve, page.name, paper("sun2023"))
    data = [layer["data"]["values"] for layer in picture.chart.to_dict()["layer"]]
    ghosts = [row for rows in data for row in rows if "the paper" in row["hover"]]
    assert {row["x"] for row in ghosts} >= {1.0, 3.0, 5.0, 10.0, 25.0, 50.0, 100.0, 150.0}
    assert any(row["x"] is None and "icl" in row["hover"] for row in ghosts), "the level of ICL"


def test_a_smoke_run_says_that_it_is_one(main: StudyPage) -> None:
    html = study_page([main])
    assert "This is a smoke run" in html and "none of them confirms or contradicts it" in html
    assert "what this study does at full scale" in html and "This is a smoke run" not in study_page(
        [replace(main, scale="full")]
    )
    assert "stood in" not in study_page([study_pages.own()]).partition("Every number")[0], (
        "a study of one's own has no stand-ins"
    )


def test_times_of_the_paper_are_said_as_times() -> None:
    page = replace(study_pages.length(), name="lester2021-convergence")
    series = (
        next(answer for every in page.answers.values() for answer in every if isinstance(answer, Curve))
        .panels[0]
        .series[0]
    )
    entry = replace(series.points[0][1], unit="s", paper={"length": "100", "model": "t5-small"})
    assert hold(entry, paper("lester2021"), page.name).theirs == "16 min 25 s"
