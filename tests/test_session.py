"""Sessions: requests that come and go, each with its own prefix, limit, stop texts and sampling, get the answer that they get alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from foreword.engine import Backbone, GeneratedToken, Prefix, Request, Sampling, Session, wrap
from foreword.engine import shared_prefix_decoder as slots
from foreword.engine.sampling import choose
from foreword.util.errors import ForewordError

FAMILIES = ("gpt2", "llama", "gemma2", "bloom")
OTHERS = ("falcon", "mamba", "t5")  # whose rows join as cohorts


def requests(backbone: Backbone, count: int, seed: str, longest: int = 8) -> list[Request]:
    """Requests that differ in everything a request has."""
    rng = Random(f"requests/{seed}")
    prefixes = [Prefix.of(tiny.soft(backbone, 1 + 2 * number, number)) for number in range(4)] + [None]
    words = [piece for piece in backbone.target_tokenizer.pieces(tiny.ids(40, seed)) if piece.isalpha()]
    samplings = [
        Sampling(),
        Sampling(temperature=0.7, seed=rng.randrange(99)),
        Sampling(temperature=1.3, top_k=20, top_p=0.9, seed=rng.randrange(99)),
        Sampling(temperature=1.0, min_p=0.05, repetition_penalty=1.3, seed=rng.randrange(99)),
        Sampling(repetition_penalty=1.5),
    ]
    rows = tiny.rows(count, seed=seed, longest=14, answer=0)
    return [
        Request(
            replace(row, prefix=tiny.ids(rng.randrange(3), "shared")),
            rng.choice(prefixes),
            rng.randint(1, longest),
            (rng.choice(words),) if words and rng.random() < 0.3 else (),
            rng.choice(samplings),
            rng.choice([None, 0, 3]),
        )
        for row in rows
    ]


def alone(backbone: Backbone, request: Request) -> list[GeneratedToken]:
    session = backbone.session()
    session.admit([request])
    return list(session.run())


def tokens_and_reasons(events: list[GeneratedToken]) -> list[tuple[int, str | None]]:
    return [(event.token, event.finish_reason) for event in events]


def assert_alone(backbone: Backbone, requests: dict[int, Request], events: dict[int, list[GeneratedToken]]) -> None:
    for number, request in requests.items():
        expected = alone(backbone, request)
        assert tokens_and_reasons(events[number]) == tokens_and_reasons(expected), request
        assert [event.finish_reason for event in events[number][:-1]] == [None] * (len(expected) - 1)
        for event, other in zip(events[number], expected, strict=True):
            assert (event.logprob is None) == (request.top_logprobs is None)
            if event.logprob is not None and other.logprob is not None:
                assert event.logprob == pytest.approx(other.logprob, abs=1e-4)
                assert [value for _, value in event.top] == pytest.approx([value for _, value in other.top], abs=1e-4)
                assert len(event.top) == request.top_logprobs


def arriving(
    backbone: Backbone, requests: list[Request], seed: str, **limits: Any
) -> tuple[dict[int, Request], dict[int, list[GeneratedToken]]]:
    """Admit a few requests at a time, at random steps."""
    rng, session, waiting = Random(seed), backbone.session(**limits), list(requests)
    numbers: dict[int, Request] = {}
    events: dict[int, list[GeneratedToken]] = {}
    while waiting or len(session):
        if waiting and (not len(session) or rng.random() < 0.5):
            coming = [waiting.pop(0) for _ in range(min(len(waiting), rng.randint(1, 9)))]
            admit = session.prefill if rng.random() < 0.3 else session.admit
            numbers |= dict(zip(admit(coming), coming, strict=True))
        for event in session.step():
            events.setdefault(event.id, []).append(event)
    return numbers, events


@pytest.mark.parametrize("family", FAMILIES)
def test_two_hundred_requests_that_arrive_at_random_are_answered_as_alone(family: str) -> None:
    backbone = tiny.backbone(family, 0, True)
    admitted, events = arriving(backbone, requests(backbone, 200, family), family, max_rows=24, max_tokens=700)
    assert len(events) == 200
    assert_alone(backbone, admitted, events)


@pytest.mark.parametrize("family", OTHERS)
def test_so_it_is_where_rows_join_as_cohorts(family: str) -> None:
    backbone = tiny.backbone(family)
    admitted, events = arriving(backbone, requests(backbone, 30, family, 5), family, max_rows=10)
    assert_alone(backbone, admitted, events)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_stands_beside_a_request_it_gets_its_own_answer(data: st.DataObject) -> None:
    backbone = tiny.backbone("llama")
    arrivals = requests(backbone, data.draw(st.integers(1, 12)), str(data.draw(st.integers(0, 10**6))), 5)
    limits = {"max_rows": data.draw(st.integers(1, 9)), "max_tokens": data.draw(st.integers(1, 200))}
    numbers, events = arriving(backbone, arrivals, str(data.draw(st.integers(0, 99))), **limits)
    assert_alone(backbone, numbers, events)


def test_a_long_input_is_read_in_pieces_between_the_others_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny.backbone("llama")
    monkeypatch.setattr(slots, "SLICE", 8)
    row = tiny.rows(1, answer=0)[0]
    long = replace(row, own=tiny.ids(50, "long"))
    session = backbone.session()
    first, second = (
        session.admit([Request(row, None, 12, ended=lambda _: False)]),
        session.admit([Request(long, None, 3, ended=lambda _: False)]),
    )
    order = [event.id for event in session.run()]
    assert order.count(first[0]) == 12 and order.count(second[0]) == 3
    assert order.index(second[0]) >= 6, "the short one answers while the long one is read"
    assert backbone.generate(None, [row, long], 3) == [backbone.generate(None, [each], 3)[0] for each in (row, long)]


def test_a_request_may_be_taken_out_at_any_time() -> None:
    backbone = tiny.backbone("gpt2")
    requests = [Request(row, None, 9, ended=lambda _: False) for row in tiny.rows(6, answer=0)]
    session = backbone.session(max_rows=4)
    numbers = session.admit(requests)
    session.step()
    assert session.retire(numbers[1]) and session.retire(numbers[5]) and not session.retire(99)
    events: dict[int, list[int]] = {}
    for event in session.run():
        events.setdefault(event.id, []).append(event.token)
    assert set(events) == {numbers[0], numbers[2], numbers[3], numbers[4]}
    assert events[numbers[4]] == backbone.answer([requests[4]])[0]
    assert not session.retire(numbers[0])


def test_no_more_rows_and_tokens_are_held_than_allowed() -> None:
    backbone = tiny.backbone("llama")
    session = backbone.session(max_rows=3, max_tokens=40)
    rows = [replace(row, own=tiny.ids(6, place)) for place, row in enumerate(tiny.rows(9, answer=0))]
    session.admit([Request(row, None, 6, ended=lambda _: False) for row in rows])
    sizes = []
    while len(session):
        session.step()
        sizes.append(len(session.running))
    assert max(sizes) == 3
    alone = backbone.session(max_rows=3, max_tokens=5)
    alone.admit([Request(rows[0], None, 6)])
    assert [event.id for event in alone.run()], "a request that needs more than allowed goes alone"


def test_what_does_not_fit_the_window_is_refused_and_nothing_is_admitted() -> None:
    backbone = tiny.backbone("gpt2")
    assert backbone.window is not None
    session = backbone.session()
    row = tiny.rows(1, answer=0)[0]
    with pytest.raises(
        ForewordError, match=f"needs .* positions .* has {backbone.window}; shorten it, or lower max_new_tokens"
    ):
        session.admit([Request(row, None, 2), Request(row, None, backbone.window)])
    with pytest.raises(
        ForewordError, match=f"holds token {backbone.vocab}, and the model has vectors for {backbone.vocab}"
    ):
        session.admit([Request(replace(row, own=(backbone.vocab,)), None, 2)])
    assert not len(session)
    with pytest.raises(ForewordError, match="max_new_tokens is 0"):
        Request(row, None, 0)


# -- sampling -------------------------------------------------------------------------------------------------------------


def test_a_sampled_token_follows_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, float("-inf")])
    for temperature in (0.5, 1.0, 2.0):
        expected = torch.softmax(logits / temperature, dim=0)
        counts = torch.zeros(5)
        for seed in range(4000):
            counts[choose(logits, Sampling(temperature=temperature, seed=seed), 3, ())] += 1
        assert float((counts / 4000 - expected).abs().max()) < 0.03
        assert counts[4] == 0


def test_logits_that_differ_by_little_draw_the_same_token() -> None:
    rng = torch.Generator().manual_seed(0)
    sampling = Sampling(temperature=0.7, top_p=0.9)
    changed = 0
    for trial in range(3000):
        logits = 0.3 * torch.randn(300, generator=rng)
        other = logits + 1e-4 * torch.randn(300, generator=rng)  # a thousand times what rounding does
        drawn = {choose(each, replace(sampling, seed=trial), 0, ()) for each in (logits, other)}
        changed += len(drawn) > 1
    assert changed <= 2, "a draw on a cumulative sum changes in 15"


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=5.0, top_k=2), {0, 1}),
        (Sampling(temperature=1.0, top_p=0.6), {0}),
        (Sampling(temperature=1.0, top_p=0.7), {0, 1}),
        (Sampling(temperature=1.0, min_p=0.3), {0, 1}),
        (Sampling(temperature=1.0, top_k=1), {0}),
    ],
)
def test_filters_leave_the_likeliest(sampling: Sampling, possible: set[int]) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])  # 0.64, 0.24, 0.09, 0.03
    drawn = {choose(logits, replace(sampling, seed=seed), 0, ()) for seed in range(300)}
    assert drawn == possible


def test_the_filters_are_the_model_librarys() -> None:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    rng = torch.Generator().manual_seed(0)
    for trial in range(20):
        logits, input_ids = torch.randn(1, 50, generator=rng) * 3, torch.randint(0, 50, (1, 9), generator=rng)
        theirs = LogitsProcessorList(
            [
                RepetitionPenaltyLogitsProcessor(1.4),
                TemperatureLogitsWarper(0.8),
                TopKLogitsWarper(20),
                TopPLogitsWarper(0.9),
                MinPLogitsWarper(0.02),
            ]
        )(input_ids, logits.clone())
        sampling = Sampling(temperature=0.8, top_k=20, top_p=0.9, min_p=0.02, repetition_penalty=1.4)
        allowed = set(torch.nonzero(torch.isfinite(theirs[0])).flatten().tolist())
        drawn = {choose(logits[0], replace(sampling, seed=seed), trial, input_ids[0].tolist()) for seed in range(400)}
        assert drawn <= allowed
        likely = torch.softmax(theirs[0].double(), dim=0)
        assert {int(i) for i in torch.nonzero(likely > 0.03).flatten()} <= drawn


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"min_p": 1.5}, {"top_k": -1}, {"repetition_penalty": 0.0}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ForewordError, match=f"{next(iter(wrong))} is .* and must be"):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_another_seed_is_another_answer_and_the_same_seed_the_same() -> None:
    backbone = tiny.backbone("llama")
    row = tiny.rows(1, answer=0)[0]
    draws = [backbone.answer([Request(row, None, 8, sampling=Sampling(1.5, seed=seed))])[0] for seed in (1, 2, 1)]
    assert draws[0] == draws[2] != draws[1]


def test_several_sessions_run_on_one_backbone() -> None:
    backbone = wrap("fresh", copy.deepcopy(tiny.model("llama")), tiny.tokenizer())
    admitted = requests(backbone, 12, "several", 5)
    sessions: list[Session] = [backbone.session(), backbone.session(max_rows=2)]
    numbers = [session.admit(admitted) for session in sessions]
    events: list[dict[int, list[GeneratedToken]]] = [{}, {}]
    while any(len(session) for session in sessions):
        for session, session_events in zip(sessions, events, strict=True):
            for event in session.step():
                session_events.setdefault(event.id, []).append(event)
    for ids, session_events in zip(numbers, events, strict=True):
        assert_alone(backbone, dict(zip(ids, admitted, strict=True)), session_events)
