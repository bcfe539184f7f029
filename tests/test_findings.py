"""The recipe of findings: verdicts counted from known answers, a whole small run that is done once, and a model that is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

import entry
from foreword.metrics import metric
from foreword.results.record import Answer, Costs, DemonstrationRef, Record
from foreword.util.errors import ForewordError
from foreword.util.files import write_json

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # recipes stand beside the package, not in it

from foreword.study.measure import difference_of  # noqa: E402
from recipes.findings import __main__ as command  # noqa: E402
from recipes.findings import studies  # noqa: E402
from recipes.findings.lab import Lab  # noqa: E402
from recipes.findings.numbers import score  # noqa: E402
from recipes.findings.page import write as write_page  # noqa: E402
from recipes.findings.studies import LENGTHS, SIZES, STUDIES, T5, TASKS, TWO, Findings  # noqa: E402

EXAMPLES = 60


def record_of(label: str, task: str, right: float, seed: int = 0, *, rising: float = 0.0, **settings: Any) -> Record:
    """A trial that gets this share of its examples right: more of those with a similar demonstration, where it is `rising`."""
    answers = []
    for place in range(EXAMPLES):
        similarity = place / EXAMPLES
        chance = Random(f"{task}/{label}/{seed}/{place}").random()
        output = "yes" if chance < right + rising * (similarity - 0.5) else "no"
        rows = metric("exact_match").statistics([output], [("yes",)])
        shown = (DemonstrationRef("d", "text", similarity),) if label in ("icl", "ipt") else ()
        own = {"exact_match": 100.0 * (output == "yes")}
        answers.append(
            Answer(f"e{place}", "", output, ("yes",), own, {"exact_match": list(map(float, rows[0]))}, shown)
        )
    length, steps, carried = settings.pop("length", 20), settings.pop("steps", 250), settings.pop("carried", None)
    tuning = {"prompt_length": length, "max_steps": steps}
    name = f"{label}/{task}/{seed}/{length}/{steps}/{carried}/{settings.get('backbone')}"
    return Record(
        key=name,
        label=label,
        method=label.split(":")[0],
        task=task,
        backbone=settings.pop("backbone", SIZES[1]),
        seed=seed,
        deterministic=False,
        primary="exact_match",
        scores={"exact_match": sum(answer.output == "yes" for answer in answers) / EXAMPLES * 100},
        costs=Costs(7, 1.0, 2.0, 0.1),
        answers=tuple(answers),
        spec={"tuning": tuning if label in ("pt", "ipt", "full-ft") else None, "given": carried, "max_new_tokens": 48},
        fingerprints={"backbone": "b" * 64} | ({"soft_prompt": name} if label in ("pt", "ipt") else {}),
        versions={},
        hardware="",
        metric_signatures={},
        prompt="prompts/x" if label in ("pt", "ipt") else "",
    )


def findings_of(name: str, records: list[Record], tmp_path: Path) -> Findings:
    return STUDIES[name].findings(Lab(tmp_path), records)


def counts(findings: Findings) -> list[tuple[int, int, int | None]]:
    return [(verdict.holds, verdict.of, verdict.needed) for verdict in findings.verdicts]


# -- verdicts are counted from the answers --------------------------------------------------------------------------------


def test_the_order_is_judged_task_by_task(tmp_path: Path) -> None:
    """The first task goes the other way in everything."""
    usual = {"zero": 0.0, "icl:random": 0.2, "icl": 0.5, "pt": 0.8, "ipt": 0.9}
    other = {"zero": 0.9, "icl:random": 0.8, "icl": 0.5, "pt": 0.2, "ipt": 0.1}
    shares = {task: other if task == TASKS[0] else usual for task in TASKS}
    records = [
        record_of(label, task, shares[task][label], seed) for task in TASKS for label in usual for seed in range(3)
    ]
    findings = findings_of("order", records, tmp_path)
    assert counts(findings) == [(4, 5, 4), (4, 5, 4), (4, 5, 4), (4, 5, 5)]
    assert [str(verdict).endswith("shown).") for verdict in findings.verdicts] == [True] * 4
    assert [str(verdict).endswith("not shown).") for verdict in findings.verdicts] == [False, False, False, True]
    scores, above = findings.tables
    assert [row[0] for row in scores.rows] == [f"{task} (exact match)" for task in TASKS]
    cell = scores.rows[1][4]
    pt_scores = [record.scores["exact_match"] for record in records if record.task == TASKS[1] and record.label == "pt"]
    assert (
        cell.mean == pytest.approx(sum(pt_scores) / 3) and cell.seeds == 3 and cell.ci95[0] < cell.mean < cell.ci95[1]
    )
    assert above.rows[0][2].points < 0 < above.rows[1][2].points


def test_a_slope_counts_only_where_it_is_sure(tmp_path: Path) -> None:
    records = [
        record_of(label, task, 0.5, seed, rising=0.9 if label == "ipt" and task in TASKS[:2] else 0.0)
        for task in TASKS
        for label in ("pt", "ipt")
        for seed in range(3)
    ]
    findings = findings_of("similarity", records, tmp_path)
    assert counts(findings) == [(2, 5, 3)]
    slopes, bins = findings.tables
    assert len(slopes.rows) == 5 and {row[0] for row in bins.rows} == set(TASKS)
    assert sum(row[2] for row in bins.rows) == 5 * EXAMPLES


def test_spread_is_told_for_every_length(tmp_path: Path) -> None:
    """IPT always answers the same; PT does so at one length."""
    records = [
        record_of(label, task, 0.5, seed if label == "pt" and length != LENGTHS[0] else 0, length=length)
        for task in TWO
        for length in LENGTHS
        for label in ("pt", "ipt")
        for seed in range(5)
    ]
    findings = findings_of("variance", records, tmp_path)
    assert counts(findings) == [(6, 8, None)] and len(findings.tables[0].rows) == 8
    assert all(row[2].std > 0 == row[3].std for row in findings.tables[0].rows if row[1] != LENGTHS[0])


def test_transfer_counts_pairs_and_knows_each_prompts_source(tmp_path: Path) -> None:
    """PT prompts help on every task but one, IPT prompts on all; seeds are those of the source's prompt."""
    records = []
    for task in TASKS:
        records.append(record_of("icl", task, 0.4))
        source_records = [record_of(label, task, 0.5, seed) for label in ("pt", "ipt") for seed in range(2)]
        records += source_records
        for source in source_records:
            for target in TASKS:
                share = 0.9 if target != TASKS[4] or source.label == "ipt" else 0.1
                settings = {"steps": 0, "carried": source.fingerprints["soft_prompt"]}
                records += [record_of("ipt", target, share, source.seed, **settings)] if target != task else []
    findings = findings_of("transfer", records, tmp_path)
    assert counts(findings) == [(16, 20, 10), (20, 20, 10)]
    table = findings.tables[0]
    assert "significantly higher in 16 pairs, significantly lower in 4" in table.caption
    assert [row[1 + place] for place, row in enumerate(table.rows)] == [""] * 5
    assert table.rows[0][1:] != [""] * 5 and all(row[5].points < 0 for row in table.rows[:4])


def test_the_gap_is_told_at_each_size_that_is_there(tmp_path: Path) -> None:
    gaps = {SIZES[0]: 0.5, SIZES[1]: 0.3, SIZES[2]: 0.1}
    records = [
        record_of(label, task, 0.4 + (gaps[size] if label == "full-ft" else 0.0), seed, backbone=size)
        for task in TWO
        for size in SIZES
        for label in ("pt", "full-ft")
        for seed in range(2)
    ]
    findings = findings_of("scale", records, tmp_path)
    assert counts(findings) == [(2, 2, None)] and len(findings.tables[0].rows) == 6
    medium = findings_of("scale", [record for record in records if record.backbone == SIZES[1]], tmp_path)
    assert counts(medium) == [(0, 0, None)] and len(medium.tables[0].rows) == 2
    assert "not judged" in str(medium.verdicts[0])


def test_adaptation_is_judged_where_both_models_are_there(tmp_path: Path) -> None:
    records = [
        record_of("pt", task, 0.8 if model == T5[1] and length == 20 else 0.2, seed, backbone=model, length=length)
        for task in TWO
        for model in T5
        for length in (1, 20)
        for seed in range(3)
    ]
    assert counts(findings_of("t5", records, tmp_path)) == [(2, 4, 4)]
    assert counts(findings_of("t5", [record for record in records if record.backbone == T5[0]], tmp_path)) == [
        (0, 0, 0)
    ]


def test_other_examples_are_not_compared() -> None:
    pt, icl = record_of("pt", TASKS[0], 0.5), record_of("icl", TASKS[0], 0.5)
    fewer = Record(**(vars(icl) | {"answers": icl.answers[:9]}))
    with pytest.raises(ForewordError, match="The records of icl on mini-totto answer other examples"):
        difference_of([pt], [fewer])
    assert score([pt]).mean == pytest.approx(pt.scores["exact_match"])


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a window: letters make these inputs long."""
    return entry.save_model(tmp_path_factory.mktemp("tiny") / "bloom", "bloom")


def smoke(model: Path, out: Path, *more: str) -> list[str]:
    return [
        "--model",
        str(model),
        "--limit",
        "3",
        "--steps",
        "1",
        "--seeds",
        "0",
        "--jobs",
        "1",
        "--out",
        str(out),
        *more,
    ]


def test_a_small_run_of_everything_is_done_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(studies, "TASKS", TWO)
    monkeypatch.setattr(studies, "LENGTHS", (1, 2))
    page = tmp_path / "page.md"
    assert command.main(smoke(model, tmp_path, "--dry-run")) == 0
    priced = capsys.readouterr().out
    assert "order: 10 of 10 trials" in priced and "transfer: 4 of 4 trials" in priced and not list(tmp_path.iterdir())
    assert command.main(smoke(model, tmp_path, "--page", str(page))) == 0
    first = capsys.readouterr()
    assert first.err.count("order ") == 10 and first.err.count("transfer ") == 4
    text = page.read_text(encoding="utf-8")
    assert text.count("## ") == 6 and "Not run" not in text and text.count("**A smoke run on 3 examples") == 6
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()}
    assert all(Record.read(path).spec["max_new_tokens"] == 48 for path in records)
    assert command.main(smoke(model, tmp_path, "--page", str(page))) == 0
    again = capsys.readouterr()
    assert again.err == "" and again.out == first.out and page.read_text(encoding="utf-8") == text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()} == records
    order = json.loads((tmp_path / "order.json").read_text(encoding="utf-8"))
    (tmp_path / "order.json").unlink()
    write_page(Lab(tmp_path), page)
    assert page.read_text(encoding="utf-8") == text  # a part of which this folder has no results stays
    write_page(Lab(tmp_path), tmp_path / "new.md")
    assert (tmp_path / "new.md").read_text(encoding="utf-8").count("Not run.") == 1
    write_json(tmp_path / "order.json", order)
    assert [verdict["of"] for verdict in order["verdicts"]] == [2, 2, 2, 2] and order["measured"]["seeds"] == [0]
    assert {"mean", "ci95", "text"} <= order["tables"][0]["rows"][0][1].keys()
    assert command.main(smoke(model, tmp_path, "--dry-run")) == 0
    assert "all: 0 of " in capsys.readouterr().out


def test_a_missing_model_is_named_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab(tmp_path)
    assert lab.there("reference-medium") and not lab.there("reference-huge")
    assert lab.run("reference-huge", "mini-dart", ("pt",)) == []
    missing = [name for name in T5 if not lab.there(name)]
    if not missing:
        pytest.skip("every model of this study is shipped")
    assert command.main(["--only", "t5", "--dry-run", "--out", str(tmp_path)]) == 2
    streams = capsys.readouterr()
    assert all(f"The model {name} is missing" in streams.err for name in missing) and "all: " in streams.out


def test_wrong_words_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--only", "ordre"])
    assert end.value.code == 2 and "there is no study 'ordre'; known: order" in capsys.readouterr().err
    assert command.main(["--only", "t5", "--model", "nowhere", "--limit", "0", "--out", str(tmp_path)]) == 2
    assert "findings: limit is 0, but must be a whole number" in capsys.readouterr().err


@pytest.mark.slow
def test_several_at_once_give_the_same(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for jobs in ("1", "2"):
        argv = [*smoke(model, tmp_path / jobs, "--only", "order"), "--jobs", jobs]
        assert command.main(argv) == 0
    sequential, parallel = (
        json.loads((tmp_path / jobs / "order.json").read_text(encoding="utf-8")) for jobs in ("1", "2")
    )
    assert sequential["tables"] == parallel["tables"] and sequential["verdicts"] == parallel["verdicts"]


def test_a_run_of_one_part_leaves_the_rest_of_the_committed_page(tmp_path: Path) -> None:
    page, (_, *parts) = tmp_path / "findings.md", command.PAGE.read_text(encoding="utf-8").split("\n## ")
    page.write_text("\n## ".join(["", *parts]), encoding="utf-8")
    write_page(Lab(tmp_path), page)
    assert page.read_text(encoding="utf-8").split("\n## ")[1:] == parts and len(parts) == len(STUDIES)
