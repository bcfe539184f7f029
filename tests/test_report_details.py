"""What stands beside the scores on the page: axes, values on hover, settings, commands, confusions, and what scores without a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foreword.metrics import metric
from foreword.report import charts, details
from foreword.report.page import page
from foreword.results.record import Record
from foreword.results.rows import Invocation, Summary
from foreword.results.summary import summarise
from foreword.results.trivial import Trivial
from foreword.util import phrases
from report_records import record, records
from test_report import printed


@pytest.fixture(scope="module")
def results() -> tuple[Summary, list[Record]]:
    trial_records = records()
    return summarise(trial_records, metric), trial_records


@pytest.fixture(scope="module")
def html(results: tuple[Summary, list[Record]]) -> str:
    return page(*results)


def test_no_axis_shows_scores_that_cannot_be(results: tuple[Summary, list[Record]]) -> None:
    nought = [replace(row, mean=0.0, ci95=(0.0, 3.0), scores_by_seed=[0.0]) for row in results[0].rows]
    assert charts._score_domain(nought)[0] == 0.0
    assert charts._score_domain([replace(nought[0], mean=99.0, ci95=(97.0, 100.0), scores_by_seed=[100.0])])[1] == 100.0
    low = charts._score_domain([replace(nought[0], mean=-20.0, ci95=(-30.0, 10.0), scores_by_seed=[-20.0])])[0]
    assert low < -30.0, "a scale that goes below 0 may"


def test_a_value_is_shown_where_a_reader_rests_and_the_kept_step_is_ringed(
    html: str, results: tuple[Summary, list[Record]]
) -> None:
    ipt = results[0].row("ipt")
    title = f"<title>ipt: {phrases.score(ipt.mean)} ({phrases.score(ipt.ci95[0])} to {phrases.score(ipt.ci95[1])}), "
    assert title in html
    assert f"<title>ipt, seed 2: {phrases.score(ipt.scores_by_seed[2])}</title>" in html
    assert "hover:" not in html
    record = next(record for record in results[1] if record.curve)
    best = min(record.curve, key=lambda point: point["dev"])
    assert charts._chosen(record) == best["step"] and best["step"] not in (0, 500), "a kept step that is neither end"
    assert f"step 0: {record.dev_start:.3g}</title>" in html, "how it scored before the first step"


def test_a_logarithmic_axis_says_so(results: tuple[Summary, list[Record]]) -> None:
    colours = {row.method: n for n, row in enumerate(results[0].rows)}
    rows = tuple(replace(row, train_seconds=3600.0 * (row.method == "ipt")) for row in results[0].rows)
    assert "log scale" in charts.score_against_cost(replace(results[0], rows=rows), colours)
    assert "log scale" not in charts.score_against_cost(results[0], colours)


INVOCATION = Invocation(
    command="foreword compare model=gpt2 'data=my file.csv'",
    date="2026-01-31",
    wording={"question": "Input: {input}\nOutput:", "stop": ""},
    prompts={"ipt seed 0": "runs/prompts/ipt-seed0"},
    next_command="foreword generate --model gpt2 --prompt runs/prompts/ipt-seed0 --data inputs.jsonl",
)


def test_the_page_says_what_was_asked_and_what_to_do_next(results: tuple[Summary, list[Record]]) -> None:
    tuned_records = [
        replace(record, spec=record.spec | {"tuning": {"max_steps": 500, "init_text": ""}}) for record in results[1]
    ]
    sizes = {"train": 1_200, "dev": 50, "test": 40}
    html = page(replace(results[0], invocation=INVOCATION, sizes=sizes), tuned_records)
    for text in (
        INVOCATION.next_command, "data=my file.csv", "2026-01-31", "1,200 train, 50 dev and 40 test", "max_steps: 500",
        "runs/prompts/ipt-seed0", "question: &#x27;Input: {input}\\nOutput:&#x27;", "Tuning of zero, icl, pt and ipt",
    ):  # fmt: skip
        assert text in html, text
    assert "init_text" not in html and "What to do next" not in page(*results)


def test_when_training_is_earned_back_is_said_in_words(results: tuple[Summary, list[Record]]) -> None:
    chosen = results[0].recommendation.method
    quick = [
        replace(row, train_seconds=60.0, seconds_per_answer=0.01) if row.method == chosen else row
        for row in results[0].rows
    ]
    free = [replace(row, train_seconds=0.0, seconds_per_answer=0.04) if row.method == "icl" else row for row in quick]
    text = details.break_even(replace(results[0], rows=tuple(free)))
    assert text == f"{chosen} takes less time than icl, the best without training, from 2,000 answers on."
    slow = tuple(replace(row, seconds_per_answer=0.05) if row.method == chosen else row for row in free)
    assert "never earns its training back in time against icl" in details.break_even(replace(results[0], rows=slow))


def answered(label: str, truths: list[str], outputs: list[str]) -> Record:
    original, accuracy = record(label, examples=len(truths), metrics=("accuracy",)), metric("accuracy")
    rows = accuracy.statistics(outputs, [(truth,) for truth in truths])
    answers = tuple(
        replace(answer, output=output, targets=(truth,), statistics={"accuracy": list(map(float, row))})
        for answer, output, truth, row in zip(original.answers, outputs, truths, rows, strict=True)
    )
    return replace(original, answers=answers, scores={"accuracy": float(accuracy.from_sums(rows.sum(axis=0)))})


def test_many_labels_have_their_macro_f1_and_the_most_frequent_mistakes() -> None:
    labels_ = tuple(f"l<{n}>" for n in range(77))
    truths = [label for label in labels_ for _ in range(2)]
    outputs = [*truths[:-3], "none", "l<0>", "l<0>"]  # of the last label but one the second, and both of the last
    summary = summarise([answered("zero", truths, outputs), answered("icl", truths, truths)], metric, labels=labels_)
    zero = summary.row("zero").classes
    assert zero.confusion == [] and zero.mistakes == [("l<76>", "l<0>", 2), ("l<75>", None, 1)]
    # F1 of the first label 2 * 2 / (4 + 2), of the last 0, of the one before 2 * 1 / (1 + 2), of 74 others 1
    assert zero.macro_f1 == pytest.approx(100 * (74 + 4 / 6 + 2 / 3) / 77)
    html = details.confusions(summary)
    assert html.count("<details>") == 2 and "No wrong answer." in html and "→" not in html
    assert '<tr><th scope="row">l&lt;76&gt;</th><td>l&lt;0&gt;</td><td>2</td></tr>' in html
    assert "<td>no label</td><td>1</td>" in html


def test_a_classification_shows_its_confusions_and_what_scores_without_a_model() -> None:
    labels_, truths = ("no", "yes"), ["yes"] * 30 + ["no"] * 10
    records = [
        answered(label, truths, outputs)
        for label, outputs in (("zero", ["yes"] * 40), ("icl", ["yes"] * 25 + ["no"] * 14 + ["maybe"]))
    ]
    blind = {
        answer.id: np.array([float(truth == "yes"), 1.0])
        for answer, truth in zip(records[0].answers, truths, strict=True)
    }
    summary = summarise(records, metric, labels=labels_, trivial=[Trivial("always 'yes'", blind)])
    assert summary.row("icl").classes.confusion == [[9, 0, 1], [5, 25, 0]]
    assert summary.row("icl").classes.mistakes == [("yes", "no", 5), ("no", None, 1)]
    # of zero: F1 of yes is 2 * 30 / (40 + 30), of no 0; of icl 2 * 25 / (25 + 30) and 2 * 9 / (14 + 10)
    assert summary.row("zero").classes.macro_f1 == pytest.approx(100 * (6 / 7) / 2)
    assert summary.row("icl").classes.macro_f1 == pytest.approx(100 * (50 / 55 + 18 / 24) / 2)
    assert summary.row("zero").classes.mcc == 0.0
    html = page(summary, records)
    for text in ("always &#x27;yes&#x27;", "macro F1", "→ no label", "What icl answered (1 run)", "<b>25</b>"):
        assert text in html, text
    out = printed(summary, 80)
    assert "Without a model: always 'yes' 75.0." in out and "MCC" in out
