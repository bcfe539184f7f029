"""The table, the tests and the recommendation, on records whose right answer is known by construction."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.metrics import metric
from foreword.results.record import Answer, Costs, Record
from foreword.results.summary import Summary, as_json, summarise
from foreword.results.trivial import Trivial
from foreword.util.errors import ForewordError

METRIC = "exact_match"


def record_of(
    label: str,
    hits: list[bool],
    seed: int = 0,
    *,
    train: float = 0.0,
    each: float = 0.01,
    same: bool = False,
    order: list[int] | None = None,
) -> Record:
    """A record whose exact match is the share of hits. order: in which order its answers are kept."""
    answers = []
    for n in order or range(len(hits)):
        output = "yes" if hits[n] else "no"
        rows = metric(METRIC).statistics([output], [("yes",)])
        own = float(metric(METRIC).per_example(rows)[0])
        answers.append(
            Answer(f"q{n}", f"input {n}", output, ("yes",), {METRIC: own}, {METRIC: list(map(float, rows[0]))})
        )
    score = 100.0 * sum(hits) / len(hits) if hits else 0.0
    costs = Costs(10 if train else 0, train, 5.0, each, 1e9 * train, 1e9 * each)
    return Record(
        key=f"{label}-{seed}", label=label, method=label, task="toy", backbone="tiny", seed=seed, deterministic=same,
        primary=METRIC, scores={METRIC: score}, costs=costs, answers=tuple(answers),
        spec={}, fingerprints={"task": "a"}, versions={"foreword": "0.1.0"}, hardware="1 core", metric_signatures={METRIC: "s"},
    )  # fmt: skip


def hits(right: int, total: int = 200) -> list[bool]:
    return [n < right for n in range(total)]


def summary_of(*records: Record, answers: int = 1000) -> Summary:
    return summarise(records, metric, answers=answers)


def test_a_row_holds_what_the_records_hold() -> None:
    records = [record_of("pt", hits(right), seed, train=60.0 + seed) for seed, right in ((2, 90), (0, 100), (1, 95))]
    summary = summary_of(record_of("zero", hits(20), same=True), *records)
    assert [row.method for row in summary.rows] == ["zero", "pt"]
    row = summary.row("pt")
    assert row.seeds == [0, 1, 2]
    assert row.scores_by_seed == pytest.approx([50.0, 47.5, 45.0])
    assert row.mean == pytest.approx(47.5)
    assert row.std == pytest.approx(statistics.stdev([50.0, 47.5, 45.0]))
    assert row.ci95[0] < row.mean < row.ci95[1]
    assert row.train_seconds == pytest.approx(61.0)
    assert row.cost_seconds(100) == pytest.approx(62.0)
    assert (row.trainable_parameters, row.examples, row.deterministic) == (10, 200, False)
    zero = summary.row("zero")
    assert (zero.std, zero.deterministic, zero.seeds) == (0.0, True, [0])


def test_full_fine_tuning_stands_beside_and_is_never_recommended() -> None:
    two = [
        record_of(label, hits(right), s, train=t)
        for label, right, t in (("pt", 120, 60.0), ("full-ft", 180, 90.0))
        for s in (0, 1)
    ]
    records = [record_of("zero", hits(20), same=True), *two]
    summary = summary_of(*records)
    assert summary.recommendation.method == "pt" and summary.row("full-ft").mean == pytest.approx(90.0)
    assert summary.recommendation.reason.startswith(
        "Use pt: its exact match of 60.0 is the highest, and the one other method"
    )
    assert summary.recommendation.reason.endswith(
        "Beside them stands full-ft (90.0): it changes the model and nothing of it is kept."
    )
    assert {comparison.method: comparison.significantly_worse for comparison in summary.comparisons} == {
        "zero": True,
        "pt": True,
    }
    assert summary_of(records[3]).recommendation.method == "full-ft", "alone it is all there is"


def test_silence_is_no_proof_the_highest_is_taken_and_a_tie_is_called_one() -> None:
    first = [n % 2 == 0 for n in range(200)]
    second = [n % 2 == 1 or n < 6 for n in range(200)]
    summary = summary_of(
        *(record_of("pt", first, s, train=60) for s in (0, 1)),
        *(record_of("ipt", second, s, train=150) for s in (0, 1)),
    )
    assert summary.recommendation.method == "ipt"
    assert summary.recommendation.tied == ("pt",)
    reason = summary.recommendation.reason
    for part in (
        "Use ipt: its exact match of 51.5 is the highest, but it is a tie: the test does not tell it from pt (above it by 1.5, "
        "95% interval -",
        "Undecided: these 200 test examples tell a difference of 19.",
        "about 20,000 more test examples would tell a difference of 2.0.",
        "The probability that ipt is the best of the 2 is 5",
    ):
        assert part in reason, reason


def test_a_cheaper_method_is_taken_when_it_is_shown_to_lie_within_the_margin() -> None:
    best = [n < 1000 for n in range(2000)]
    near = [5 < n < 1000 for n in range(2000)]  # six right answers fewer: 0.3 points
    records = [record_of("pt", near, same=True, train=60.0), record_of("ipt", best, same=True, train=150.0)]
    summary = summary_of(*records)
    assert summary.best.method == "ipt"
    assert summary.recommendation.method == "pt" and summary.recommendation.margin == 2.0
    assert summary.recommendation.reason.startswith(
        "Use pt: exact match 49.7. ipt is highest at 50.0, but pt is shown to lie within 2.0 of it (0.3, 95% interval 0.0"
    )
    assert summary.recommendation.reason.endswith(
        "pt answers 1,000 inputs, training included, in 1 min 10 s against 2 min 40 s."
    )
    strict = summarise(records, metric, margin=0.2)
    assert strict.recommendation.method == "ipt"


def test_the_margin_is_the_smaller_of_two_points_and_a_twentieth_of_the_score() -> None:
    low = summary_of(record_of("a", hits(20, 200), same=True), record_of("b", hits(2, 200), same=True))
    assert low.recommendation.margin == pytest.approx(0.5)


def test_the_best_is_taken_when_every_cheaper_one_is_significantly_worse() -> None:
    summary = summary_of(
        record_of("zero", hits(10), same=True),
        *(record_of("pt", hits(150), s, train=60) for s in (0, 1)),
        record_of("few", hits(60), same=True),
    )
    assert summary.recommendation.method == "pt"
    assert all(comparison.significantly_worse for comparison in summary.comparisons)
    assert "both other methods are significantly worse (the nearest, few, by 45.0" in summary.recommendation.reason
    comparison = next(c for c in summary.comparisons if c.method == "few")
    assert comparison.difference == pytest.approx(45.0)
    assert comparison.ci95[0] < 45.0 < comparison.ci95[1]
    assert comparison.p <= comparison.p_adjusted < 0.05


def test_many_comparisons_need_more_than_one_needs() -> None:
    best = record_of(
        "pt", hits(100), same=True, train=60.0
    )  # six examples more, all one way: p = 2 / 2**6 by sign flips
    first, second = record_of("a", hits(94), same=True), record_of("b", [5 < n < 100 for n in range(200)], same=True)
    alone = summary_of(best, first).comparisons[0]
    assert alone.p == pytest.approx(1 / 32, rel=0.1)
    assert alone.significantly_worse
    among = summary_of(best, first, second).comparisons[0]
    assert among.p_adjusted == pytest.approx(3 * alone.p, rel=1e-6)  # three pairs of three methods
    assert not among.significantly_worse


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=4, max_size=8))
def test_p_and_interval_never_contradict_each_other(rows: list[list[bool]]) -> None:
    summary = summary_of(
        *(record_of(f"m{n // 2}", row, n % 2, train=1.0) for n, row in enumerate(rows[: len(rows) // 2 * 2]))
    )
    for comparison in summary.comparisons:
        excludes_zero = comparison.ci95[0] > 0 or comparison.ci95[1] < 0
        assert excludes_zero == (comparison.p_adjusted < 0.05) == comparison.significantly_worse
    text = summary.recommendation.reason
    assert "not significant" not in text


def test_one_seed_never_makes_a_method_better() -> None:
    best, other = record_of("pt", hits(150), train=60.0), record_of("zero", hits(20), same=True)
    summary = summary_of(best, other)
    (comparison,) = summary.comparisons
    assert comparison.p_adjusted < 0.001 and comparison.of_prompts and not comparison.significantly_worse
    reason = summary.recommendation.reason
    assert "the one other method, zero, scored significantly less with these prompts (by 65.0" in reason
    assert (
        "pt ran with one seed: what is said of it holds for that prompt, not for the method; give more seeds." in reason
    )
    assert "is significantly worse" not in reason
    two = summary_of(best, record_of("pt", hits(148), 1, train=60.0), other)
    assert two.comparisons[0].significantly_worse and not two.comparisons[0].of_prompts


def test_seeds_that_spread_widely_are_no_proof() -> None:
    seeds = [record_of("pt", hits(right), seed, train=60.0) for seed, right in enumerate((60, 100, 140))]
    summary = summary_of(*seeds, record_of("zero", hits(70), same=True))
    assert not summary.comparisons[0].significantly_worse, "the examples alone would say so: p < 0.001"
    assert "the seeds spread too widely for more examples to tell a difference" in summary.recommendation.reason


TRIVIAL = [Trivial("always 'no'", {f"q{n}": np.array([float(n % 2), 1.0]) for n in range(200)})]


def test_nothing_is_marked_that_is_not_above_the_trivial_answer() -> None:
    low, lower = record_of("icl", hits(90), same=True), record_of("zero", hits(60), same=True)
    summary = summarise([low, lower], metric, trivial=TRIVIAL)
    assert summary.recommendation.method == "" and summary.recommendation.headline == "No method works here"
    assert summary.recommendation.reason.startswith(
        "No method works here: the highest exact match, 45.0 of icl, is not above always answering 'no' (50.0). Look at"
    )
    assert [(baseline.name, baseline.score) for baseline in summary.baselines] == [("always 'no'", pytest.approx(50.0))]
    document = as_json(summary, "r")
    assert document["recommended"] is None and document["baselines"][0]["score"] == pytest.approx(50.0)


def test_barely_above_the_trivial_answer_is_said_and_what_is_below_is_never_taken() -> None:
    best, below = record_of("icl", hits(104), same=True, each=1.0), record_of("zero", hits(99), same=True)
    summary = summarise([best, below], metric, trivial=TRIVIAL, margin=50.0)
    assert summary.recommendation.method == "icl", (
        "zero is cheaper and within the margin, but no better than one answer"
    )
    assert (
        "It is not shown to be above always answering 'no' (50.0): 2.0, 95% interval -" in summary.recommendation.reason
    )


def test_a_method_that_always_says_the_same_is_named() -> None:
    summary = summary_of(record_of("zero", hits(200), same=True), record_of("icl", hits(50), same=True))
    assert "zero always answers 'yes'." in summary.notes and not any(
        note.startswith("icl always") for note in summary.notes
    )


def test_the_number_of_answers_decides_what_is_cheap() -> None:
    slow = record_of("icl", hits(100), same=True, each=1.0)
    fast = record_of("few", hits(100), same=True, each=0.1, train=50.0)
    assert summary_of(slow, fast, answers=10).recommendation.method == "icl"
    assert summary_of(slow, fast, answers=1000).recommendation.method == "few"


def test_best_and_cheapest() -> None:
    summary = summary_of(record_of("zero", hits(150), same=True), record_of("icl", hits(20), same=True, each=1.0))
    assert summary.recommendation.method == "zero"
    assert summary.recommendation.reason.startswith(
        "Use zero: its exact match of 75.0 is the highest, and the one other method, icl, is significantly worse (by 65.0"
    )
    assert "zero answers 1,000 inputs, training included, in 10.0 s." in summary.recommendation.reason
    assert "best of the 2 is over 99%" in summary.recommendation.reason


def test_equal_scores_go_to_the_cheaper_and_equal_costs_to_the_first() -> None:
    cheap, dear = record_of("a", hits(90), same=True), record_of("b", hits(90), same=True, each=0.5)
    assert summary_of(dear, cheap).recommendation.method == "a"
    assert summary_of(record_of("b", hits(90), same=True), cheap).recommendation.method == "b"
    assert summary_of(record_of("b", hits(90), same=True), cheap).comparisons[0].p_adjusted == 1.0


def test_one_method_alone() -> None:
    summary = summary_of(record_of("icl", hits(30), same=True))
    assert summary.comparisons == ()
    assert summary.recommendation.reason == "Use icl: exact match 15.0. It is the only method that was compared."


@pytest.mark.parametrize("labels", [("zero",), ("zero", "icl")])
def test_nothing_works_is_said(labels: tuple[str, ...]) -> None:
    summary = summary_of(*(record_of(label, hits(0), same=True) for label in labels))
    assert summary.recommendation.method == ""
    assert ("does not work here" if len(labels) == 1 else "No method works here") in summary.recommendation.reason
    assert "Use " not in summary.recommendation.reason


def test_one_seed_and_few_examples_are_said() -> None:
    summary = summary_of(record_of("pt", hits(9, 12), train=3.0), record_of("zero", hits(0, 12), same=True))
    reason = summary.recommendation.reason
    assert "This rests on 12 examples only" in reason
    assert (
        "pt ran with one seed: what is said of it holds for that prompt, not for the method; give more seeds." in reason
    )
    assert summary.row("pt").std == 0.0
    enough = summary_of(
        *(record_of("pt", hits(90), s, train=3.0) for s in (0, 1)), record_of("zero", hits(0), same=True)
    )
    assert "one seed" not in enough.recommendation.reason
    assert "This rests" not in enough.recommendation.reason


def test_answers_are_aligned_by_id_not_by_position() -> None:
    right, other = hits(20, 60), hits(26, 60)
    plain = summary_of(record_of("a", right, same=True), record_of("b", other, same=True, each=0.2))
    turned = record_of("b", other, same=True, each=0.2, order=list(reversed(range(60))))
    assert summary_of(record_of("a", right, same=True), turned) == plain


BAD = {
    "no finished trial": [],
    "answers 199 examples and they are not the 200": [record_of("a", hits(5)), record_of("b", hits(5, 199))],
    "more than one task (toy, other)": [record_of("a", hits(5)), replace(record_of("b", hits(5)), task="other")],
    "more than one backbone": [record_of("a", hits(5)), replace(record_of("b", hits(5)), backbone="other")],
    "more than one deciding metric": [record_of("a", hits(5)), replace(record_of("b", hits(5)), primary="bleu")],
    "two records of 'a' with seed 0": [record_of("a", hits(5)), record_of("a", hits(6))],
    "answers one example twice": [replace(record_of("a", hits(5)), answers=record_of("a", hits(5)).answers * 2)],
    "says 2.5000 but its answers give 5.0000": [replace(record_of("a", hits(10)), scores={METRIC: 2.5})],
    "holds no answers": [record_of("a", [])],
    "lacks the per-example numbers": [
        replace(
            record := record_of("a", hits(5)),
            answers=tuple(replace(answer, statistics={}) for answer in record.answers),
        )
    ],
}


@pytest.mark.parametrize("sentence", BAD)
def test_records_that_cannot_stand_together_are_refused(sentence: str) -> None:
    with pytest.raises(ForewordError) as refusal:
        summary_of(*BAD[sentence])
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_what_differs_between_records_is_noted() -> None:
    zero = replace(record_of("zero", hits(5), same=True), notes=("checked by hand.",))
    pt = replace(
        record_of("pt", hits(9), train=2.0), hardware="a GPU", dropped_demonstrations=4, versions={"foreword": "0.2.0"}
    )
    summary = summary_of(zero, replace(pt, fingerprints={"task": "a", "prompt": "b"}))
    assert summary.hardware == "1 core; a GPU"
    assert summary.versions == {"foreword": "0.1.0; 0.2.0"}
    assert summary.row("pt").dropped_demonstrations == 4
    notes = " ".join(summary.notes)
    for part in (
        "different machines",
        "different library versions",
        "pt: 4 demonstrations",
        "zero: checked by hand.",
        "one seed",
    ):
        assert part in notes


def test_a_fingerprint_that_differs_is_not_shown_as_one() -> None:
    first, second = record_of("a", hits(5)), replace(record_of("b", hits(5)), fingerprints={"task": "z"})
    assert summary_of(first, second).fingerprints == {}


def test_json_is_plain_and_whole() -> None:
    summary = summary_of(
        record_of("zero", hits(10), same=True), *(record_of("pt", hits(150), s, train=60) for s in (0, 1))
    )
    document = as_json(summary, "out/report.html")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    expected = {"method", "metric", "mean", "std", "ci95", "seeds", "trainable_parameters", "train_seconds", "prefix_tokens",
              "seconds_per_answer", "deterministic", "dropped_demonstrations", "examples", "scores_by_seed"}  # fmt: skip
    assert all(expected <= row.keys() for row in document["rows"])
    assert document["recommended"] == "pt"
    assert document["report"] == "out/report.html"
    assert {"reason", "comparisons", "task", "backbone", "versions", "hardware", "notes"} <= document.keys()


def test_json_has_no_number_that_json_does_not_know() -> None:
    summary = summary_of(record_of("zero", hits(10), same=True))
    broken = replace(summary, rows=(replace(summary.rows[0], train_seconds=math.inf, ci95=(math.nan, 1.0)),))
    row = as_json(broken, "r")["rows"][0]
    assert row["train_seconds"] is None
    assert row["ci95"] == [None, 1.0]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_the_choice_is_the_best_or_shown_to_be_as_good_and_cheaper(
    methods: list[tuple[int, float, float]], runs: int
) -> None:
    records = [
        record_of(f"m{n}", hits(right, 30), seed, train=train, each=each)
        for n, (right, train, each) in enumerate(methods)
        for seed in range(runs)
    ]
    summary = summary_of(*records)
    json.dumps(as_json(summary, "r"), allow_nan=False)
    if summary.best.mean == 0.0:
        assert summary.recommendation.method == ""
        return
    chosen, contrast = (
        summary.row(summary.recommendation.method),
        {comparison.method: comparison for comparison in summary.comparisons},
    )
    assert summary.best.mean == max(row.mean for row in summary.rows)
    if chosen is not summary.best:
        assert chosen.cost_flop(1000) < summary.best.cost_flop(1000)
        assert contrast[chosen.method].ci95[1] <= summary.recommendation.margin
