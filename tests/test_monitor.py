"""The monitor: its tests against plain computations, its windows, its refusals, and a real server's log through the command line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

import entry
import watched
from foreword.monitor import MonitorSettings, Rule, monitored, windows_of
from foreword.monitor.against import against
from foreword.monitor.labelling import label_next
from foreword.monitor.observations import observations_of, read_log
from foreword.monitor.shift import categories, discrepancy, distributions, permutations_for
from foreword.monitor.windows import Reference, reference_of
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer
from foreword.results.stats.resampling import generator
from foreword.util.errors import ForewordError

LEVEL = 0.01


def plain_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """By its definition, in loops."""
    pooled = np.concatenate([a, b])
    squares = [float(((x - y) ** 2).sum()) for x, y in itertools.combinations(pooled, 2)]
    width = float(np.median(squares))

    def mean(xs: np.ndarray, ys: np.ndarray, same: bool) -> float:
        pairs = [(i, j) for i in range(len(xs)) for j in range(len(ys)) if not (same and i == j)]
        return float(np.mean([np.exp(-((xs[i] - ys[j]) ** 2).sum() / width) for i, j in pairs]))

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


# -- the tests ----------------------------------------------------------------------------------------------------------


def test_the_discrepancy_is_that_of_its_definition() -> None:
    rng = generator(0, "vectors")
    a, b = rng.normal(size=(9, 3)), rng.normal(size=(6, 3)) + 0.5
    observed, _ = discrepancy(a, b, level=LEVEL)
    assert observed == pytest.approx(plain_discrepancy(a, b), abs=1e-6)


def test_its_p_value_is_that_of_all_permutations() -> None:
    rng = generator(1, "vectors")
    a, b = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)) + 1.3
    pooled = np.concatenate([a, b])
    observed = plain_discrepancy(a, b)
    splits = list(itertools.combinations(range(9), 4))
    reached = [
        plain_discrepancy(np.delete(pooled, list(split), axis=0), pooled[list(split)]) >= observed - 1e-9
        for split in splits
    ]
    _, p = discrepancy(a, b, level=0.0005)
    assert p == pytest.approx(np.mean(reached), abs=0.02)


def test_a_shift_is_told_and_none_is_not() -> None:
    rng = generator(4, "vectors")
    reference = rng.normal(size=(200, 16))
    assert discrepancy(reference, rng.normal(size=(100, 16)), level=LEVEL)[1] > 0.05
    assert discrepancy(reference, rng.normal(size=(100, 16)) + 0.3, level=LEVEL)[1] <= 0.001
    same = np.zeros((30, 2))
    assert discrepancy(same, same, level=LEVEL)[1] == 1.0


def test_distributions_are_compared_as_scipy_compares_them() -> None:
    rng = generator(3, "numbers")
    a, b = rng.normal(size=80), rng.normal(size=40) + 0.7
    known = ks_2samp(a, b)
    assert distributions(a, b) == (pytest.approx(known.statistic), pytest.approx(known.pvalue))


def test_categories_are_compared_by_chi_squared_with_an_exact_p() -> None:
    a, b = ["x"] * 30 + ["y"] * 20 + ["z"] * 5, ["x"] * 10 + ["y"] * 20 + ["z"] * 2
    observed, _ = categories(a, b, level=LEVEL)
    table = [[30, 20, 5], [10, 20, 2]]
    assert observed == pytest.approx(chi2_contingency(table, correction=False).statistic)
    # With two categories the order of tables by chi-squared is that of the hypergeometric's own two tails: Fisher's, but for ties of sides.
    balanced = ["x"] * 12 + ["y"] * 8, ["x"] * 5 + ["y"] * 15
    _, p = categories(*balanced, level=0.0001)
    assert p == pytest.approx(fisher_exact([[12, 8], [5, 15]]).pvalue, abs=0.003)


def test_a_level_that_no_permutations_reach_is_refused() -> None:
    assert (permutations_for(0.05), permutations_for(0.0005)) == (999, 10_000)
    with pytest.raises(ForewordError, match="smaller --horizon"):
        permutations_for(1e-9)


# -- windows ------------------------------------------------------------------------------------------------------------


def observed(lines: list[dict]) -> list:
    return [observation for each in lines for observation in observations_of(each)]


def test_what_was_decided_of_a_window_stays_when_more_requests_come() -> None:
    observations = observed([*watched.usual(200), *watched.usual(200, 200, shift=0.6)])
    reference = reference_of(observed(watched.usual(150, seed="reference")))
    early, late = (windows_of(observations[:count], reference, Rule()) for count in (250, 400))
    assert early == late[:2] and len(late) == 4
    assert [window.alarm for window in late] == [False, False, True, True]


def test_p_values_are_adjusted_for_the_tests_of_a_window_and_for_the_horizon() -> None:
    observations = observed(watched.usual(100, shift=0.25))
    reference = reference_of(observed(watched.usual(150, seed="reference")))
    (window,) = windows_of(observations, reference, Rule(horizon=7))
    ps = sorted(test.p for test in window.tests)
    least = min(window.tests, key=lambda test: test.p)
    assert len(ps) >= 4 and least.adjusted == pytest.approx(min(1.0, ps[0] * len(ps) * 7))
    assert all(test.alarm == (test.adjusted <= 0.05) for test in window.tests)


def test_answers_of_the_baseline_are_not_tested_against_themselves() -> None:
    observations = observed(watched.usual(300))
    reference = reference_of(observations[:150])
    windows = windows_of(observations, reference, Rule(), baseline=150)
    sides = [{test.side for test in window.tests} for window in windows]
    assert sides == [{"inputs"}, {"inputs"}, {"inputs", "answers"}]


def test_a_feature_that_one_side_knows_too_little_of_is_left_out() -> None:
    lines = watched.usual(100)
    for line_ in lines[:90]:
        del line_["inputs"][0]["vector"]
    reference: Reference = reference_of(observed(watched.usual(100, seed="reference")))
    (window,) = windows_of(observed(lines), reference, Rule())
    tested = {test.feature for test in window.tests}
    assert "input vectors" not in tested and "input length" in tested and "tokens read" not in tested


@pytest.mark.parametrize("settings", [{"size": 5}, {"alpha": 0.0}, {"horizon": 0}])
def test_a_rule_that_cannot_hold_is_refused(settings: dict) -> None:
    with pytest.raises(ForewordError, match="give"):
        Rule(**settings)


# -- the log ------------------------------------------------------------------------------------------------------------


def test_a_log_is_read_with_its_parts_and_without_a_half_line(tmp_path: Path) -> None:
    path = watched.save_log(tmp_path / "requests.jsonl", watched.usual(3, 5))
    watched.save_log(tmp_path / "requests-20261101T000000000000.jsonl", watched.usual(5))
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"v": 1, "id": "half')
    refused = watched.line(99, status=400, id="refused-1")
    broken_off = watched.line(98, status=499)
    assert observed([refused, broken_off]) == []
    assert [observation.id for observation in read_log(path)] == [f"cmpl-{number}" for number in range(8)]


def test_each_input_of_a_request_is_an_observation() -> None:
    two = watched.line(1)
    two["inputs"] = two["inputs"] * 2
    two["choices"] = [two["choices"][0] | {"tokens": count} for count in (1, 2, 3, 4)]
    assert [(observation.id, observation.answer_tokens) for observation in observations_of(two)] == [
        ("cmpl-1#0", 1),
        ("cmpl-1#1", 3),
    ]


def run(tmp_path: Path, lines: list[dict], *more: object) -> entry.CommandResult:
    path = watched.save_log(tmp_path / "requests.jsonl", lines)
    earlier = watched.save_log(tmp_path / "earlier.jsonl", watched.usual(150, seed="reference"))
    return entry.foreword("monitor", path, "--against", earlier, *more)


def test_exit_codes_are_for_cron(tmp_path: Path) -> None:
    calm = run(tmp_path, watched.usual(200), "--json")
    assert (calm.code, calm.json["alarm"], len(calm.json["windows"])) == (0, False, 2)
    shifted = [*watched.usual(100), *watched.usual(100, 100, shift=0.8), *watched.usual(100, 200)]
    ran = run(tmp_path, shifted, "--json", "--out", tmp_path / "page.html")
    assert (ran.code, ran.json["alarm"]) == (3, True)
    assert ran.json["alarms"][0].startswith("Requests 101 to 200: inputs are unlike the reference by input vectors")
    assert run(tmp_path, shifted, "--last", "1").code == 0
    assert run(tmp_path, shifted[:200], "--last", "1").code == 3
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "NaN" not in page and page.count("<svg") >= 4


def test_truth_is_joined_when_it_comes(tmp_path: Path) -> None:
    lines = watched.usual(200)
    for number, line_ in enumerate(lines):
        line_["output_texts"] = ["right" if number < 100 or number % 2 else "wrong"]
    rows = [{"id": f"cmpl-{number}", "target": "right"} for number in range(20, 200)] + [{"id": "else", "target": "x"}]
    truth = entry.save_rows(tmp_path / "truth.jsonl", rows)
    ran = run(tmp_path, lines, "--truth", truth, "--json")
    first, second = ran.json["scores"]
    assert (first["count"], first["score"], second["count"], second["score"]) == (80, 100.0, 100, 50.0)
    assert second["low"] < 50.0 < second["high"] < 65.0 and ran.code == 0
    assert any("1 ids" in note for note in ran.json["notes"])
    strict = run(tmp_path, lines, "--truth", truth, "--min-score", "90", "--json")
    assert strict.code == 3 and "below 90" in strict.json["alarms"][0] and len(strict.json["alarms"]) == 1
    scores = entry.save_rows(tmp_path / "scores.jsonl", [{"id": f"cmpl-{n}", "score": 40 + n % 2} for n in range(100)])
    assert run(tmp_path, lines, "--truth", scores, "--json").json["scores"][0]["score"] == pytest.approx(40.5)


def test_the_newest_whole_window_alarms_beside_truth_of_requests_behind_it(tmp_path: Path) -> None:
    """`--last 1` looked at the 50 requests behind the last whole window alone, of which nothing is tested: the alarm was silent."""
    lines = [*watched.usual(100), *watched.usual(150, 100, shift=0.8)]
    assert run(tmp_path, lines, "--last", "1").code == 3
    rows = [{"id": f"cmpl-{number}", "score": number % 2} for number in range(250)]
    truth = ("--truth", entry.save_rows(tmp_path / "truth.jsonl", rows))
    ran = run(tmp_path, lines, "--last", "1", *truth, "--json")
    assert ran.code == 3 and all(alarm.startswith("Requests 101 to 200: inputs ") for alarm in ran.json["alarms"][:1])
    low = run(tmp_path, lines, "--last", "1", *truth, "--min-score", "90", "--json").json["alarms"]
    assert [alarm.partition(":")[0] for alarm in low if "below 90" in alarm] == ["Requests 101 to 200"]


def test_the_number_of_a_choice_is_read_by_the_version_that_answered(tmp_path: Path) -> None:
    """The other version has the same choices in another order: every right answer was scored as wrong."""
    registry, choices = Registry(tmp_path / "store"), ("yes", "no")
    data = str(entry.save_rows(tmp_path / "data.jsonl", entry.rows(30, choices=choices)))
    for order in (choices, choices[::-1]):
        registry.add("dart", writer(NewVersion(method="icl:bm25:2", demonstrations=data, choices=order)))
    lines = watched.usual(100, version=2, digest=registry.resolve("dart@2")[1].digest)
    for line_ in lines:
        line_["choices"][0]["choice"] = 1  # yes, as version 2 counts
    log = watched.save_log(tmp_path / "log.jsonl", lines)
    rows = [{"id": f"cmpl-{number}", "target": "yes"} for number in range(100)]
    argv = ("monitor", log, "--store", registry.folder, "--truth", entry.save_rows(tmp_path / "truth.jsonl", rows))
    ran = entry.foreword(*argv, "--against", "dart@2", "--json")
    assert ran.json["scores"][0]["score"] == 100.0
    entry.refused(
        *argv, "--against", "dart@1", "--prompt", "dart", says=("number of the choice", "--against dart@2", "`answer`")
    )
    entry.refused(*argv, "--against", data, "--prompt", "dart", says=("number of the choice", "--against dart@2"))


def test_what_to_label_next_is_the_most_unlike_and_the_least_certain() -> None:
    lines = watched.usual(60)
    lines[7]["inputs"][0]["vector"] = [9.0] * 4
    lines[11]["choices"][0]["logprob"] = -99.0
    lines[13]["inputs"][0]["vector"] = [8.0] * 4
    reference = reference_of(observed(watched.usual(100, seed="reference")))
    observations = observed(lines)
    assert [(choice.id, choice.why) for choice in label_next(observations, reference, 3)] == [
        ("cmpl-7", "unlike"),
        ("cmpl-11", "uncertain"),
        ("cmpl-13", "unlike"),
    ]
    assert label_next(observations, reference, 1, known={"cmpl-7"})[0].id == "cmpl-13"
    assert len(label_next(observations, reference, 100)) == 60


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("none.jsonl", "--against", "earlier.jsonl"), ("no log at none.jsonl", "foreword serve --log")),
        (("requests.jsonl", "--against", "nothing"), ("neither a prompt's folder", "--store")),
        (("requests.jsonl", "--against", "few.jsonl"), ("3 examples", "20 or more")),
        (("data.jsonl", "--against", "earlier.jsonl"), ("Line 1 of data.jsonl", "no line of a request log")),
        (("two.jsonl", "--against", "data.jsonl"), ("dart (20), other (5)", "--prompt")),
        (
            ("two.jsonl", "--against", "data.jsonl", "--prompt", "darts"),
            ("no answer of 'darts'", "did you mean 'dart'"),
        ),
        (("two.jsonl", "--against", "data.jsonl", "--prompt", "dart@7"), ("no answer of dart@7", "it has dart@1")),
        (("requests.jsonl", "--against", "earlier.jsonl", "--truth", "data.jsonl"), ("joined by `id`",)),
        (("requests.jsonl", "--against", "earlier.jsonl", "--truth", "alien.jsonl"), ("None of the 1 ids",)),
        (
            ("requests.jsonl", "--against", "earlier.jsonl", "--truth", "truth.jsonl"),
            ("log keeps no answers", "--log-content"),
        ),
        (("requests.jsonl", "--against", "earlier.jsonl", "--min-score", "3"), ("no truth", "--truth FILE")),
        (("requests.jsonl", "--against", "earlier.jsonl", "--metric", "bleu"), ("bleu", "no truth", "--truth FILE")),
        (("requests.jsonl", "--against", "earlier.jsonl", "--encoder", "backbone:mean"), ("give --model",)),
        (("requests.jsonl", "--against", "earlier.jsonl", "--window", "3"), ("give 20 or more",)),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], says: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    watched.save_log(tmp_path / "requests.jsonl", watched.usual(30))
    watched.save_log(tmp_path / "earlier.jsonl", watched.usual(30, seed="reference"))
    watched.save_log(tmp_path / "two.jsonl", [*watched.usual(20), *watched.usual(5, 20, prompt="other", version=2)])
    entry.save_rows(tmp_path / "data.jsonl", entry.rows(30))
    entry.save_rows(tmp_path / "few.jsonl", entry.rows(3))
    entry.save_rows(tmp_path / "alien.jsonl", [{"id": "x", "target": "y"}])
    entry.save_rows(tmp_path / "truth.jsonl", [{"id": "cmpl-1", "target": "y"}])
    entry.refused("monitor", *argv, says=says)


def test_data_with_columns_of_their_own_are_compared_with(tmp_path: Path) -> None:
    """They were refused with a hint of flags that the verb did not have; a question shows several columns."""
    rows = [{"text": row["input"], "label": "", "title": f"t {n}"} for n, row in enumerate(entry.rows(30))]
    data = entry.save_rows(tmp_path / "data.jsonl", rows)
    lines = [line | {"vectors": ""} for line in watched.usual(150)]
    argv = ("monitor", watched.save_log(tmp_path / "requests.jsonl", lines), "--against")
    entry.refused(*argv, data, says=("give --input-column text --target-column label",))
    flags = ("--input-column", "text", "--target-column", "label", "--question", "{title}\\n{input}")
    result = entry.foreword(*argv, data, *flags, "--json")
    assert result.code in (0, 3), result.err
    compared = against(str(data), columns={"input": "text"}, question="{title}\n{input}").values["input length"]
    assert compared == [len(f"{row['title']}\n{row['text']}") for row in rows]
    says = ("Columns or a question are given", "requests.jsonl is none; leave them out")
    entry.refused(*argv, tmp_path / "requests.jsonl", *flags, says=says)


def test_vectors_of_another_model_are_not_compared(tmp_path: Path) -> None:
    other = watched.save_log(tmp_path / "other.jsonl", watched.usual(100, seed="reference", vectors="else"))
    path = watched.save_log(tmp_path / "requests.jsonl", watched.usual(100))
    result = monitored(MonitorSettings(path, against(str(other))))
    assert "input vectors" not in {test.feature for window in result.windows for test in window.tests}
    assert any("of another model" in note for note in result.notes)
    assert json.dumps(result.as_dict(), allow_nan=False)


def _changed(number: int, kind: str) -> dict[str, Any]:
    line = watched.line(number)
    if kind == "vectors":
        line["inputs"][0]["vector"] = [0.5] * (3 + number % 2)
    elif kind == "no number":
        line["inputs"][0]["vector"][0] = float("nan")
    elif kind == "finish reason":
        line["choices"][0]["finish_reason"] = ["stop"]
    else:
        line["prompt"] = {"name": "dart"}
    return line


@pytest.mark.parametrize("kind", ["vectors", "no number", "finish reason", "prompt"])
def test_a_changed_log_is_refused_and_does_not_alarm(tmp_path: Path, kind: str) -> None:
    log = watched.save_log(tmp_path / "changed.jsonl", [_changed(number, kind) for number in range(40)])
    reference = watched.save_log(tmp_path / "earlier.jsonl", watched.usual(40))
    entry.refused("monitor", log, "--against", reference, "--window", 20, says=("changed.jsonl",))


def test_the_parts_of_a_log_are_found_whatever_its_name(tmp_path: Path) -> None:
    path = watched.save_log(tmp_path / "a[1].jsonl", watched.usual(20, 20))
    watched.save_log(tmp_path / "a[1]-20261129T000000000000.jsonl", watched.usual(20))
    assert [observation.id for observation in read_log(path)] == [f"cmpl-{number}" for number in range(40)]
