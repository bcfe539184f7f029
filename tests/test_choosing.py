"""Choices compared by a sum, a mean, or against an input that says nothing: each equals the plain computation, in any batch, and its
probabilities go into outputs and records; the sum stays the default."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import pytest
import torch
from torch.nn import functional

import entry
import tiny
from foreword.config.run import Run
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, Row
from foreword.infer.choosing import choice_ids
from foreword.infer.predict import predict
from foreword.prompts.layout import Laid, Layout
from foreword.prompts.methods import METHODS
from foreword.prompts.retrieve import RetrievedExample
from foreword.study.plan import plan
from foreword.study.resolve import task_of
from foreword.util.errors import ForewordError

TEMPLATE = Template(question="{input}\nOutput:")
LONG = ("ba", "lo ri tem na sho ku der")
CHOICES = ("ba", "lo ri tem na", "tem", "na sho ku der fin")
SCORES = ("sum", "mean", "calibrated")


def questions(count: int, choices: tuple[str, ...] = CHOICES) -> list[Example]:
    words = ["ba", "lo", "ri", "tem", "na", "sho"]
    texts = [" ".join(Random(f"choosing/{i}").choices(words, k=1 + (7 * i) % 9)) for i in range(count)]
    return [Example(f"e{i}", {"input": text}, ("ba",), choices) for i, text in enumerate(texts)]


def laid(backbone: Backbone, examples: list[Example], soft: int = 3) -> list[Laid]:
    layout = Layout(backbone, TEMPLATE, METHODS["pt"], soft=soft, reserve=6, calibrated=True)
    return [layout.lay(example) for example in examples]


@torch.no_grad()
def logprob(backbone: Backbone, soft: torch.Tensor | None, row: Row) -> float:
    """log p of a row's answer, alone and on the plain path."""
    engine = backbone.engine
    logits, _ = (engine.answer_logits if backbone.kind == "seq2seq" else engine.joined_logits)(soft, [row])  # type: ignore[attr-defined]
    logprobs = functional.log_softmax(logits.double(), dim=-1)
    return sum(float(logprobs[place, token]) for place, token in enumerate(row.answer))


def plain(backbone: Backbone, soft: torch.Tensor | None, example: Example, score: str) -> list[float]:
    """The score of each choice by its definition."""
    (own,) = laid(backbone, [example])
    (bare,) = laid(backbone, [Example("bare", {"input": "N/A"}, (), example.choices)])
    scores = []
    for ids in choice_ids(backbone, TEMPLATE, example.choices):
        value = logprob(backbone, soft, own.row(ids))
        if score == "mean":
            value /= len(ids)
        if score == "calibrated":
            value -= logprob(backbone, soft, bare.row(ids))
        scores.append(value)
    return scores


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("family", ["llama", "mamba", "t5", "bart"])
def test_each_score_is_the_plain_computation_in_any_batch(family: str, score: str) -> None:
    backbone = tiny.backbone(family)
    soft, examples = tiny.soft(backbone, 3), questions(7)
    for batch_size in (1, 4, 16):
        answered = predict(
            backbone, TEMPLATE, soft, laid(backbone, examples), longest=6, batch_size=batch_size, choice_score=score
        )
        for example, output, chances in zip(examples, answered.outputs, answered.probabilities, strict=True):
            expected = plain(backbone, soft, example, score)
            assert output == CHOICES[expected.index(max(expected))]
            whole = sum(math.exp(value) for value in expected)
            assert list(chances) == list(CHOICES)
            assert list(chances.values()) == pytest.approx([math.exp(value) / whole for value in expected], abs=2e-4)


def test_the_sum_favours_two_letters_over_a_sentence_and_the_others_do_not() -> None:
    backbone, examples = tiny.backbone("llama"), questions(40, ("ba", "lo ri tem na sho ku der fin ost ba lo ri"))
    short = {
        score: sum(
            output == "ba"
            for output in predict(
                backbone, TEMPLATE, None, laid(backbone, examples, 0), longest=6, batch_size=16, choice_score=score
            ).outputs
        )
        for score in SCORES
    }
    assert short["sum"] == 40, "however well the sentence fits"
    assert 0 < short["calibrated"] < 40 and short["mean"] < 40


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_calibrated_an_input_that_says_nothing_speaks_for_no_choice(family: str) -> None:
    backbone, nothing = tiny.backbone(family), [Example("x", {"input": "N/A"}, (), CHOICES)]
    chances = {
        score: predict(
            backbone, TEMPLATE, None, laid(backbone, nothing, 0), longest=6, batch_size=4, choice_score=score
        ).probabilities[0]
        for score in SCORES
    }
    assert list(chances["calibrated"].values()) == pytest.approx([0.25] * 4, abs=1e-4)
    assert max(chances["sum"].values()) > 0.5


def test_free_answers_have_no_probabilities() -> None:
    backbone = tiny.backbone("llama")
    answered = predict(backbone, TEMPLATE, None, laid(backbone, questions(2, ()), 0), longest=3, batch_size=2)
    assert answered.probabilities == ({}, {})


def test_the_input_is_left_out_behind_the_same_demonstrations() -> None:
    """Also where the window dropped some of them."""
    backbone = tiny.backbone("llama")
    pool = [Example(f"d{i}", {"input": "ba lo ri tem " * 4}, ("ba",), CHOICES) for i in range(9)]
    (example,) = questions(1)
    retrieved = {example.id: [RetrievedExample(shown, 0.5) for shown in pool]}
    method = METHODS["icl"].__class__(soft=False, demonstrations="retrieved", instruction=False, k=9, retriever="bm25")
    layout = Layout(backbone, TEMPLATE, method, soft=0, reserve=6, retrieved=retrieved, calibrated=True)
    one_laid = layout.lay(example)
    assert one_laid.fitted.dropped > 0 and one_laid.fitted.shown
    assert one_laid.blank is not None
    demonstrations = one_laid.fitted.own[: -one_laid.fitted.question]
    unsaid = backbone.tokenizer.ids(TEMPLATE.question_runs(Example("x", {"input": "N/A"})), first=False)
    assert one_laid.blank.own == demonstrations + unsaid
    assert Layout(backbone, TEMPLATE, method, soft=0, reserve=6, retrieved=retrieved).lay(example).blank is None


# -- in keys, records and outputs ------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return entry.save_rows(tmp_path / "own.jsonl", entry.rows(40, choices=LONG))


def test_the_score_is_in_the_key_and_the_default_is_as_it_was(data: Path, tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    specs = {}
    for score in SCORES:
        run = Run(model="tiny", data=str(data), methods=["zero"], out=str(tmp_path / "out"), choice_score=score)  # type: ignore[arg-type]
        (trial,) = plan(run, backbone=backbone).trials
        specs[score] = (trial.key, trial.spec.contents(backbone, trial.task))
    assert len({key for key, _ in specs.values()}) == 3
    assert "choice_score" not in specs["sum"][1], "records made before there was a choice keep their keys"
    assert specs["mean"][1] == specs["sum"][1] | {"choice_score": "mean"}


def test_records_and_answers_hold_each_choices_probability(data: Path, tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    for score in SCORES:
        flags = ("--model", model, "--method", "zero", "--choice-score", score)
        flags += ("--choices", ",".join(LONG))
        result = entry.foreword("evaluate", *flags, "--test", data, "--out", tmp_path / "out", "--json")
        assert result.code == 0, result.err
        answers = json.loads(Path(result.json["record"]).read_text(encoding="utf-8"))["answers"]
        lines = entry.foreword("generate", *flags, "--data", data, "--json").lines
        for answer, key in [(answer, "output") for answer in (*answers, *lines)]:
            chances = answer["probabilities"]
            assert set(chances) == set(LONG) and sum(chances.values()) == pytest.approx(1)
            assert chances[answer[key]] == max(chances.values())
        assert [line["output"] for line in lines] == [answer["output"] for answer in answers]
        assert [line["probabilities"] for line in lines] == [
            pytest.approx(answer["probabilities"], abs=1e-5) for answer in answers
        ]


def test_a_score_without_choices_is_refused(tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    data = entry.save_rows(tmp_path / "own.jsonl", entry.rows(12))
    flags = ("--model", model, "--data", data, "--method", "zero", "--choice-score")
    for verb in ("evaluate", "generate"):
        entry.refused(verb, *flags, "mean", says=("--choice-score mean", "the answers are free text", "--choices"))
    entry.refused("generate", *flags, "median", says=("choice_score is 'median'", "'sum', 'mean', 'calibrated'"))


def test_choices_of_very_different_lengths_are_noted(data: Path, tmp_path: Path) -> None:
    backbone = tiny.backbone("llama")
    run = Run(model="tiny", data=str(data), methods=["zero"], out=str(tmp_path / "out"))
    (note,) = [note for note in plan(run, backbone=backbone).task.notes if "favours the short ones" in note]
    assert "--choice-score mean" in note
    other = run.model_copy(update={"choice_score": "mean"})
    assert not [note for note in plan(other, backbone=backbone).task.notes if "favours" in note]
    even = task_of(run.model_copy(update={"data": str(entry.save_rows(data, entry.rows(40, choices=("ba", "lo"))))}))
    assert not [note for note in plan(run, task=even, backbone=backbone).task.notes if "favours" in note]


def test_a_layout_without_a_bare_row_is_no_layout_for_calibrated_scores() -> None:
    backbone = tiny.backbone("llama")
    layout = Layout(backbone, TEMPLATE, METHODS["zero"], soft=0, reserve=6)
    with pytest.raises((AssertionError, ForewordError)):
        predict(
            backbone,
            TEMPLATE,
            None,
            [layout.lay(example) for example in questions(1)],
            longest=2,
            batch_size=1,
            choice_score="calibrated",
        )
