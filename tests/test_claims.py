"""Claims on shared work: one has it, the dead are succeeded, a late sleeper learns that it holds nothing, and nothing is written twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from foreword.util.claims import Claim, Claims
from foreword.util.files import write_json_once


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def take(claims: Claims, name: str = "unit") -> Claim:
    claim = claims.take(name)
    assert claim is not None
    return claim


def test_one_has_it_until_it_is_given_back(tmp_path: Path) -> None:
    mine, others = Claims(tmp_path), Claims(tmp_path)
    claim = take(mine)
    assert claim.turn == 1 and not claim.lost() and others.take("unit") is None
    assert others.held() == {"unit": 1} and take(others, "other").turn == 1
    claim.release()
    assert others.take("unit") is not None


def test_many_that_race_get_it_once(tmp_path: Path) -> None:
    taken: list[Claim | None] = []
    gate = threading.Barrier(8)

    def race() -> None:
        claims = Claims(tmp_path)
        gate.wait()
        taken.append(claims.take("unit"))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 8 and sum(claim is not None for claim in taken) == 1


DIES = (
    "import sys, os; from pathlib import Path; from foreword.util.claims import Claims\n"
    "Claims(Path(sys.argv[1])).take('unit'); os._exit(9)"
)


def test_a_process_that_died_is_succeeded_at_once(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert Claims(tmp_path).held() == {"unit": 1}
    claim = take(Claims(tmp_path))
    assert claim.turn == 2, "the turn counts who died at it"
    assert Claims(tmp_path).take("unit") is None
    claim.release()
    assert Claims(tmp_path).held() == {}


def test_the_claims_of_the_dead_can_be_swept(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    claim = take(Claims(tmp_path), "alive")
    Claims(tmp_path).sweep()
    assert Claims(tmp_path).held() == {"alive": 1} and not claim.lost()


def test_one_without_a_sign_of_life_is_succeeded_and_learns_of_it(tmp_path: Path) -> None:
    """It is stopped, or on a machine that is gone: its lock says nothing, its heartbeat does."""
    clock = Clock()
    others = Claims(tmp_path, patience=10.0, now=clock)
    sleeper = take(Claims(tmp_path))
    assert others.take("unit") is None
    clock.time = 9.0
    sleeper.beat()
    os.utime(sleeper.path, (clock.time, clock.time))
    assert others.take("unit") is None, "a sign of life"
    clock.time = 18.0
    assert others.take("unit") is None, "patience counts from the last sign"
    clock.time = 19.5
    heir = take(others)
    assert heir.turn == 2 and sleeper.lost() and not heir.lost()
    sleeper.beat()
    sleeper.release()
    assert not heir.lost() and others.held() == {"unit": 2}, "who comes late takes nothing away"


def test_signs_of_life_go_on_while_work_does(tmp_path: Path) -> None:
    claims = Claims(tmp_path, beat=0.02)
    claim = take(claims)
    os.utime(claim.path, (1, 1))
    calls: list[int] = []
    with claims.alive(claim, lambda: calls.append(1)):
        while not calls or claim.path.stat().st_mtime == 1:
            threading.Event().wait(0.01)
    assert claims.held() == {}


def test_what_is_written_once_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert write_json_once(path, {"by": "first"}) and not write_json_once(path, {"by": "second"})
    assert "first" in path.read_text(encoding="utf-8") and [each.name for each in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_claim_is_waited_for_and_then_succeeded(text: str, tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "unit.1.claim").write_text(text, encoding="utf-8")
    claims = Claims(tmp_path, patience=5.0, now=clock)
    assert claims.take("unit") is None
    clock.time = 6.0
    assert take(claims).turn == 2
