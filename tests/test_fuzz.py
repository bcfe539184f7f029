"""What ever failed under mutated inputs is run again each time, with a few new ones; `make fuzz` runs thousands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreword.util.errors import ForewordError
from fuzz import bases, cases, guard, targets

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is counted as Linux counts it"
)
CORPUS = cases.corpus_cases()
FEW = 60


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cases.Runner]:
    yield cases.Runner(tmp_path_factory.mktemp("fuzz"))


def test_what_ever_failed_fails_no_more(runner: cases.Runner) -> None:
    """Each input of the corpus is answered or refused in one sentence, within the limits."""
    assert len(CORPUS) >= 40
    wrong = {
        f"{case.target} {case.base} {case.file} (once: {why})": fault
        for case, why in CORPUS
        if (fault := runner.fault(case))
    }
    assert not wrong, wrong


@pytest.mark.parametrize("target", [*targets.FOLDERS, *targets.WORDS])
def test_a_few_new_inputs_of_each_kind(target: str, runner: cases.Runner) -> None:
    """The first inputs that `make fuzz` would draw of this kind; the sound folder itself is read without a refusal."""
    if target in targets.FOLDERS:
        name = next(name for name in bases.bases() if name.startswith(f"{target}/"))
        file = bases.bases()[name].changed[0]
        folder = runner._folder(name)
        targets.FOLDERS[target](folder, file)
    few = 3 if target == "model" else FEW
    wrong = {number: fault for number in range(few) if (fault := runner.fault(cases.drawn(0, number, (target,))))}
    assert not wrong, wrong


def test_the_same_number_is_the_same_input() -> None:
    assert [cases.drawn(3, n) for n in range(30)] == [cases.drawn(3, n) for n in range(30)]
    assert len({cases.drawn(3, n) for n in range(30)}) > 25


def test_the_guard_sees_what_it_guards_against() -> None:
    """Time, memory, an error that is no refusal and a panic's kind of error are each told; a refusal and an answer are not."""

    class PanicException(BaseException): ...

    def refuse() -> None:
        raise ForewordError("Nothing is wrong.")

    def panic() -> None:
        raise PanicException("in Rust")

    def forever() -> None:
        while True:
            pass

    held: list[bytes] = []
    assert guard.fault(lambda: 1) == ""
    assert guard.fault(refuse) == ""
    assert "PanicException" in guard.fault(panic)
    assert "ZeroDivisionError" in guard.fault(lambda: 1 / 0)
    assert "MemoryError" in guard.fault(lambda: held.append(bytes(2 * guard.MEMORY)))
    assert "longer than" in guard.fault(forever)
