"""The admission bench on a tiny model: its three contenders give the same answers, and admitting takes the fewest passes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import tiny


@pytest.fixture
def admission(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "bench"), *sys.path])
    import admission

    return admission


def test_its_contenders_give_the_same_answers_and_admitting_takes_fewer_passes(admission: Any) -> None:
    backbone = tiny.backbone("llama", 0)
    requests = admission.requests(backbone, 24, 3, 0)
    answers, passes = admission.admitting(backbone, requests, 4)
    for contender in (admission.whole, admission.staying):
        others, more = contender(backbone, requests, 4)
        assert others == answers and more > passes
    assert [len(ids) for ids in answers] == [request.max_new_tokens for request in requests]
    assert len({len(ids) for ids in answers}) > 5
