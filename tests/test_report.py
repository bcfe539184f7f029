"""The page and the terminal table: whole, escaped, the same bytes each time, readable, and working in a real browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from foreword.metrics import metric
from foreword.report import charts, examples, similarity
from foreword.report.page import page, write_report
from foreword.report.table import show
from foreword.results.record import DemonstrationRef, Record
from foreword.results.rows import Summary
from foreword.results.summary import summarise
from foreword.util import phrases
from report_records import record, records

NASTY = """</script><script>alert("x")</script><img src=x onerror=alert(1)> {{data}} & 'quoted' \u2028"""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def results() -> tuple[Summary, list[Record]]:
    trial_records = records()
    return summarise(trial_records, metric), trial_records


@pytest.fixture(scope="module")
def html(results: tuple[Summary, list[Record]]) -> str:
    return page(*results)


def embedded(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


# --- the terminal ------------------------------------------------------------------------------------


def printed(summary: Summary, width: int, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(summary, Console(file=stream, width=width))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("numbers", [25_600, 13_107_200])
def test_nothing_is_cut_in_the_terminal(results: tuple[Summary, list[Record]], width: int, numbers: int) -> None:
    trained = {"train_seconds": 35 * 60 + 10}
    rows = tuple(
        replace(row, trainable_parameters=row.trainable_parameters and numbers, **trained) for row in results[0].rows
    )
    out = printed(replace(results[0], rows=rows), width)
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    for row in rows:
        line = next(line for line in out.splitlines() if re.match(rf"\W*{row.method} ", line))
        cells = [
            row.method,
            phrases.score(row.mean),
            phrases.duration(row.seconds_per_answer),
            phrases.whole(row.trainable_parameters),
        ]
        assert all(text in line for text in cells)
    assert re.search(rf"^ \* {results[0].recommendation.method} ", out, re.M)
    assert " ".join(results[0].recommendation.reason.split()) in " ".join(out.split())


def test_a_metric_of_a_file_keeps_its_name(results: tuple[Summary, list[Record]]) -> None:
    """The line below in a file's and a function's name became a blank, which names another file."""
    name = "my-metric/my_metric.py:score_of"
    assert phrases.title(name) == name and phrases.title("exact_match_2") == "exact match 2"
    assert name in "".join(printed(replace(results[0], metric=name), 200).split())


def test_a_long_label_is_folded_not_cut(results: tuple[Summary, list[Record]]) -> None:
    long = "ipt-fixed:dense-of-the-backbone:16"
    out = printed(replace(results[0], rows=(*results[0].rows, replace(results[0].rows[0], method=long))), 80)
    assert "…" not in out
    first = "".join(line[:16].strip(" *") for line in out.splitlines() if line.strip())
    assert long in first


def test_a_plain_console_gets_plain_signs(results: tuple[Summary, list[Record]]) -> None:
    out = printed(results[0], 80, "ascii")
    assert "+-" in out
    assert "?" not in out


# --- the page ----------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_outside(html: str) -> None:
    # The words of the page may name an address; nothing on it may fetch one.
    assert not re.search(r"""(?:src|href|action|data|poster|srcset)\s*=\s*["']?\s*(?:https?:)?//""", html)
    assert not re.search(
        r"@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")|<iframe|<object|<embed|\bfetch\(|XMLHttpRequest", html
    )
    assert "http" not in html.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in html


def test_the_policy_lets_only_the_page_s_own_script_run(html: str) -> None:
    script = re.search(r"<script>(.*?)</script>", html, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in html


def test_the_page_says_everything(html: str, results: tuple[Summary, list[Record]]) -> None:
    summary, trial_records = results
    assert f"<h1>Use {summary.recommendation.method}</h1>" in html
    for text in (
        "recommended",
        "95% interval",
        "transformers: 5.1.0",
        "2 CPU cores, float32",
        "task: 2f61c09d17",
        "Holm",
        *summary.notes,
    ):
        assert text in html
    assert all(record.key[:16] in html for record in trial_records)
    assert all(signature in html for signature in summary.signatures.values())
    assert html.count("<svg") == 5
    assert html.count('role="img"') == 5
    assert all(len(label) > 40 for label in re.findall(r'role="img" aria-label="([^"]*)"', html))
    assert not re.search(r"<th(?! scope=|ead)", html)
    assert "{{" not in html


def test_the_same_comparison_gives_the_same_bytes(
    tmp_path: Path, results: tuple[Summary, list[Record]], html: str
) -> None:
    write_report(tmp_path / "report.html", *results)
    assert (tmp_path / "report.html").read_bytes() == html.encode()
    assert len(html) < 1_500_000


def test_text_of_users_and_models_stays_text() -> None:
    hostile_records = []
    for original in records(("icl", "pt", "ipt"), (0, 1), 25):
        first = replace(
            original.answers[0],
            id=NASTY,
            input=NASTY,
            output=NASTY,
            targets=(NASTY,),
            shown=(DemonstrationRef(NASTY, NASTY, 0.5),),
        )
        hostile_records.append(replace(original, label=original.label + NASTY, task=NASTY, backbone=NASTY,
                                       hardware=NASTY, notes=(NASTY,), versions={NASTY: NASTY}, fingerprints={"task": NASTY},
                                       answers=(first, *original.answers[1:])))  # fmt: skip
    html = page(summarise(hostile_records, metric), hostile_records)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert html.count("<script") == 2
    assert html.count("</script") == 2
    assert embedded(html)["examples"][0]["input"] == NASTY


def test_the_browser_s_data_is_what_the_records_hold(html: str, results: tuple[Summary, list[Record]]) -> None:
    data = embedded(html)
    assert [method["label"] for method in data["methods"]] == ["zero", "icl", "pt", "ipt"]
    last = [record for record in results[1] if record.label == "ipt"][2].answers[7]
    shown = data["examples"][7]["answers"][3][2]
    assert shown["output"] == last.output
    assert data["shown"][shown["shown"][0][0]] == {"id": last.shown[0].id, "text": last.shown[0].text}
    assert shown["shown"][0][1] == pytest.approx(last.shown[0].similarity, abs=1e-4)
    assert "All of them are here." in html


def test_a_large_comparison_embeds_a_said_number_of_examples() -> None:
    zero_record = record("zero", examples=1, metrics=("exact_match",))
    many = replace(zero_record, answers=tuple(replace(zero_record.answers[0], id=f"q{n}") for n in range(900)))
    data, sentence = examples.browsable([many], ["zero"])
    assert len(data["examples"]) == 300
    assert sentence.startswith("300 of them are here")
    places = [int(example["id"][1:]) for example in data["examples"]]
    assert places == sorted(places)
    assert max(places) > 600  # drawn from all of them, not the first
    long = replace(many, answers=tuple(replace(a, input="x" * 50_000, output="y" * 50_000) for a in many.answers))
    data, sentence = examples.browsable([long] * 12, ["zero"])
    assert len(json.dumps(data)) < 1.2 * examples.BUDGET
    assert "cut after 2,000 characters" in data["examples"][0]["input"]
    assert sentence.startswith(f"{len(data['examples'])} of them")


def test_without_both_methods_the_similarity_section_says_why(results: tuple[Summary, list[Record]]) -> None:
    only = [record for record in results[1] if record.label != "pt"]
    assert "pt was not compared" in similarity.gains(only)
    assert "neither was compared" in similarity.gains([record for record in only if record.label != "ipt"])
    blind = [
        replace(
            record,
            answers=tuple(
                replace(a, shown=tuple(replace(d, similarity=None) for d in a.shown)) for a in record.answers
            ),
        )
        for record in results[1]
    ]
    assert "gives no similarity" in similarity.gains(blind)
    assert "only 9 examples" in similarity.gains([replace(record, answers=record.answers[:9]) for record in results[1]])
    html = page(summarise(only, metric), only)
    assert "When does a demonstration help" not in html, "an empty section is left out"


def test_the_gain_is_ipt_minus_pt_of_the_same_example(results: tuple[Summary, list[Record]]) -> None:
    (gain,) = similarity.gains(results[1])
    score = {(record.label, record.seed): [a.scores["bleu"] for a in record.answers] for record in results[1]}
    mean = {label: [sum(score[label, seed][n] for seed in (0, 1, 2)) / 3 for n in range(40)] for label in ("pt", "ipt")}
    assert gain.gain == pytest.approx([a - b for a, b in zip(mean["ipt"], mean["pt"], strict=True)])
    assert sum(bucket.count for bucket in gain.bins) == 40
    assert gain.slope > 0
    assert gain.slope_ci95[0] < gain.slope < gain.slope_ci95[1]
    assert gain.line()[1][1] > gain.line()[0][1]
    assert gain.sentence().startswith("For each 0.1 of similarity the demonstration adds ")
    assert " more (" in gain.sentence()
    assert gain.sentence().endswith(" Intervals are over examples, of these 3 prompts of each method alone.")
    (alone,) = similarity.gains([record for record in results[1] if record.seed == 0])
    assert alone.sentence().endswith(" of this one prompt of each method alone.")
    less = replace(gain, slope=-2.0, slope_ci95=(-3.0, -1.0))
    assert "adds 0.2 points less (95% interval 0.1 to 0.3)" in less.sentence()


def test_a_page_of_one_untuned_method_or_of_failures_stands(results: tuple[Summary, list[Record]]) -> None:
    zero_records = [record("zero", examples=3, metrics=("exact_match",), share=1.0)]
    html = page(summarise(zero_records, metric), zero_records)
    assert "No method works here" in html
    assert "Learning curves" not in html
    assert "The ring marks" not in html and "recommended</span>" not in html, "nothing is marked"


def test_what_is_not_significant_is_marked_in_the_table(results: tuple[Summary, list[Record]]) -> None:
    summary = results[0]
    compared = tuple(
        replace(comparison, significantly_worse=comparison.method == "zero", p_adjusted=0.18)
        for comparison in summary.comparisons
    )
    html = page(replace(summary, comparisons=compared), results[1])
    assert html.count("<br>not told apart") == len(compared) - 1
    prompts = tuple(
        replace(comparison, significantly_worse=False, of_prompts=True, p_adjusted=0.001) for comparison in compared
    )
    assert page(replace(summary, comparisons=prompts), results[1]).count("<br>of these prompts") == len(compared)


def test_every_stand_in_colour_was_replaced(html: str) -> None:
    assert "#a1b2" not in html
    assert {f"--m{n}" for n in (0, 2, 3, 4)} <= set(re.findall(r'"var\((--\w+)\)"', html))


def test_costs_far_apart_get_a_logarithmic_axis_and_nothing_breaks_at_nought(
    results: tuple[Summary, list[Record]],
) -> None:
    rows = [
        replace(row, train_seconds=3600.0 * (row.method == "ipt"), seconds_per_answer=0.0) for row in results[0].rows
    ]
    svg = charts.score_against_cost(
        replace(results[0], rows=tuple(rows)), {row.method: n for n, row in enumerate(rows)}
    )
    assert "NaN" not in svg
    assert ">1 h<" in svg
    linear = charts.score_against_cost(results[0], {row.method: n for n, row in enumerate(rows)})
    assert ">0 s<" in linear


def test_no_model_code_is_loaded_for_a_report() -> None:
    heavy = ("torch", "transformers", "pandas")
    code = f"import sys, foreword.report.page, foreword.report.table; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


# --- in a real browser -------------------------------------------------------------------------------

PROBE = """<script>
const said = [];
addEventListener("error", (event) => said.push(event.message));
const look = () => [document.getElementById("place").textContent, document.querySelector("#example .text")?.textContent];
const change = (id, value, kind) => { const node = document.getElementById(id); node.value = value; node.dispatchEvent(new Event(kind)); };
addEventListener("load", () => {
  const seen = { first: look() };
  document.getElementById("next").click(); seen.next = look();
  document.getElementById("previous").click(); seen.previous = look();
  seen.cards = [...document.querySelectorAll(".card")].map((card) => card.querySelector("h3").textContent);
  change("seed", "2", "change"); seen.seed = document.querySelectorAll(".card")[3].querySelector(".text").textContent;
  change("search", "test-17", "input"); seen.search = look();
  change("search", "no such words", "input"); seen.none = look();
  change("search", "", "input"); change("filter", "none", "change"); seen.fails = look();
  change("filter", "best2", "change"); seen.best = look();
  const order = () => [...document.querySelectorAll("table.sortable tbody th")].map((cell) => cell.textContent.replace("recommended", ""));
  const heads = document.querySelectorAll("table.sortable .sort");
  heads[1].click(); seen.down = order(); heads[1].click(); seen.up = order();
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  seen.errors = said;
  document.body.replaceChildren(); document.body.textContent = "PROBE" + JSON.stringify(seen) + "EBORP";
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is driven only where there is one")
@pytest.mark.parametrize("width", [1200, 500])
def test_the_browser_of_answers_works(
    tmp_path: Path, html: str, results: tuple[Summary, list[Record]], width: int
) -> None:
    # The page's own policy would rightly refuse the probe, so the probe's copy goes without it.
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', PROBE, html)
    (tmp_path / "probe.html").write_text(copy, encoding="utf-8")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    out, _ = _browse(tmp_path / "probe.html", width)
    observations = json.loads(re.search(r"<body>PROBE(.*)EBORP", out, re.S)[1].replace("&amp;", "&"))
    ipt = [record for record in results[1] if record.label == "ipt"]
    inputs = [answer.input for answer in ipt[0].answers]
    assert observations["first"] == ["1 of 40", inputs[0]]
    assert observations["next"] == ["2 of 40", inputs[1]]
    assert observations["previous"] == observations["first"]
    assert observations["cards"] == ["zero", "icl", "pt", "ipt"]
    assert observations["seed"] == ipt[2].answers[0].output
    assert observations["search"] == ["1 of 1", inputs[17]]
    assert observations["none"][0] == "none found"
    assert observations["fails"][0] == "none found"
    assert 1 <= int(observations["best"][0].split()[-1]) < 40
    assert observations["errors"] == []
    ranked = sorted(results[0].rows, key=lambda row: -row.mean)
    assert [name.removesuffix("tie") for name in observations["down"]] == [row.method for row in ranked]
    assert observations["up"] == observations["down"][::-1]
    assert observations["wide"] <= 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is driven only where there is one")
def test_the_page_itself_runs_under_its_own_policy_without_a_complaint(tmp_path: Path, html: str) -> None:
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    out, complaints = _browse(tmp_path / "page.html", 1200)
    assert "1 of 40" in out
    assert "CONSOLE" not in complaints


def _browse(path: Path, width: int) -> tuple[str, str]:
    """The page after its scripts ran, and what the console said."""
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},900",
         f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return run.stdout, run.stderr
