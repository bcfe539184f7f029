"""What the monitor says: whose requests it watched, scores by truth that comes later, and which sides were compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import entry
import serving
import tiny
import watched
from foreword.metrics import metric
from foreword.monitor import MonitorSettings, Rule, monitored, read_log
from foreword.monitor.against import against
from foreword.monitor.observations import of_prompt
from foreword.monitor.truth import read_truth
from foreword.prompts import store as prompts
from foreword.registry import Registry
from foreword.registry.adding import NewVersion, writer
from foreword.util.errors import ForewordError

# -- a file of data -----------------------------------------------------------------------------------------------------


def test_a_file_of_data_is_read_by_the_columns_of_the_prompt(tmp_path: Path) -> None:
    """They had to be said again, where `eval-gate` and `show` take them from the prompt."""
    registry = Registry(tmp_path / "store")
    own = {"settings": {"input_column": "text"}, "template": {}}
    prompts.save(serving.soft(tiny.backbone("llama"), 3, 0, **own), tmp_path / "p")
    serving.keep(registry, "dart", tmp_path / "p")
    data = entry.save_rows(tmp_path / "data.jsonl", [{"text": row["input"] * 3} for row in entry.rows(30)])
    log = watched.save_log(tmp_path / "log.jsonl", of(registry, 1, 40))
    ran = watch(log, registry, "--against", data, "--prompt", "dart")
    assert ran.code in (0, 3), ran.err
    assert ran.json["against"] == "the data data.jsonl" and ran.json["windows"]
    other = entry.save_rows(tmp_path / "other.jsonl", [{"words": row["input"] * 3} for row in entry.rows(30)])
    entry.refused("monitor", log, "--against", other, "--prompt", "dart", "--store", registry.folder, says=("text",))
    named = watch(log, registry, "--against", other, "--prompt", "dart", "--input-column", "words")
    assert named.json["windows"] == ran.json["windows"]
    entry.refused("monitor", log, "--against", data, "--prompt", "dart", says=("input",))


# -- whose requests -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two versions of `dart`, the first of which is in production."""
    folder = tmp_path_factory.mktemp("whose")
    data = str(entry.save_rows(folder / "data.jsonl", entry.rows(30)))
    registry = Registry(folder / "store")
    for note in ("old", "production"):
        new = NewVersion(method="icl:bm25:2", demonstrations=data, template={"question": f"{note} {{input}}"})
        registry.add("dart", writer(new), aliases=[note])
    registry.tag("dart@1", "production")
    return registry


def of(registry: Registry, number: int, count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Lines that a version answered."""
    digest = registry.resolve(f"dart@{number}")[1].digest
    return watched.usual(count, start, **{"version": number, "digest": digest} | more)


def watch(log: Path, store: Registry, *more: object) -> entry.CommandResult:
    return entry.foreword("monitor", log, "--store", store.folder, "--window", 20, "--json", *more)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--against", "dart@1"), ("dart@1", 40)),
        (("--against", "dart@production"), ("dart@1", 40)),
        (("--against", "dart@2"), ("dart@2", 20)),
        (("--against", "dart@1", "--prompt", "dart"), ("dart@2", 20)),
        (("--against", "dart@2", "--prompt", "dart@production"), ("dart@1", 40)),
    ],
)
def test_the_version_of_against_is_watched(
    store: Registry, tmp_path: Path, argv: tuple[str, ...], expected: tuple[str, int]
) -> None:
    """It was whichever version answered last."""
    log = watched.save_log(tmp_path / "log.jsonl", [*of(store, 1, 40), *of(store, 2, 20, 40)])
    ran = watch(log, store, *argv)
    assert (ran.json["prompt"], ran.json["requests"]) == expected
    by_digest = store.resolve("dart@1")[1].digest[:8]
    assert watch(log, store, "--against", "dart@2", "--prompt", f"dart@{by_digest}").json["prompt"] == "dart@1"


def test_a_version_that_answered_nothing_is_refused_with_those_that_did(store: Registry, tmp_path: Path) -> None:
    first, second = (store.resolve(f"dart@{number}")[1].digest[:10] for number in (1, 2))
    log = watched.save_log(tmp_path / "log.jsonl", of(store, 2, 40))
    argv = ("monitor", log, "--against", "dart@production")
    says = (f"no answer of dart@1 ({first})", f"it has dart@2 ({second})", "--prompt")
    entry.refused(*argv, "--store", store.folder, says=says)
    other = watched.save_log(tmp_path / "other.jsonl", of(store, 1, 40, digest="e" * 64))  # of another store
    entry.refused(
        "monitor", other, *argv[2:], "--store", store.folder, says=("no answer of dart@1", "dart@1 (eeeeeeeeee)")
    )
    data = ("--against", entry.save_rows(tmp_path / "data.jsonl", entry.rows(30)))
    entry.refused("monitor", log, *data, "--prompt", "dart@production", says=("names an alias", "--store"))


def test_an_earlier_log_is_read_for_the_version_that_is_asked_for(store: Registry, tmp_path: Path) -> None:
    """It was read for the version that answered last there."""
    earlier = watched.save_log(tmp_path / "earlier.jsonl", [*of(store, 1, 40), *of(store, 2, 30, 40, shift=5.0)])
    log = watched.save_log(tmp_path / "log.jsonl", of(store, 1, 40, seed="later"))
    argv = ("monitor", log, "--against", earlier, "--window", 20, "--json")
    assert entry.foreword(*argv, "--prompt", "dart@1").code == 0
    assert entry.foreword(*argv, "--prompt", "dart").code == 3


def test_two_prompts_under_one_number_are_not_taken_for_one(tmp_path: Path) -> None:
    """A store that was deleted and begun anew counts from 1 again."""
    lines = [*watched.usual(30), *watched.usual(20, 30, digest="e" * 64)]
    observations = read_log(watched.save_log(tmp_path / "log.jsonl", lines))
    assert len(of_prompt(observations, "dart", "log")) == 20
    assert len(of_prompt(observations, "dart@dddddddd", "log")) == 30
    with pytest.raises(
        ForewordError, match=r"several versions that are dart@1; it has dart@1 \(d{10}\), dart@1 \(e{10}\)"
    ):
        of_prompt(observations, "dart@1", "log")


# -- truth --------------------------------------------------------------------------------------------------------------


def answered(count: int) -> list[dict[str, Any]]:
    return [
        line | {"output_texts": [f"the {number % 7} red house"]} for number, line in enumerate(watched.usual(count))
    ]


@pytest.mark.parametrize(
    ("rows", "more", "says"),
    [
        (
            [{"target": "a"}, {"target": "b"}],
            ("--metric", "cider_coco"),
            ("cider_coco", "different scales", "--metric"),
        ),
        ([{"target": "a"}, {"target": "b"}], ("--metric", "nist_mteval"), ("nist_mteval", "different scales")),
        ([{"score": 4}, {"score": 5}], ("--metric", "bleu"), ("metric bleu", "column `score`")),
        ([{"score": 4, "target": "a"}], ("--metric", "bleu"), ("metric bleu", "column `score`")),
        ([{"target": "a"}, {"target": "b"}, {"id": "cmpl-0", "target": "b"}], (), ("Rows 1 and 3", "cmpl-0")),
        ([{"score": 4}, {"id": "cmpl-0", "score": 5}], (), ("Rows 1 and 2", "cmpl-0")),
        ([{"target": "a"}, {"target": "b", "score": 5}], (), ("Row 1", "the score None")),
        ([{"target": ["a", "b"]}], (), ("'target' in row 1", "a list where text was expected")),
        ([{"target": None}], (), ("'target' in row 1", "leave the row out")),
    ],
)
def test_truth_that_would_be_scored_wrong_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], more: tuple[str, ...], says: tuple[str, ...]
) -> None:
    log = watched.save_log(tmp_path / "log.jsonl", answered(40))
    truth = entry.save_rows(tmp_path / "truth.jsonl", [{"id": f"cmpl-{n}"} | row for n, row in enumerate(rows)])
    earlier = watched.save_log(tmp_path / "earlier.jsonl", watched.usual(40, seed="reference"))
    entry.refused("monitor", log, "--against", earlier, "--truth", truth, *more, says=says)


def test_the_scores_of_a_window_are_those_of_all_its_rows_at_once(tmp_path: Path) -> None:
    observations = read_log(watched.save_log(tmp_path / "log.jsonl", answered(40)))
    targets = [f"the {number % 5} red house" for number in range(40)]
    rows = [{"id": f"cmpl-{number}", "target": target} for number, target in enumerate(targets)]
    truth = read_truth(entry.save_rows(tmp_path / "truth.jsonl", rows), observations, metric_name="bleu")
    (score,) = truth.scores(observations, 40, level=0.95)
    whole = metric("bleu").score([str(each.output) for each in observations], [[target] for target in targets])
    assert score.score == pytest.approx(whole) and 0.0 < whole < 100.0


def test_a_window_that_is_not_whole_is_scored_and_does_not_alarm(tmp_path: Path) -> None:
    """It was tested again at each look."""
    log = watched.save_log(tmp_path / "log.jsonl", watched.usual(150))
    earlier = watched.save_log(tmp_path / "earlier.jsonl", watched.usual(150, seed="reference"))
    argv = ("monitor", log, "--against", earlier, "--min-score", 90, "--json", "--truth")
    behind = [{"id": f"cmpl-{number}", "score": 0} for number in range(100, 150)]
    ran = entry.foreword(*argv, entry.save_rows(tmp_path / "behind.jsonl", behind))
    assert (ran.code, [score["window"] for score in ran.json["scores"]]) == (0, [1])
    assert any("not whole yet" in note for note in ran.json["notes"])
    whole = entry.save_rows(tmp_path / "whole.jsonl", [{"id": f"cmpl-{number}", "score": 0} for number in range(100)])
    ran = entry.foreword(*argv, whole)
    assert ran.code == 3 and not any("not whole yet" in note for note in ran.json["notes"])


def test_requests_that_are_named_for_labelling_come_with_what_they_do_to_a_score(tmp_path: Path) -> None:
    log = watched.save_log(tmp_path / "log.jsonl", watched.usual(40))
    reference = against(str(watched.save_log(tmp_path / "earlier.jsonl", watched.usual(40, seed="reference"))))
    notes = [monitored(MonitorSettings(log, reference, rule=Rule(20), label=count)).notes for count in (0, 2)]
    assert ["drawn by chance" in " ".join(some) for some in notes] == [False, True]


# -- what was compared --------------------------------------------------------------------------------------------------


def notes_of(tmp_path: Path, count: int, *, drop: tuple[str, ...] = (), **settings: Any) -> str:
    lines = watched.usual(count)
    for line in lines:
        for values in (line["inputs"][0], line["choices"][0], line):
            values.update({name: None for name in drop if name in values})
    log = watched.save_log(tmp_path / "log.jsonl", lines)
    data = entry.save_rows(tmp_path / "data.jsonl", entry.rows(60))
    return " ".join(monitored(MonitorSettings(log, against(str(data)), **settings)).notes)


@pytest.mark.parametrize(
    ("count", "baseline", "says"),
    [
        (299, 200, "Answers were not compared yet: those of the first 200 requests"),
        (300, 200, "Answers were compared with those of the first 200 of these requests."),
        (300, 19, "Answers were not compared: the baseline is 19, and 20 or more are needed"),
        (300, 20, "Answers were compared with those of the first 20 of these requests."),
        (99, 200, "nothing was tested yet"),
    ],
)
def test_answers_are_said_to_be_compared_only_where_they_were(
    tmp_path: Path, count: int, baseline: int, says: str
) -> None:
    """Of 250 requests none had been, and the note said that they were."""
    notes = notes_of(tmp_path, count, baseline=baseline)
    assert says in notes and notes.count("Answers were ") == (count > 99)


def test_inputs_are_said_to_be_compared_by_what_they_were(tmp_path: Path) -> None:
    logged = notes_of(tmp_path, 100)  # with vectors, which the file of data has not
    assert "Inputs were compared by input length alone." in logged and "--log-features" not in logged
    plain = notes_of(tmp_path, 100, drop=("vector", "vectors"))
    assert "by input length alone; serve with --log-features" in plain
    nothing = notes_of(tmp_path, 400, drop=("vector", "vectors", "characters"))
    assert "Inputs were not compared: the log and the reference know nothing of them in common" in nothing
    assert "Answers were compared" in nothing
    silent = notes_of(tmp_path, 400, drop=("tokens", "logprob", "finish_reason"))
    assert "Answers were not compared: the log and the reference know nothing of them in common" in silent


def test_an_earlier_log_that_says_nothing_of_inputs_is_not_said_to_be_compared(tmp_path: Path) -> None:
    lines = watched.usual(100)
    for line in lines:
        line["inputs"][0] |= {"characters": None, "tokens": None, "vector": None}
    earlier = watched.save_log(tmp_path / "earlier.jsonl", lines)
    log = watched.save_log(tmp_path / "log.jsonl", watched.usual(100, seed="later"))
    notes = monitored(MonitorSettings(log, against(str(earlier)))).notes
    assert any(note.startswith("Inputs were not compared") for note in notes)
    assert not any("Answers were not" in note or "lengths alone" in note for note in notes)
