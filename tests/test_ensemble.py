"""The majority vote: by hand, on ties, and whatever the answers; members that answer in one pass answer as they do alone; trials of
different examples are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import entry
import tiny
from entry import foreword
from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import load_backbone
from foreword.infer.ensemble import majority, vote
from foreword.infer.predict import predict, predict_ensemble
from foreword.prompts import store
from foreword.prompts.layout import Layout
from foreword.prompts.methods import METHODS
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.util.errors import ForewordError


@pytest.mark.parametrize(
    ("outputs", "winner"),
    [
        (["a"], "a"),
        (["a", "b", "b"], "b"),
        (["b", "a", "a", "b"], "b"),
        (
            ["c", "a", "b", "a", "b"],
            "a",
        ),  # a and b are tied; a came from the earlier trial; c, earlier still, is not tied
        (["", "x", ""], ""),
        (["A", "a", "a "], "A"),
    ],
)
def test_by_hand(outputs: list[str], winner: str) -> None:
    assert majority(outputs) == winner


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_no_answer_has_more_votes_and_no_tied_one_came_earlier(outputs: list[str]) -> None:
    winner = majority(outputs)
    assert all(outputs.count(other) <= outputs.count(winner) for other in outputs)
    earlier = outputs[: outputs.index(winner)]
    assert all(outputs.count(other) < outputs.count(winner) for other in earlier)


def test_each_example_is_voted_on_by_itself_in_the_first_trials_order() -> None:
    trials = [{"q2": "a", "q1": "x"}, {"q1": "y", "q2": "b"}, {"q1": "y", "q2": "c"}]
    assert vote(trials) == {"q2": "a", "q1": "y"}
    assert list(vote(trials)) == ["q2", "q1"]
    assert vote(trials[:1]) == trials[0]


def test_trials_of_different_examples_are_refused() -> None:
    with pytest.raises(ForewordError, match=r"Trial 1 .* differ in 2 examples, 'q1' for one"):
        vote([{"q1": "a"}, {"q2": "a"}])
    with pytest.raises(ForewordError, match="no trials"):
        vote([])
    with pytest.raises(ForewordError, match="no answers"):
        majority([])


# -- members in one pass ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choices", [(), ("ba", "tem", "lo ri")])
@pytest.mark.parametrize("family", ["gpt2", "llama", "mamba", "t5"])
def test_members_in_one_pass_answer_as_they_do_alone(family: str, choices: tuple[str, ...]) -> None:
    backbone = tiny.backbone(family)
    examples = [Example(f"e{i}", {"input": " ".join(["ba", "lo", "ri"][(i * k) % 3] for k in range(1 + i % 5))}, (), choices)
                for i in range(9)]  # fmt: skip
    members = []
    for seed, length in enumerate((3, 5, 3, 1)):
        layout = Layout(backbone, Template(), METHODS["pt"], soft=length, reserve=5)
        members.append((tiny.soft(backbone, length, seed), [layout.lay(example) for example in examples]))
    alone = [predict(backbone, Template(), soft, laid, longest=5, batch_size=4).outputs for soft, laid in members]
    for batch_size in (1, 4, 16):
        answered = predict_ensemble(backbone, Template(), members, longest=5, batch_size=batch_size)
        assert list(answered.members) == alone
        assert list(answered.outputs) == [majority([answers[place] for answers in alone]) for place in range(9)]
    assert choices or len(set(alone)) > 1, "the members must differ"


def test_members_of_different_examples_are_refused() -> None:
    backbone = tiny.backbone("llama")
    layout = Layout(backbone, Template(), METHODS["zero"], soft=0, reserve=3)
    some, others = ([layout.lay(Example(name, {"input": "ba"})) for name in names] for names in ("ab", "ac"))
    with pytest.raises(ForewordError, match="differ in 2 examples"):
        predict_ensemble(backbone, Template(), [(None, some), (None, others)], longest=3, batch_size=2)


def saved(model: Path, folder: Path, seed: int, length: int = 3, **provenance: object) -> Path:
    """A random soft prompt of this model, as tuning would leave it."""
    backbone = load_backbone(str(model), device="cpu")
    values = tiny.soft(backbone, length, seed)
    assert values is not None
    fields = {"backbone": str(model), "fingerprint": backbone.fingerprint, "label": "pt", **provenance}
    store.save(SoftPrompt(values, Provenance(**fields)), folder / f"prompt-{seed}")  # type: ignore[arg-type]
    return folder / f"prompt-{seed}"


def test_generate_lets_several_prompts_vote(model: Path, tmp_path: Path) -> None:
    inputs = entry.save_rows(tmp_path / "inputs.jsonl", entry.rows(12))
    prompts = [saved(model, tmp_path, seed, length=2 + seed) for seed in range(3)]
    command = ("generate", "-m", model, "-d", inputs, "--max-new-tokens", 1, "--json")
    each = [[line["output"] for line in foreword(*command, "--prompt", prompt).lines] for prompt in prompts]
    result = foreword(*command, *(word for prompt in prompts for word in ("--prompt", prompt)))
    ended = "Note: 36 of 36 answers were ended by --max-new-tokens 1, not by the model.\n"
    assert (result.code, result.err) == (0, ended)
    assert [line["votes"] for line in result.lines] == [list(votes) for votes in zip(*each, strict=True)]
    assert [line["output"] for line in result.lines] == [majority(votes) for votes in zip(*each, strict=True)]
    assert all(sorted(line) == ["id", "output"] for line in foreword(*command, "-p", prompts[0]).lines)


def test_prompts_of_different_wordings_cannot_vote(model: Path, tmp_path: Path) -> None:
    inputs = entry.save_rows(tmp_path / "inputs.jsonl", entry.rows(3))
    wordings = [Template().as_dict(), Template(question="Q: {input}\nA:").as_dict()]
    prompts = [saved(model, tmp_path, seed, template=wording) for seed, wording in enumerate(wordings)]
    command = ("generate", "-m", model, "-d", inputs, "--max-new-tokens", 2, "-p", prompts[0], "-p", prompts[1])
    entry.refused(*command, says=("prompt-0", "prompt-1", "other settings of --question"))
    result = foreword(*command, "--question", "{input}?", "--json")
    assert (result.code, len(result.lines)) == (0, 3)
    entry.refused("evaluate", *command[1:], says=("--prompt is given twice",))
