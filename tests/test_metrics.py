"""The shelf of metrics against its contract and the tools that it equals; it refuses one that drifts."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_bleu, sentence_chrf
from sacrebleu.metrics import BLEU, CHRF

from foreword.metrics import METRICS, Metric, metric
from foreword.metrics.rouge import common_subsequence
from foreword.metrics.scores import scores_of
from foreword.util.errors import ForewordError

# Those that read facts: tests/test_golden.py; METEOR, which starts a Java program: tests/test_meteor.py.
ALL = sorted(
    name for name, entry in METRICS.items() if not entry.needs and "meteor" not in name and not entry.absence()
)
KNOWN = {"accuracy", "bleu", "bleu_lower", "chrf", "exact_match", "rouge_l", "squad_em", "token_f1"}
KNOWN |= {"json_valid", "json_fields", "json_exact", "mrpc_f1", "qqp_f1", "cb_f1", "multirc_f1"}
SENTENCES = (
    "The Blue Spice is a coffee shop near Café Rouge.",
    "It costs £20-25, and children aren't welcome!",
    "Quito (2,850 m) lies at 0.22° S; naïve guess?",
    "one two three four five",
)
WORDS = (
    "the",
    "a",
    "cat",
    "sat",
    "Café",
    "on",
    "mat",
    ".",
    "3.5",
    "don't",
    "&amp;",
    "привет",
    "中文",
    "mat-",
    "",
    "  ",
    "\n",
)
texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
examples = st.tuples(st.one_of(texts, st.text(max_size=12)), st.lists(texts, min_size=1, max_size=4))
sets = st.lists(examples, min_size=1, max_size=8)


def unzip(rows: list[Any]) -> tuple[list[str], list[list[str]]]:
    return [output for output, _ in rows], [list(references) for _, references in rows]


def fitting(each: Metric, rows: list[Any]) -> tuple[list[str], list[list[str]]]:
    """The rows as they are, or, for a metric of labels or of a form, with references and about half the outputs turned into such."""
    outputs, references = unzip(rows)
    texts = own(each)
    if not texts:
        return outputs, references
    truths = [[texts[sum(map(len, accepted)) % len(texts)]] for accepted in references]
    known = [texts[len(output) % len(texts)] if len(output) % 5 < 3 else output for output in outputs]
    return known, truths


def own(each: Metric) -> tuple[str, ...]:
    """References that a metric takes, where it does not take any text."""
    return each.labels or each.samples


def streams(references: list[list[str]]) -> list[list[str | None]]:
    """References example by example, as sacrebleu wants them: stream by stream, None where an example has no more."""
    width = max(map(len, references))
    return [[accepted[k] if k < len(accepted) else None for accepted in references] for k in range(width)]


def noisy_set(size: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Sentences from a small vocabulary with one to four references each, outputs being damaged references."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(60)] + ["The", "3.5", "don't", "(so)", "x-y", "£9", "ça"]
    references = [
        [" ".join(rng.choices(words, k=rng.randint(1, 25))) for _ in range(rng.randint(1, 4))] for _ in range(size)
    ]
    outputs = [" ".join(w for w in rng.choice(accepted).split() if rng.random() < 0.8) for accepted in references]
    return outputs, references


@pytest.fixture(params=ALL)
def each(request: pytest.FixtureRequest) -> Metric:
    return METRICS[request.param]


# The contract of the shelf


def test_the_shelf_holds_every_metric_under_its_own_name() -> None:
    assert set(METRICS) >= KNOWN
    assert all(METRICS[name].name == name and metric(name) is METRICS[name] for name in METRICS)


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ForewordError, match="no metric 'blue'; did you mean 'bleu'"):
        metric("blue")


def test_importing_the_shelf_loads_no_scoring_library() -> None:
    code = "import sys, foreword.metrics as m; assert not {'sacrebleu', 'rouge_score'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys; from foreword.metrics import METRICS; list(METRICS); assert 'nltk' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_perfect_answers_score_the_best_value(each: Metric) -> None:
    answers = own(each) or SENTENCES
    references = [[answer] if own(each) else [SENTENCES[k - 1], answer] for k, answer in enumerate(answers)]
    statistics = each.statistics(answers, references)
    if each.of_set:
        worse = each.statistics([*answers[1:], answers[0]], references)
        assert each.best == math.inf and each.from_sums(statistics.sum(axis=0)) > each.from_sums(worse.sum(axis=0))
        return
    assert each.from_sums(statistics.sum(axis=0)) == pytest.approx(each.best, abs=1e-9)
    assert each.per_example(statistics) == pytest.approx([each.best] * len(answers), abs=1e-9)
    assert each.best == 100.0


def test_wrong_answers_score_less(each: Metric) -> None:
    answers = own(each) or SENTENCES
    wrong = [answers[k - 1] for k in range(len(answers))]
    if each.samples:  # any answer of the form may be right for a metric of the form alone; half of one has no form
        wrong = [answer[: len(answer) // 2] for answer in answers]
    assert each.score(wrong, [[answer] for answer in answers]) < 30


def test_a_signature_is_one_line_and_the_source_is_said(each: Metric) -> None:
    assert each.signature() == each.signature()
    assert "\n" not in each.signature() and len(each.signature()) > 5
    assert len(each.source) > 20


def test_empty_answers_and_empty_sets_score_nothing(each: Metric) -> None:
    outputs = ["", "   ", "\n\t"]
    some = (own(each) or ("a cat sat down",))[0]
    assert each.score(outputs, [[some]] * 3) == 0.0
    nothing = each.statistics([], [])
    assert nothing.shape == (0, each.statistics(["x"], [[some]]).shape[1])
    assert each.from_sums(nothing.sum(axis=0)) == 0.0
    if not own(each):
        assert np.isfinite(each.statistics(outputs, [[""], [" "], ["\n"]])).all()


@pytest.mark.parametrize("rest", [[], [[]], ["a"]])
def test_missing_references_are_refused(each: Metric, rest: Any) -> None:
    some = (own(each) or ("a",))[0]
    with pytest.raises(ForewordError, match="give"):
        each.statistics(["a", "b"], [[some], *rest])


@settings(max_examples=60, deadline=None)
@given(sets)
def test_rows_add_up_stay_in_range_and_know_no_order(rows: list[Any]) -> None:
    for each in map(metric, ALL):
        outputs, references = fitting(each, rows)
        statistics = each.statistics(outputs, references)
        assert statistics.dtype == np.float64 and statistics.shape[0] == len(rows) and np.isfinite(statistics).all()
        score, own = each.from_sums(statistics.sum(axis=0)), each.per_example(statistics)
        assert 0.0 <= score <= 100.0 + 1e-9 and own.shape == (len(rows),)
        assert (own >= 0.0).all() and (own <= 100.0 + 1e-9).all()
        backwards = each.statistics(outputs[::-1], references[::-1])
        assert each.score(outputs, references) == pytest.approx(float(score), abs=1e-9)
        if each.of_set:
            assert backwards == pytest.approx(statistics[::-1], abs=1e-9)
            continue
        assert np.array_equal(backwards, statistics[::-1])
        alone = [each.statistics([output], [accepted])[0] for output, accepted in zip(outputs, references, strict=True)]
        assert np.array_equal(np.array(alone), statistics)


def test_a_metric_that_cannot_run_here_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreword.metrics.meteor._jar", lambda: None)
    scores = scores_of(("bleu", "meteor", "chrf"), ["a b c d"], [["a b c d"]], [{}])
    assert scores.whole == {"bleu": pytest.approx(100.0), "chrf": pytest.approx(100.0)}
    assert scores.statistics.shape == (1, 10) and set(scores.own) == set(scores.signatures) == {"bleu", "chrf"}
    assert len(scores.absent) == 1 and scores.absent[0].startswith("Not scored by meteor: METEOR needs a library")
    with pytest.raises(ForewordError, match=r"The metric 'meteor' decides here and cannot run: .*foreword\[coco\]"):
        scores_of(("meteor", "bleu"), ["a"], [["a"]], [{}])


def test_from_sums_scores_a_whole_bootstrap_at_once(each: Metric) -> None:
    statistics = each.statistics(*fitting(each, list(zip(*noisy_set(40), strict=True))))
    weights = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=(7, 3))  # [7, 3, 40]
    sums = weights @ statistics
    together = each.from_sums(sums)
    assert together.shape == (7, 3)
    one_by_one = [[float(each.from_sums(sums[i, j])) for j in range(3)] for i in range(7)]
    assert together == pytest.approx(np.array(one_by_one), abs=1e-12)


def test_inputs_are_left_as_they_were(each: Metric) -> None:
    statistics = each.statistics(*fitting(each, list(zip(*noisy_set(10), strict=True))))
    before = statistics.copy()
    each.from_sums(statistics), each.per_example(statistics)
    assert np.array_equal(before, statistics)


# Equality with the tools


@settings(max_examples=100, deadline=None)
@given(sets)
def test_bleu_and_chrf_equal_sacrebleu_on_any_text(rows: list[Any]) -> None:
    outputs, references = unzip(rows)
    tools = {"bleu": BLEU(), "bleu_lower": BLEU(lowercase=True), "chrf": CHRF()}
    for name, tool in tools.items():
        theirs = min(tool.corpus_score(outputs, streams(references)).score, 100.0)
        assert METRICS[name].score(outputs, references) == pytest.approx(theirs, abs=1e-9), name
    for name, single in (("bleu", sentence_bleu), ("chrf", sentence_chrf)):
        own = METRICS[name].per_example(METRICS[name].statistics(outputs, references))
        theirs = [min(single(o, r).score, 100.0) for o, r in zip(outputs, references, strict=True)]
        assert own == pytest.approx(theirs, abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_bleu_and_chrf_equal_sacrebleu_on_a_corpus(seed: int) -> None:
    outputs, references = noisy_set(200, seed)
    for name, tool in {"bleu": BLEU(), "bleu_lower": BLEU(lowercase=True), "chrf": CHRF()}.items():
        theirs = tool.corpus_score(outputs, streams(references)).score
        assert 20 < theirs < 99
        assert METRICS[name].score(outputs, references) == pytest.approx(theirs, abs=1e-9)
        assert METRICS[name].signature() == str(tool.get_signature())  # nrefs:var on both sides


def test_bleu_of_short_answers_is_zero_for_the_set_but_not_for_each() -> None:
    bleu = METRICS["bleu"]
    rows = bleu.statistics(["yes", "no"], [["yes"], ["no"]])
    assert bleu.from_sums(rows.sum(axis=0)) == 0.0
    assert bleu.per_example(rows) == pytest.approx([100.0, 100.0])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=90), st.lists(st.sampled_from("abcd"), max_size=90))
def test_the_common_subsequence_is_the_tables(left: list[str], right: list[str]) -> None:
    table = np.zeros((len(left) + 1, len(right) + 1), dtype=int)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    assert common_subsequence(tuple(left), tuple(right)) == table[-1, -1]


@settings(max_examples=100, deadline=None)
@given(sets)
def test_rouge_l_equals_rouge_score(rows: list[Any]) -> None:
    outputs, references = unzip(rows)
    tool = RougeScorer(["rougeL"], use_stemmer=False)
    theirs = [100 * tool.score_multi(r, o)["rougeL"].fmeasure for o, r in zip(outputs, references, strict=True)]
    rouge = METRICS["rouge_l"]
    assert rouge.per_example(rouge.statistics(outputs, references)) == pytest.approx(theirs, abs=1e-12)
    assert rouge.score(outputs, references) == pytest.approx(np.mean(theirs), abs=1e-9)
