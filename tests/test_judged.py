"""The verdict on a cell: agreement has to be shown, a difference is not hidden, and what stood in is never the paper's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foreword.results.cells import Entry, Scored
from foreword.results.judged import MARGIN, SUPERGLUE, difference, judge, rule, stand_ins
from foreword.results.papers import Number, paper

DART = {"model": "bloom-1b1", "method": "pt", "task": "dart"}
ENTRY = Entry(
    score=41.0, spread=0.5, ci95=(40.4, 41.6), seeds=3, seeds_planned=3, examples=5097, examples_planned=5097, metric="bleu",
    model="bigscience/bloom-1b1", task="dart", paper=DART, cells=("a", "b", "c"),
)  # fmt: skip
PRINTED = Number(
    value=41.2, std=0.1, known="seen", error=0.05, place="main results table", at=DART, metric="BLEU", runs=3
)


def verdict(**changes: object) -> tuple[str, str]:
    judgement = judge(replace(ENTRY, **changes), PRINTED)  # type: ignore[arg-type]
    return judgement.word, judgement.reason


def test_what_lies_within_the_margin_as_a_whole_agrees() -> None:
    judgement = judge(ENTRY, PRINTED)
    assert judgement.word == "agrees"
    assert judgement.gap == pytest.approx(-0.2)
    assert judgement.ci95 is not None and -MARGIN < judgement.ci95[0] < judgement.gap < judgement.ci95[1] < MARGIN


def test_the_interval_joins_both_sides() -> None:
    """t of 2 degrees of freedom at 95 % is 4.303; the paper's half is 4.303 * 0.1 / sqrt(3) + 0.05 = 0.298."""
    gap, (low, high) = difference(ENTRY, PRINTED)
    half = (0.6**2 + (4.302653 * 0.1 / 3**0.5 + 0.05) ** 2) ** 0.5
    assert (gap, low, high) == pytest.approx((-0.2, -0.2 - half, -0.2 + half), abs=1e-5)


def test_a_wide_interval_never_makes_an_agreement() -> None:
    word, reason = verdict(score=41.2, ci95=(35.0, 47.0))
    assert word == "cannot say" and "too wide" in reason
    unstable = paper("sun2023").number("sun2023-main", {"model": "bloom-1b1", "method": "pt", "task": "mtop"})
    same = replace(ENTRY, score=25.2, ci95=(25.0, 25.4), metric="mtop_em", task="mtop", paper=DART | {"task": "mtop"})
    assert judge(same, unstable).word == "cannot say", "25.2 ± 16.4 of the paper says too little to agree with"


def test_a_clear_difference_differs_and_one_at_the_margin_is_open() -> None:
    assert verdict(score=50.0, ci95=(48.0, 52.0))[0] == "differs"
    assert verdict(score=30.0, ci95=(29.0, 31.0))[0] == "differs"
    assert verdict(score=43.1, ci95=(41.6, 44.6))[0] == "cannot say", "1.9 apart, and not shown to be less than 2"
    assert verdict(score=42.7, ci95=(42.6, 42.8))[0] == "agrees", "apart, but by less than the margin"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "reference"}, "stood in: reference for bloom-1b1"),
        ({"task": "mini-dart"}, "stood in: mini-dart for dart"),
        ({"metric": "chrf"}, "ours is chrF, the paper's BLEU"),
        ({"seeds": 2}, "2 of 3 seeds are done"),
        ({"examples": 200}, "200 of 5,097 examples are done"),
        ({"seeds": 1, "seeds_planned": 1}, "one seed speaks of its prompt alone"),
        ({"score": None, "cause": "out of memory"}, "out of memory"),
        ({"score": None}, "not run"),
        ({"ci95": None}, "ours has no interval"),
    ],
)
def test_what_cannot_be_said_says_why(changes: dict, reason: str) -> None:
    assert verdict(**changes) == ("cannot say", reason)


def test_a_stand_in_that_hits_the_number_is_no_agreement() -> None:
    judgement = judge(replace(ENTRY, score=41.2, model="reference"), PRINTED)
    assert judgement.word == "cannot say" and judgement.gap == pytest.approx(0.0)


def test_one_run_of_what_no_seed_changes_is_enough() -> None:
    once = replace(ENTRY, seeds=1, seeds_planned=1)
    assert judge(once, PRINTED, tuned=False).word == "agrees"


def test_a_published_prompt_that_nobody_trained_further_has_no_seed() -> None:
    at = {"model": "t5-base", "method": "pt", "task": "sst2", "length": "100", "metric": "accuracy"}
    number = paper("lester2021").number("lester2021-check", at)
    recipe = {"length": "100", "init": "warm_start", "place": "front"}
    own = replace(
        ENTRY, score=95.0, ci95=(93.4, 96.3), spread=None, seeds=1, seeds_planned=1, examples=872, examples_planned=872,
        model="google/t5-base-lm-adapt", task="sst2", paper=at, metric="accuracy", recipes={"sst2": recipe},
        scored=(Scored("sst2", "dev", 872, 872, "rows"),),
    )  # fmt: skip
    assert judge(own, number).word == "agrees"
    assert judge(replace(own, score=85.0, ci95=(82.5, 87.2)), number).word == "differs"
    for recipes in ({"sst2": recipe | {"steps": "40"}}, {}):
        assert judge(replace(own, recipes=recipes), number).reason == "one seed speaks of its prompt alone"
    assert "a published prompt, scored as it is, has no seed" in rule()


def test_a_count_is_the_paper_s_or_is_not_and_times_are_of_two_machines() -> None:
    number = paper("lester2021").number("lester2021-parameters", {"method": "pt", "length": "100", "model": "t5-small"})
    count = replace(
        ENTRY,
        model="google/t5-small-lm-adapt",
        task="sst2",
        paper={"model": "t5-small"},
        score=51200.0,
        ci95=None,
        unit="numbers",
    )
    assert judge(count, number).word == "agrees"
    assert judge(replace(count, score=51201.0), number).word == "differs"
    assert judge(replace(count, model="reference-t5"), number).word == "cannot say"
    assert judge(replace(count, unit="s"), number).reason == "times are those of two machines"


def test_without_the_paper_s_number_nothing_is_said() -> None:
    assert judge(ENTRY, None).reason == "the paper's number is not known"


def test_names_that_are_the_paper_s_own_are_no_stand_ins() -> None:
    number = paper("lester2021").number("lester2021-domain-shift", {"task": "re", "method": "pt"})
    entry = replace(
        ENTRY, model="google/t5-xxl-lm-adapt", task="mrqa_relation_extraction", paper={"task": "re", "method": "pt"}
    )
    assert stand_ins(entry, number) == []
    assert stand_ins(replace(entry, model="google/t5-small-lm-adapt"), number) == [
        "google/t5-small-lm-adapt for t5-xxl"
    ]


def test_the_mean_of_all_eight_tasks_is_superglue_and_of_fewer_is_not() -> None:
    at = {"model": "t5-small", "method": "pt", "task": "superglue", "length": "100"}
    number = paper("lester2021").number("lester2021-scale", at)
    eight = "boolq+cb+copa+multirc+record+rte+wic+wsc"
    own = {"model": "google/t5-small-lm-adapt", "metric": "mean over tasks", "paper": at}
    entry = replace(ENTRY, **own, task=eight, score=58.6, ci95=(58.1, 59.1))
    assert judge(entry, number).word == "agrees"
    fewer = judge(replace(entry, task="boolq+rte"), number)
    assert (fewer.word, fewer.reason) == ("cannot say", "stood in: boolq+rte for superglue")


def mtop(task: str, *scored: Scored) -> tuple[str, str]:
    """The verdict on a number of this task beside one of MTOP that the paper scored on dev."""
    number = replace(PRINTED, value=41.2, at=DART | {"task": "mtop"}, metric="exact match", split="dev")
    own = replace(ENTRY, task=task, metric="mtop_em", paper=DART | {"task": "mtop"}, scored=scored)
    decided = judge(own, number)
    return decided.word, decided.reason


def test_another_split_than_the_paper_s_is_no_agreement() -> None:
    assert mtop("mtop") == ("cannot say", "ours is scored on test, the paper's on dev")
    assert mtop("mtop", Scored("mtop", "test", 4386, 4386, "rows"))[1] == "ours is scored on test, the paper's on dev"
    assert mtop("mtop-dev")[0] == "agrees", "the eval split of MTOP is what others call dev"
    assert mtop("mtop-dev", Scored("mtop-dev", "dev", 2235, 2235, "rows"))[0] == "agrees"


def test_a_part_of_the_split_is_another_set_of_examples() -> None:
    part = "ours is scored on 859 of 2,235 rows of the official dev split"
    assert mtop("mtop-dev", Scored("mtop-dev", "dev", 859, 2235, "rows")) == ("cannot say", part)
    limited = Scored("dart", "test", 200, 5097, "examples")
    assert verdict(scored=(limited,))[1] == "ours is scored on 200 of 5,097 examples of the official test split"
    assert verdict(scored=(replace(limited, part=5097),))[0] == "agrees"


def test_each_task_of_a_mean_has_to_be_scored_as_the_paper_scored_it() -> None:
    at = {"model": "t5-small", "method": "pt", "task": "superglue", "length": "100"}
    number = paper("lester2021").number("lester2021-scale", at)
    assert number is not None and number.split == "dev"
    names = sorted(SUPERGLUE)
    whole = tuple(Scored(name, "dev", 100, 100, "rows") for name in names)
    entry = replace(
        ENTRY, model="google/t5-small-lm-adapt", metric="mean over tasks", paper=at, task="+".join(names), score=58.6,
        ci95=(58.1, 59.1), scored=whole,
    )  # fmt: skip
    assert judge(entry, number).word == "agrees"
    part = judge(replace(entry, scored=(*whole[:-1], Scored("wsc", "dev", 4, 104, "rows"))), number)
    assert part.reason == "wsc: ours is scored on 4 of 104 rows of the official dev split"


def test_the_papers_scored_what_their_data_say() -> None:
    by_task = {number.at["task"]: number.split for number in paper("sun2023").of("sun2023-main")}
    assert by_task == {"totto": "dev", "dart": "test", "spider": "dev", "mtop": "dev", "logic2text": "test"}
    assert {number.split for number in paper("lester2021").of("lester2021-paraphrase")} == {"dev"}


def test_the_rule_is_stated_with_its_margin() -> None:
    assert "±2 points" in rule() and "more than 2 points apart" in rule()
    assert "another split than the paper's or on a part of the official split" in rule()
