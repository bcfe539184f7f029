"""The table, the tests and the recommendation, on records whose right answer is known by construction."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreword.errors import ForewordError
from foreword.metrics import metric
from foreword.record import Answer, Costs, Record
from foreword.study.summary import Summary, as_json, summarise

METRIC = "exact_match"


def made(
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
    return Record(
        key=f"{label}-{seed}", label=label, method=label, task="toy", backbone="tiny", seed=seed, deterministic=same,
        primary=METRIC, scores={METRIC: score}, costs=Costs(10 if train else 0, train, 5.0, each), answers=tuple(answers),
        spec={}, fingerprints={"task": "a"}, versions={"foreword": "0.1.0"}, hardware="1 core", metric_signatures={METRIC: "s"},
    )  # fmt: skip


def hits(right: int, total: int = 200) -> list[bool]:
    return [n < right for n in range(total)]


def summary(*records: Record, answers: int = 1000) -> Summary:
    return summarise(records, metric, answers=answers)


def test_a_row_holds_what_the_records_hold() -> None:
    records = [made("pt", hits(right), seed, train=60.0 + seed) for seed, right in ((2, 90), (0, 100), (1, 95))]
    found = summary(made("zero", hits(20), same=True), *records)
    assert [row.method for row in found.rows] == ["zero", "pt"]
    row = found.row("pt")
    assert row.seeds == [0, 1, 2]
    assert row.scores_by_seed == pytest.approx([50.0, 47.5, 45.0])
    assert row.mean == pytest.approx(47.5)
    assert row.std == pytest.approx(statistics.stdev([50.0, 47.5, 45.0]))
    assert row.ci95[0] < row.mean < row.ci95[1]
    assert row.train_seconds == pytest.approx(61.0)
    assert row.cost_seconds(100) == pytest.approx(62.0)
    assert (row.trainable_parameters, row.examples, row.deterministic) == (10, 200, False)
    zero = found.row("zero")
    assert (zero.std, zero.deterministic, zero.seeds) == (0.0, True, [0])


def test_full_fine_tuning_stands_beside_and_is_never_recommended() -> None:
    records = [
        made("zero", hits(20), same=True),
        made("pt", hits(120), train=60.0),
        made("full-ft", hits(180), train=90.0),
    ]
    found = summary(*records)
    assert found.recommendation.method == "pt" and found.row("full-ft").mean == pytest.approx(90.0)
    assert found.recommendation.reason.startswith(
        "Use pt: its exact match of 60.0 is the highest, and the one cheaper method"
    )
    assert found.recommendation.reason.endswith(
        "Beside them stands full-ft (90.0): it changes the model and nothing of it is kept."
    )
    assert {one.method: one.significantly_worse for one in found.comparisons} == {"zero": True, "pt": True}
    assert summary(records[2]).recommendation.method == "full-ft", "alone it is all there is"


def test_a_cheaper_method_is_taken_when_the_difference_is_chance() -> None:
    first = [n % 2 == 0 for n in range(200)]
    second = [n % 2 == 1 or n < 6 for n in range(200)]
    found = summary(
        *(made("pt", first, s, train=60) for s in (0, 1)), *(made("ipt", second, s, train=150) for s in (0, 1))
    )
    assert found.best.method == "ipt"
    assert found.recommendation.method == "pt"
    reason = found.recommendation.reason
    for part in ("Use pt: exact match 50.0.", "ipt is highest at 51.5", "(1.5, 95% interval -", "not significant"):
        assert part in reason
    assert "pt answers 1,000 inputs, training included, in 1 min 10 s against 2 min 40 s." in reason


def test_the_best_is_taken_when_every_cheaper_one_is_significantly_worse() -> None:
    found = summary(
        made("zero", hits(10), same=True),
        *(made("pt", hits(150), s, train=60) for s in (0, 1)),
        made("few", hits(60), same=True),
    )
    assert found.recommendation.method == "pt"
    assert all(one.significantly_worse for one in found.comparisons)
    assert "both cheaper methods are significantly worse (the nearest, few, by 45.0" in found.recommendation.reason
    one = next(c for c in found.comparisons if c.method == "few")
    assert one.difference == pytest.approx(45.0)
    assert one.ci95[0] < 45.0 < one.ci95[1]
    assert one.p <= one.p_adjusted < 0.05


def test_many_comparisons_need_more_than_one_needs() -> None:
    best = made("pt", hits(100), same=True, train=60.0)  # six examples more, all one way: p = 2 / 2**6
    one, two = made("a", hits(94), same=True), made("b", [5 < n < 100 for n in range(200)], same=True)
    alone = summary(best, one).comparisons[0]
    assert alone.p == pytest.approx(1 / 32)
    assert alone.significantly_worse
    among = summary(best, one, two).comparisons[0]
    assert among.p_adjusted == pytest.approx(1 / 16)
    assert not among.significantly_worse


def test_a_small_p_does_not_count_when_the_interval_holds_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    records = made("pt", hits(100), same=True, train=60.0), made("a", hits(94), same=True)
    monkeypatch.setattr("foreword.stats.bootstrap_difference", lambda *a, **b: (-0.1, 6.0))
    assert not summary(*records).comparisons[0].significantly_worse


def test_the_number_of_answers_decides_what_is_cheap() -> None:
    slow = made("icl", hits(100), same=True, each=1.0)
    fast = made("few", hits(100), same=True, each=0.1, train=50.0)
    assert summary(slow, fast, answers=10).recommendation.method == "icl"
    assert summary(slow, fast, answers=1000).recommendation.method == "few"


def test_best_and_cheapest() -> None:
    found = summary(made("zero", hits(150), same=True), made("icl", hits(20), same=True, each=1.0))
    assert found.recommendation.method == "zero"
    assert "is the highest, and no method answers 1,000 inputs in less time" in found.recommendation.reason


def test_equal_scores_go_to_the_cheaper_and_equal_costs_to_the_first() -> None:
    cheap, dear = made("a", hits(90), same=True), made("b", hits(90), same=True, each=0.5)
    assert summary(dear, cheap).recommendation.method == "a"
    assert summary(made("b", hits(90), same=True), cheap).recommendation.method == "b"
    assert summary(made("b", hits(90), same=True), cheap).comparisons[0].p_adjusted == 1.0


def test_one_method_alone() -> None:
    found = summary(made("icl", hits(30), same=True))
    assert found.comparisons == ()
    assert found.recommendation.reason == "Use icl: exact match 15.0. It is the only method that was compared."


@pytest.mark.parametrize("labels", [("zero",), ("zero", "icl")])
def test_nothing_works_is_said(labels: tuple[str, ...]) -> None:
    found = summary(*(made(label, hits(0), same=True) for label in labels))
    assert found.recommendation.method == "zero"
    assert ("does not work here" if len(labels) == 1 else "No method works here") in found.recommendation.reason
    assert "Use " not in found.recommendation.reason


def test_one_seed_and_few_examples_are_said() -> None:
    found = summary(made("pt", hits(9, 12), train=3.0), made("zero", hits(0, 12), same=True))
    reason = found.recommendation.reason
    assert "This rests on 12 examples only" in reason
    assert "The spread over seeds is unknown: pt ran with one seed." in reason
    assert found.row("pt").std == 0.0
    enough = summary(*(made("pt", hits(90), s, train=3.0) for s in (0, 1)), made("zero", hits(0), same=True))
    assert "spread" not in enough.recommendation.reason
    assert "This rests" not in enough.recommendation.reason


def test_answers_are_aligned_by_id_not_by_position() -> None:
    right, other = hits(20, 60), hits(26, 60)
    plain = summary(made("a", right, same=True), made("b", other, same=True, each=0.2))
    turned = made("b", other, same=True, each=0.2, order=list(reversed(range(60))))
    assert summary(made("a", right, same=True), turned) == plain


BAD = {
    "no finished trial": [],
    "answers 199 examples and they are not the 200": [made("a", hits(5)), made("b", hits(5, 199))],
    "more than one task (toy, other)": [made("a", hits(5)), replace(made("b", hits(5)), task="other")],
    "more than one backbone": [made("a", hits(5)), replace(made("b", hits(5)), backbone="other")],
    "more than one deciding metric": [made("a", hits(5)), replace(made("b", hits(5)), primary="bleu")],
    "two records of 'a' with seed 0": [made("a", hits(5)), made("a", hits(6))],
    "answers one example twice": [replace(made("a", hits(5)), answers=made("a", hits(5)).answers * 2)],
    "says 2.5000 but its answers give 5.0000": [replace(made("a", hits(10)), scores={METRIC: 2.5})],
    "holds no answers": [made("a", [])],
    "lacks the per-example numbers": [
        replace(one := made("a", hits(5)), answers=tuple(replace(answer, statistics={}) for answer in one.answers))
    ],
}


@pytest.mark.parametrize("sentence", BAD)
def test_records_that_cannot_stand_together_are_refused(sentence: str) -> None:
    with pytest.raises(ForewordError) as refusal:
        summary(*BAD[sentence])
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_what_differs_between_records_is_noted() -> None:
    one = replace(made("zero", hits(5), same=True), notes=("checked by hand.",))
    two = replace(
        made("pt", hits(9), train=2.0), hardware="a GPU", dropped_demonstrations=4, versions={"foreword": "0.2.0"}
    )
    found = summary(one, replace(two, fingerprints={"task": "a", "prompt": "b"}))
    assert found.hardware == "1 core; a GPU"
    assert found.versions == {"foreword": "0.1.0; 0.2.0"}
    assert found.row("pt").dropped_demonstrations == 4
    notes = " ".join(found.notes)
    for part in (
        "different machines",
        "different library versions",
        "pt: 4 demonstrations",
        "zero: checked by hand.",
        "one seed",
    ):
        assert part in notes


def test_a_fingerprint_that_differs_is_not_shown_as_one() -> None:
    one, two = made("a", hits(5)), replace(made("b", hits(5)), fingerprints={"task": "z"})
    assert summary(one, two).fingerprints == {}


def test_json_is_plain_and_whole() -> None:
    found = summary(made("zero", hits(10), same=True), *(made("pt", hits(150), s, train=60) for s in (0, 1)))
    document = as_json(found, "out/report.html")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    wanted = {"method", "metric", "mean", "std", "ci95", "seeds", "trainable_parameters", "train_seconds", "prefix_tokens",
              "seconds_per_answer", "deterministic", "dropped_demonstrations", "examples", "scores_by_seed"}  # fmt: skip
    assert all(wanted <= row.keys() for row in document["rows"])
    assert document["recommended"] == "pt"
    assert document["report"] == "out/report.html"
    assert {"reason", "comparisons", "task", "backbone", "versions", "hardware", "notes"} <= document.keys()


def test_json_has_no_number_that_json_does_not_know() -> None:
    found = summary(made("zero", hits(10), same=True))
    broken = replace(found, rows=(replace(found.rows[0], train_seconds=math.inf, ci95=(math.nan, 1.0)),))
    row = as_json(broken, "r")["rows"][0]
    assert row["train_seconds"] is None
    assert row["ci95"] == [None, 1.0]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_the_choice_is_never_worse_and_nothing_fit_is_cheaper(
    methods: list[tuple[int, float, float]], runs: int
) -> None:
    records = [
        made(f"m{n}", hits(right, 30), seed, train=train, each=each)
        for n, (right, train, each) in enumerate(methods)
        for seed in range(runs)
    ]
    found = summary(*records)
    worse = {one.method for one in found.comparisons if one.significantly_worse}
    chosen = found.row(found.recommendation.method)
    assert chosen.method not in worse
    fit = [row for row in found.rows if row.method not in worse]
    assert chosen.cost_seconds(1000) == min(row.cost_seconds(1000) for row in fit)
    assert found.best.mean == max(row.mean for row in found.rows)
    json.dumps(as_json(found, "r"), allow_nan=False)
