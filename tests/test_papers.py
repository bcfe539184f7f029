"""The papers' numbers as data: complete, inside their scales, consistent with each other, and each saying how it is known."""

from __future__ import annotations

from collections import Counter

import pytest

from foreword.results.papers import KNOWN, PAPERS, Number, paper, paper_of
from foreword.util.errors import ForewordError

# How many numbers each table of a paper has, counted in the paper.
COUNTS = {
    "sun2023": {
        "main": 45, "length": 80, "length-line": 5, "similarity": 36, "similarity-count": 18, "splits": 14,
    },
    "lester2021": {
        "scale": 15, "scale-gpt3": 8, "length": 25, "init": 15, "objective": 15, "adaptation": 20, "domain-shift": 14,
        "domain-shift-difference": 7, "paraphrase": 8, "ensemble": 36, "parameters": 30, "backbones": 5, "convergence": 15, "check": 4,
        "splits": 32, "splits-mrqa": 6,
    },
}  # fmt: skip
# The presets whose numbers are held against a paper's, and those whose numbers could not be had.
HELD = {
    "sun2023-main": 45, "sun2023-length": 85, "sun2023-similarity": 54, "sun2023-transfer": 0, "lester2021-scale": 23,
    "lester2021-length": 25, "lester2021-init": 15, "lester2021-objective": 15, "lester2021-adaptation": 20,
    "lester2021-domain-shift": 21, "lester2021-paraphrase": 8, "lester2021-ensemble": 36, "lester2021-parameters": 35,
    "lester2021-nearest": 0, "lester2021-convergence": 15, "lester2021-check": 4,
}  # fmt: skip


def numbers(name: str, table: str) -> dict[frozenset, Number]:
    return {frozenset(number.at.items()): number for number in paper(name).tables[table]}


def at(**coordinates: str) -> frozenset:
    return frozenset(coordinates.items())


@pytest.mark.parametrize("name", PAPERS)
def test_every_number_is_there_once_with_its_place_and_how_it_is_known(name: str) -> None:
    ours = paper(name)
    assert {table: len(cells) for table, cells in ours.tables.items()} == COUNTS[name]
    for table, cells in ours.tables.items():
        places = Counter(frozenset(cell.at.items()) for cell in cells)
        assert not [place for place, count in places.items() if count > 1], table
        for cell in cells:
            assert cell.known in KNOWN and cell.place and cell.metric, cell
            assert cell.error >= 0 and (cell.std is None) == (cell.runs == 1), cell
            assert cell.known != "digitised" or cell.error > 0, "a reading off a figure has an error"
    assert {statement.known for statement in (*ours.claims, *ours.settings)} <= KNOWN.keys()
    assert ours.silent and all(ours.silent)


def test_every_preset_finds_its_numbers() -> None:
    for preset, count in HELD.items():
        ours = paper_of(preset)
        assert ours is not None and len(ours.of(preset)) == count, preset
        for number in ours.of(preset):
            assert ours.number(preset, number.held | number.at) == number, "its own place finds it"
        if preset != "lester2021-check":
            assert any(preset in claim.figures for claim in ours.claims), (
                f"{preset} has nothing that the paper concludes"
            )
    assert sorted(HELD) == sorted(preset for name in PAPERS for preset in paper(name).figures)
    assert paper_of("mine") is None


def test_a_place_finds_its_number_and_no_other() -> None:
    ours = paper("sun2023")
    place = {"model": "bloom-1b1", "method": "pt", "task": "mtop", "length": "25"}
    number = ours.number("sun2023-main", place)
    assert number is not None
    assert (number.value, number.std, number.known, number.error) == (25.2, 16.4, "seen", 0.05)
    assert str(number) == "25.2 ± 16.4"
    assert ours.number("sun2023-main", place | {"task": "e2e"}) is None
    assert ours.number("sun2023-main", {"model": "bloom-1b1"}) is None
    line = ours.number("sun2023-length", {"model": "bloom-1b1", "method": "icl-1", "task": "dart"})
    assert line is not None and line.value == 23.9
    bar = ours.number("sun2023-similarity", {"model": "bloom-1b1", "task": "totto", "method": "ipt", "bin": "1"})
    assert bar is not None and bar.value == 57.4
    assert (
        ours.number("sun2023-similarity", {"model": "opt-1.3b", "task": "totto", "method": "ipt", "bin": "1"}) is None
    )
    other = paper("lester2021")
    assert other.number("lester2021-scale", {"task": "boolq", "model": "t5-xl", "method": "pt"}) is None, (
        "a part is not the mean"
    )
    rough = other.number("lester2021-scale", {"task": "superglue", "model": "t5-xxl", "method": "full-ft"})
    assert rough is not None and rough.rough and str(rough) == "about 90.0"


def test_what_is_printed_twice_is_the_same() -> None:
    """The 25-token points of the length figure are the main table's rows; figure 3's defaults are one another's, and figure 1's."""
    main, length = numbers("sun2023", "main"), numbers("sun2023", "length")
    for task in ("totto", "dart", "spider", "mtop", "logic2text"):
        for method in ("pt", "ipt"):
            row, point = (
                main[at(model="bloom-1b1", method=method, task=task)],
                length[at(model="bloom-1b1", task=task, method=method, length="25")],
            )
            assert abs(row.value - point.value) <= point.error
        assert (
            main[at(model="bloom-1b1", method="icl-1", task=task)].value
            == numbers("sun2023", "length-line")[at(model="bloom-1b1", method="icl-1", task=task)].value
        )
    tables = {name: numbers("lester2021", name) for name in ("length", "init", "objective", "adaptation", "scale")}
    for model in (f"t5-{size}" for size in ("small", "base", "large", "xl", "xxl")):
        same = {"task": "superglue", "model": model}
        default = tables["length"][at(length="100", **same)].value
        assert default == tables["init"][at(init="labels", **same)].value
        assert default == tables["objective"][at(objective="lm", **same)].value
        assert default == tables["adaptation"][at(adaptation="100000", **same)].value
        assert (
            tables["objective"][at(objective="span", **same)].value
            == tables["adaptation"][at(adaptation="0", **same)].value
        )
        assert abs(default - tables["scale"][at(method="pt", **same)].value) <= 0.4


def test_what_follows_from_other_numbers_does() -> None:
    shift, gap = numbers("lester2021", "domain-shift"), numbers("lester2021", "domain-shift-difference")
    for place, number in gap.items():
        task = dict(place)["task"]
        apart = shift[at(task=task, method="pt")].value - shift[at(task=task, method="full-ft")].value
        assert number.value == pytest.approx(apart, abs=0.051), task
    width = {"t5-small": 512, "t5-base": 768, "t5-large": 1024, "t5-xl": 2048, "t5-xxl": 4096}
    for number in paper("lester2021").tables["parameters"]:
        assert number.value == width[number.at["model"]] * int(number.at["length"])
    total = numbers("lester2021", "backbones")[at(method="full-ft", model="t5-small")].value + width["t5-small"]
    assert total == 76_961_664, "the total that the paper prints for one token"
    for task, ending in (("boolq", "accuracy"), ("multirc", "f1a"), ("record", "em")):
        row = [
            numbers("lester2021", "ensemble")[at(task=task, metric=ending, of=rule)].value
            for rule in ("average", "best", "ensemble")
        ]
        assert row == sorted(row), "the vote is at least the best, which is at least the average"


def test_the_superglue_score_of_the_ensemble_is_the_mean_of_its_tasks() -> None:
    for rule in ("average", "ensemble"):
        by_task: dict[str, list[float]] = {}
        for number in paper("lester2021").tables["ensemble"]:
            if number.at["of"] == rule and number.at["task"] != "superglue":
                by_task.setdefault(number.at["task"], []).append(number.value)
        assert len(by_task) == 8
        mean = sum(sum(values) / len(values) for values in by_task.values()) / 8
        printed = numbers("lester2021", "ensemble")[at(task="superglue", metric="score", of=rule)]
        assert printed.value == pytest.approx(mean, abs=0.06)


def test_the_bins_of_a_task_hold_the_split_that_it_is_scored_on() -> None:
    ours = paper("sun2023")
    for task in ("totto", "dart", "mtop"):
        counted = sum(number.value for number in ours.tables["similarity-count"] if number.at["task"] == task)
        split = numbers("sun2023", "splits")[at(task=task, split=ours.scored[task]["split"])]
        assert counted == pytest.approx(split.value, rel=0.02), task


def test_what_is_not_known_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ForewordError, match="did you mean 'sun2023'"):
        paper("sun2022")
    with pytest.raises(ForewordError, match="did you mean 'sun2023-main'"):
        paper("sun2023").of("sun2023-mian")
