"""A study on a Ray cluster of two nodes, one of which is killed in the middle: every cell is there, with the scores of a run in one
process; slow."""

from __future__ import annotations

from pathlib import Path

import pytest

import entry
from foreword.study.executors import Job
from foreword.study.executors.cluster import on_cluster
from foreword.study.grid import lay_out
from foreword.study.preset import preset
from foreword.study.running import carry_out
from foreword.study.stored import Folder, read
from foreword.util.errors import MissingExtraError

STUDY = """
title = "Mine"
questions = ["main"]

[[parts]]
name = "grid"
methods = ["zero", "icl-1", "pt", "ipt"]

[smoke]
models = {{ m = "{model}" }}
tasks = {{ a = "mini-dart", b = "mini-totto" }}
seeds = [0, 1, 2, 3, 4]
run = {{ limit = 3, train_limit = 8, max_new_tokens = 4, tuning = {{ max_steps = 2, eval_every = 2, dev_limit = 2, prompt_length = 2 }} }}
"""


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_finishes_every_cell(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'foreword[ray]'")
    from ray.cluster_utils import Cluster

    path = tmp_path / "mine.toml"
    path.write_text(STUDY.format(model=entry.save_model(tmp_path / "bloom", "bloom")), encoding="utf-8")
    study = lay_out(preset(str(path)), "smoke")
    assert len(study.cells) == 24
    carry_out(study, Job(tmp_path / "inline", "mine"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    out, killed = tmp_path / "ray", []
    folder = Folder(out)
    try:
        other = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        assert ray.cluster_resources()["CPU"] == 2

        def watch() -> None:
            ended = sum(folder.state(cell.id) is not None for cell in study.cells)
            if not killed and ended >= 8:
                cluster.remove_node(other, allow_graceful=False)
                killed.append(ended)

        carry_out(study, Job(out, "mine", patience=10.0), run=lambda job, look: on_cluster(job, watch))
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed and killed[0] < 24
    for expected, actual in zip(read(tmp_path / "inline", "mine").cells, read(out, "mine").cells, strict=True):
        assert expected.record is not None and actual.record is not None, actual.cause
        assert (expected.record.scores, expected.record.answers) == (actual.record.scores, actual.record.answers)


def test_without_ray_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(
        MissingExtraError, match=r"needs a library that is not installed here: pip install 'foreword\[ray\]'"
    ):
        on_cluster(Job(tmp_path, "mine"), lambda: None)
