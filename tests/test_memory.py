"""The token budget gives way to memory that is really short: batches shrink, nothing finished is lost; other errors are not hidden, and a
row that never fits is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from foreword.engine import Backbone, Row
from foreword.engine.memory import Budget, out_of_memory
from foreword.train.loop import dev_loss
from foreword.util.errors import ForewordError

TESTS = Path(__file__).parent


def full() -> RuntimeError:
    """The error that torch raises here when it is asked for more memory than any machine has."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    return caught.value


def test_an_allocator_that_refuses_is_known_from_other_errors() -> None:
    assert out_of_memory(full()) and out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("CUDA"))
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(caught.value) and not out_of_memory(ValueError("out of memory"))


@given(st.lists(st.integers(1, 40), max_size=20), st.integers(1, 9), st.integers(1, 600), st.integers(40, 600))
def test_every_place_is_worked_on_once_whatever_the_memory_holds(
    lengths: list[int], batch_size: int, tokens: int, memory: int
) -> None:
    budget, failed = Budget(tokens), []

    def work(places: list[int]) -> list[int]:
        size = len(places) * max(lengths[place] for place in places)
        if size > memory:
            failed.append(size)
            raise MemoryError
        return [10 * place for place in places]

    batches = list(budget.run(lengths, work, batch_size=batch_size, free=lambda: None))
    assert sorted(place for places, _ in batches for place in places) == list(range(len(lengths)))
    assert all(results == [10 * place for place in places] and len(places) <= batch_size for places, results in batches)
    assert failed == sorted(failed, reverse=True) and len(set(failed)) == len(failed), "each try is smaller"
    assert budget.tokens == tokens if not failed else budget.tokens <= failed[-1] // 2


def test_memory_is_freed_before_the_next_try_and_finished_batches_stay() -> None:
    events: list[object] = []

    def work(places: list[int]) -> int:
        events.append(len(places))
        if events == [4, 4]:  # the second batch fails once
            raise full()
        return len(places)

    budget = Budget(1000)
    done = [len(places) for places, _ in budget.run([5] * 10, work, batch_size=4, free=lambda: events.append("freed"))]
    assert events == [4, 4, "freed", 2, 2, 2] and done == [4, 2, 2, 2] and budget.tokens == 10


def test_a_row_that_does_not_fit_alone_is_refused() -> None:
    def work(places: list[int]) -> None:
        raise full()

    with pytest.raises(
        ForewordError, match=r"does not hold a single row of 7 tokens \(.*allocate.*\); lower --max-new-tokens"
    ):
        list(Budget(1000).run([7, 3], work, batch_size=2))


def test_another_error_is_raised_as_it_is() -> None:
    def work(places: list[int]) -> None:
        raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        list(Budget(1000).run([7, 3], work, batch_size=2))


def test_a_dev_evaluation_goes_on_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a training step does: its batches are of a size that no setting lowers."""
    backbone, rows = tiny.backbone("gpt2"), tiny.rows(12)
    soft, loss = tiny.soft(backbone, 3), Backbone.loss
    whole = dev_loss(backbone, rows, 64)(soft)
    sizes: list[int] = []

    def short(self: Backbone, prefix: Any, rows: Sequence[Row]) -> Any:
        sizes.append(len(rows))
        if len(rows) > 5:
            raise full()
        return loss(self, prefix, rows)

    monkeypatch.setattr(Backbone, "loss", short)
    evaluate = dev_loss(backbone, rows, 64)
    assert evaluate(soft) == pytest.approx(whole, rel=1e-6) and sizes[0] == 12
    sizes.clear()
    assert evaluate(soft) == pytest.approx(whole, rel=1e-6) and max(sizes) <= 5, "the next one knows it"


SHORT = """
import resource, sys
import torch
import tiny
from foreword.engine import Backbone
from foreword.engine.shared_prefix_decoder import SharedPrefixDecoder
from foreword.data.examples import Example
from foreword.prompts.layout import Layout
from foreword.prompts.methods import METHODS
from foreword.infer.predict import predict
from foreword.data.template import Template

torch.set_num_threads(1)
choices, count, spare = eval(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
backbone = tiny.backbone("gpt2")
examples = [Example(str(i), {"input": " ".join(["ba lo", "tem ri", "na"][(i * k) % 3] for k in range(12))}, (), choices)
            for i in range(count)]
layout = Layout(backbone, Template(), METHODS["pt"], soft=3, reserve=4)
laid = [layout.lay(example) for example in examples]
sizes = []
scores, admits = Backbone.score, SharedPrefixDecoder.admit

def scored(self, soft, rows):
    sizes.append(len(rows))
    return scores(self, soft, rows)

def admitted(self, entries, expected=()):
    sizes.append(len(entries))
    return admits(self, entries, expected)

Backbone.score, SharedPrefixDecoder.admit = scored, admitted

def answers():
    sizes.clear()
    return predict(backbone, Template(), tiny.soft(backbone, 3), laid, longest=3, batch_size=count).outputs

predict(backbone, Template(), tiny.soft(backbone, 3), laid[:2], longest=3, batch_size=2)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
unlimited = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + spare * 2**20, unlimited[1]))
short = answers()
tried = list(sizes)
resource.setrlimit(resource.RLIMIT_AS, unlimited)
assert answers() == short, "the memory changes no answer"
print(max(sizes), tried[0], min(tried), sum(tried) - count * max(1, len(choices)))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="an address space can be limited on Linux only")
@pytest.mark.parametrize("choices", [(), ("ba", "tem")])
def test_answers_are_the_same_where_memory_is_really_short(choices: tuple[str, ...]) -> None:
    """The process is left too little address space for the whole batch: torch's allocator fails, smaller batches go through."""
    completed = subprocess.run(
        [sys.executable, "-c", SHORT, repr(choices), "600", "12"],
        capture_output=True,
        text=True,
        cwd=TESTS,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    whole, first, least, again = map(int, completed.stdout.split())
    assert whole == first == 600 and least < 600 and again >= 600, "the whole batch was tried, and went again in parts"
