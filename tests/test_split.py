"""Which examples stand behind a number: the official split of each task, and what of it a run scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foreword import tasks
from foreword.config.run import Run
from foreword.results.cells import Cell, Coordinates, Scored
from foreword.study.grid import lay_out
from foreword.study.measure import entry
from foreword.study.preset import preset
from foreword.study.price import price
from foreword.study.stored import Folder, State
from foreword.study.unit import scored_of


@pytest.mark.parametrize(
    ("task", "split", "official"),
    [
        ("totto", "dev", 7700),
        ("dart", "test", 5097),
        ("spider", "dev", 1034),
        ("mtop", "test", 4386),
        ("logic2text", "test", 1092),
        ("mrpc", "test", 1725),
        ("qqp", "dev", 40430),
        ("cb", "dev", 56),
        ("squad", "dev", 10570),
    ],
)
def test_what_is_scored_is_test_or_dev_where_test_is_hidden(task: str, split: str, official: int) -> None:
    held = tasks.scored(task)
    assert held is not None and (held.name, held.official) == (split, official)


@pytest.mark.parametrize("task", ["mini-dart", "subj", "g2p"])
def test_a_source_without_official_splits_has_none_that_is_scored(task: str) -> None:
    assert tasks.scored(task) is None


def _compact(root: Path) -> Path:
    """A data folder with XSemPLR's part of MTOP, of which only the names are looked at."""
    (root / "mtop").mkdir(parents=True)
    for split in ("dev", "test"):
        (root / "mtop" / f"{split}.en.compact.tsv").write_text("")
    return root


def test_a_run_says_what_of_the_official_split_it_scores(tmp_path: Path) -> None:
    run = Run(model="reference", task="mtop", data_dir=str(_compact(tmp_path)))
    assert scored_of(run, 1237, 1237) == Scored("mtop", "test", 1237, 4386, "rows")
    limited = run.model_copy(update={"limit": 200})
    assert scored_of(limited, 200, 200) == Scored("mtop", "test", 200, 4386, "examples")
    (tmp_path / "mtop" / "test.txt").write_text("")
    assert scored_of(run, 4386, 4386) == Scored("mtop", "test", 4386, 4386, "rows"), "the official file goes first"


def test_rows_that_are_one_example_are_no_part(tmp_path: Path) -> None:
    (tmp_path / "e2e_nlg").mkdir()
    (tmp_path / "e2e_nlg" / "testset_w_refs.csv").write_text("")
    run = Run(model="reference", task="e2e", data_dir=str(tmp_path), limit=1000)
    assert scored_of(run, 630, 630) == Scored("e2e", "test", 4693, 4693, "rows"), "630 meanings have 4,693 rows"
    assert scored_of(run, 627, 630) == Scored("e2e", "test", 627, 630, "examples"), "three did not fit the model"


def test_dev_is_the_official_one_or_a_part_of_train() -> None:
    run = Run(model="reference", task="sst2")
    assert scored_of(run, 872, 872, "dev") == Scored("sst2", "dev", 872, 872, "rows")
    cut = scored_of(run.model_copy(update={"task": "mrpc"}), 400, 400, "dev")
    assert cut is not None and cut.split == "a part of train", "the corpus has no dev split"


def test_of_a_task_that_is_made_here_nothing_is_known_to_be_a_part() -> None:
    assert scored_of(Run(model="reference", task="mini-dart", limit=3), 3, 3) is None


def test_a_cell_that_ended_keeps_what_it_was_scored_on(tmp_path: Path) -> None:
    part = Scored("mtop", "test", 1237, 4386, "rows")
    folder = Folder(tmp_path)
    folder.record_path("key").parent.mkdir(parents=True)
    folder.record_path("key").write_text("{}")
    folder.end("cell", State("done", "key", scored=vars(part)))
    state = folder.state("cell")
    assert state is not None and state.scored is not None and Scored(**state.scored) == part
    at = Coordinates("grid", "m", "mtop", "pt", 0)
    cells = [Cell(str(seed), replace(at, seed=seed), {}, "waiting", scored=part) for seed in (0, 1)]
    assert entry(cells).scored == (part,)


def counted(name: str, out: Path) -> str:
    """What a study at full scale says of its examples before it runs."""
    (line,) = [line for line in price(lay_out(preset(name), "full"), out).sentences() if line.startswith("Examples")]
    return line


def test_each_task_of_an_estimate_has_its_own_sizes(tmp_path: Path) -> None:
    line = counted("lester2021-scale", tmp_path)
    names = "boolq+cb+copa+multirc+record+rte+wic+wsc"
    assert f"; cb 250 train, 56 scored, trained on {names};" in line
    assert f"boolq 9,427 train, 3,270 scored, trained on {names};" in line


def test_what_is_trained_on_is_said_by_name_where_it_is_another_task(tmp_path: Path) -> None:
    line = counted("lester2021-paraphrase", tmp_path)
    assert "mrpc 4,076 train, 1,725 scored, trained on qqp" in line
    assert "qqp 363,849 train, 40,430 scored, trained on mrpc" in line
    shift = counted("lester2021-domain-shift", tmp_path)
    assert "squad 87,599 train, 10,570 scored;" in shift
    assert "mrqa-bioasq 1,504 scored, trained on squad" in shift, "it has no training split"


def test_mtop_at_full_scale_is_scored_on_the_eval_split(tmp_path: Path) -> None:
    assert "mtop-dev 15,667 train, 2,235 scored" in counted("sun2023-main", tmp_path)
