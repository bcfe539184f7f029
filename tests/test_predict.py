"""Answers: the likeliest of the choices or a greedy text, in the order asked, whatever the batch size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import tiny
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, GeneratedToken, Row, Session, core, wrap
from foreword.infer import predict as room
from foreword.infer.choosing import choice_ids
from foreword.infer.predict import predict
from foreword.prompts.layout import Layout
from foreword.prompts.methods import METHODS

TEMPLATE = Template(question="{input}\nOutput:")
CHOICES = ("ba", "lo ri", "tem", "na sho ku")


def make_examples(count: int, choices: tuple[str, ...] = ()) -> list[Example]:
    words = ["ba", "lo", "ri", "tem", "na", "sho"]
    texts = [" ".join(words[(i * k + k) % 6] for k in range(1 + (7 * i) % 9)) for i in range(count)]
    return [Example(f"e{i}", {"input": text}, (), choices) for i, text in enumerate(texts)]


def laid(backbone: Backbone, examples: list[Example], soft: int = 3):  # type: ignore[no-untyped-def]
    layout = Layout(backbone, TEMPLATE, METHODS["pt"], soft=soft, reserve=6)
    return [layout.lay(example) for example in examples]


@torch.no_grad()
def plain_choice(backbone: Backbone, soft: torch.Tensor | None, row: Row, choices: tuple[str, ...]) -> str:
    """The choice with the highest summed log-probability, each scored alone on the plain path."""
    scores = []
    for ids in choice_ids(backbone, TEMPLATE, choices):
        candidate = Row(row.prefix, row.own, ids)
        engine = backbone.engine
        logits, _ = (engine.answer_logits if backbone.kind == "seq2seq" else engine.joined_logits)(soft, [candidate])  # type: ignore[attr-defined]
        log_probabilities = functional.log_softmax(logits.double(), dim=-1)
        scores.append(sum(float(log_probabilities[place, token]) for place, token in enumerate(ids)))
    return choices[scores.index(max(scores))]


@pytest.mark.parametrize("family", ["llama", "bloom", "mistral", "mamba", "t5", "bart"])
def test_the_likeliest_choice_is_picked(family: str) -> None:
    backbone = tiny.backbone(family)
    soft, examples = tiny.soft(backbone, 3), make_examples(9, CHOICES)
    expected = [plain_choice(backbone, soft, each.row(), CHOICES) for each in laid(backbone, examples)]
    for batch_size in (1, 4, 16):
        predictions = predict(backbone, TEMPLATE, soft, laid(backbone, examples), longest=6, batch_size=batch_size)
        assert list(predictions.outputs) == expected


def test_each_example_has_its_own_choices() -> None:
    backbone = tiny.backbone("llama")
    examples = [
        Example("a", {"input": "ba"}, (), ("tem",)),
        Example("b", {"input": "ba"}, (), ("na", "sho")),
        *make_examples(2),
    ]
    predictions = predict(backbone, TEMPLATE, None, laid(backbone, examples, 0), longest=4, batch_size=3)
    assert predictions.outputs[0] == "tem" and predictions.outputs[1] in ("na", "sho")
    rows = [each.row() for each in laid(backbone, examples, 0)[2:]]
    ids = backbone.generate(None, rows, 4, stop=TEMPLATE.stop)
    assert list(predictions.outputs[2:]) == [TEMPLATE.read(backbone.target_tokenizer.text(each)) for each in ids]


def test_equal_choices_go_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny.backbone("llama")
    monkeypatch.setattr(Backbone, "score", lambda self, soft, rows: [1.0] * len(rows))
    predictions = predict(
        backbone, TEMPLATE, None, laid(backbone, make_examples(3, CHOICES), 0), longest=4, batch_size=2
    )
    assert predictions.outputs == ("ba",) * 3


def test_choices_are_compared_without_their_end_unless_one_begins_another() -> None:
    backbone = tiny.backbone("llama")
    assert choice_ids(backbone, TEMPLATE, ("ba", "tem")) == [
        backbone.target_tokenizer.ids(" ba", first=False),
        backbone.target_tokenizer.ids(" tem", first=False),
    ]
    clash = choice_ids(backbone, TEMPLATE, ("ba", "ba lo", "tem"))
    assert clash == [backbone.answer_ids(" ba"), backbone.answer_ids(" ba lo"), backbone.answer_ids(" tem")]
    assert all(ids[-1] == backbone.eos[0] for ids in clash)
    assert not any(a != b and b[: len(a)] == a for a in clash for b in clash)
    other = tiny.backbone("t5")
    assert choice_ids(other, TEMPLATE, ("ba", "tem")) == [other.answer_ids(" ba"), other.answer_ids(" tem")]


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5"])
def test_texts_come_in_the_order_asked_whatever_the_batch_size(family: str) -> None:
    backbone = tiny.backbone(family)
    soft, examples = tiny.soft(backbone, 3), make_examples(18)
    outputs = {
        size: predict(backbone, TEMPLATE, soft, laid(backbone, examples), longest=5, batch_size=size).outputs
        for size in (1, 5, 16)
    }
    assert outputs[1] == outputs[5] == outputs[16]
    backwards = predict(backbone, TEMPLATE, soft, laid(backbone, examples[::-1]), longest=5, batch_size=5).outputs
    assert backwards[::-1] == outputs[1]
    assert len(set(outputs[1])) > 3


def test_a_token_budget_splits_the_batch_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny.backbone("llama")
    examples = make_examples(12)
    expected = predict(backbone, TEMPLATE, None, laid(backbone, examples, 0), longest=5, batch_size=12).outputs
    sizes: list[int] = []
    step = Session.step

    def counted(self: Session) -> list[GeneratedToken]:
        events = step(self)
        sizes.append(len({event.id for event in events}))
        return events

    monkeypatch.setattr(Session, "step", counted)
    monkeypatch.setattr(room, "TOKEN_BUDGET", 90)
    assert predict(backbone, TEMPLATE, None, laid(backbone, examples, 0), longest=5, batch_size=12).outputs == expected
    assert 1 < max(sizes) < 12


def test_answers_take_no_more_memory_than_the_weights_or_two_gibibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of 8 numbers, 2 a layer, 3 layers, keys and values of 4 bytes: 384 bytes a token."""
    backbone = wrap("fresh", tiny.model("llama"), tiny.tokenizer())
    assert backbone.engine.token_bytes() == 384 and backbone.room == 2**31 // 384
    assert room.budget_of(backbone).tokens == room.TOKEN_BUDGET
    monkeypatch.setattr(core, "STATES", 384 * 1000)
    other = wrap("other", tiny.model("llama"), tiny.tokenizer())
    weights = sum(value.nbytes for value in other.model.parameters())
    assert other.room == room.budget_of(other).tokens == max(weights, 384 * 1000) // 384


def test_progress_is_told_to_the_end() -> None:
    reports: list[tuple[int, int]] = []
    backbone = tiny.backbone("llama")
    predict(
        backbone,
        TEMPLATE,
        None,
        laid(backbone, [*make_examples(5), Example("c", {"input": "ba"}, (), CHOICES)], 0),
        longest=3,
        batch_size=2,
        progress=lambda what, done, total, note="": reports.append((done, total)),
    )
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1] == (6, 6)
