"""Numbers that small models give under this ENGINE; a change of them without raising ENGINE is refused. `python tests/test_numbers.py`
writes them anew."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from foreword.config.tuning import Tuning
from foreword.data.task import Task
from foreword.engine import Backbone, load_backbone
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.results.record import ENGINE, Record
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from foreword.tasks import load_task
from foreword.util.files import write_json

NUMBERS_FILE = Path(__file__).parent / "numbers.json"
LABELS = {
    "reference-small": ("zero", "few", "icl", "icl:random", "icl:dense", "pt", "ipt", "ipt-fixed", "mt"),
    "reference-t5-adapted": ("zero", "icl", "pt", "mt"),
}
TUNING = Tuning(prompt_length=4, max_steps=3, eval_every=1, batch_size=4, warmup_steps=1, patience=0)
WEIGHTS = TUNING.model_copy(update={"learning_rate": 1e-3})
CLOSE = 1e-4  # of a number: rounding moves losses by 1e-6 between processors


@functools.cache
def backbone(name: str) -> Backbone:
    return load_backbone(name, dtype="float32", device="cpu")


@functools.cache
def task() -> Task:
    return load_task("mini-dart").limited({"train": 24, "dev": 4, "test": 4})


def record(name: str, label: str, out: Path) -> Record:
    row = parse(label, shots=2, retriever="bm25", retrievers=list(RETRIEVERS))
    spec = Spec(label, row, 1, WEIGHTS if row.trainable == "weights" else TUNING, 12, "backbone:mean")
    encode = functools.partial(backbone(name).states, pooling="mean")
    return Trial(spec, backbone(name), task(), out, encode).run()


def numbers(name: str, label: str, out: Path) -> dict[str, Any]:
    """What a trial gives: texts as they are, and floats, to be compared within CLOSE."""
    trial_record = record(name, label, out)
    return {
        "outputs": [answer.output for answer in trial_record.answers],
        "shown": [[shown.id for shown in answer.shown] for answer in trial_record.answers],
        "tokens": [[answer.prefix_tokens, answer.input_tokens] for answer in trial_record.answers],
        "floats": {
            "scores": [trial_record.scores[metric] for metric in sorted(trial_record.scores)],
            "curve": [point[what] for point in trial_record.curve for what in ("loss", "dev")],
            "similarities": [shown.similarity or 0.0 for answer in trial_record.answers for shown in answer.shown],
        },
    }


@pytest.mark.parametrize(("name", "label"), [(name, label) for name, labels in LABELS.items() for label in labels])
def test_the_numbers_are_those_of_this_engine(name: str, label: str, tmp_path: Path) -> None:
    recorded = json.loads(NUMBERS_FILE.read_text(encoding="utf-8"))
    again = "raise ENGINE in foreword/results/record.py where that is meant, and run `python tests/test_numbers.py`"
    assert recorded["engine"] == ENGINE, f"These numbers are of engine {recorded['engine']}; {again}."
    before, now = recorded["numbers"][name][label], json.loads(json.dumps(numbers(name, label, tmp_path)))
    for what, values in before.pop("floats").items():
        assert now["floats"][what] == pytest.approx(values, rel=CLOSE, abs=CLOSE), f"{what} changed; {again}."
    now.pop("floats")
    assert now == before, f"Answers changed; {again}."


def test_the_table_holds_every_kind_of_number() -> None:
    """A guard that guards nothing would pass for ever."""
    recorded = json.loads(NUMBERS_FILE.read_text(encoding="utf-8"))["numbers"]
    assert {name: tuple(rows) for name, rows in recorded.items()} == {
        name: tuple(sorted(LABELS[name])) for name in sorted(LABELS)
    }
    assert all(any(row["outputs"]) for rows in recorded.values() for row in rows.values())
    assert all(len(recorded[name][label]["floats"]["curve"]) >= 6 for name in LABELS for label in ("pt", "mt"))
    assert any(row["floats"]["similarities"] for row in recorded["reference-small"].values())


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = {
            name: {label: numbers(name, label, Path(folder) / name / label) for label in LABELS[name]}
            for name in LABELS
        }
    write_json(NUMBERS_FILE, {"engine": ENGINE, "numbers": table})
