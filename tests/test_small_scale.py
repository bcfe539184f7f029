"""The small scale of Sun et al.'s studies asks for the trials of the recipe of docs/smollm2.md, and so takes up its records."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreword.config.run import Run
from foreword.prompts.soft_prompt import SoftPrompt
from foreword.results.record import Record, key_of
from foreword.study.grid import CellSpec, lay_out
from foreword.study.plan import specs_of
from foreword.study.preset import preset
from foreword.study.spec import Spec
from recipes.smollm2.cells import Lay

DIGEST = cast(SoftPrompt, SimpleNamespace(digest="of a prompt"))
TASK = ("task", "metrics", "limit", "train_limit", "too_long", "data_dir", "instruction", "question", "answer", "stop")
MODEL = ("model", "dtype", "chat", "revision", "retriever", "encoder", "shots")


def trials_by_key(run: Run, start: SoftPrompt | None = None) -> dict[str, tuple[str, str, int]]:
    """What the key of each trial of a run is made of beside the contents of model and task, digested, with its name."""
    names = run.model_dump(include={*TASK, *MODEL})
    return {_key(names, spec): (run.task, spec.label, spec.seed) for spec in specs_of(run, start)}


def _key(names: dict[str, Any], spec: Spec) -> str:
    row, seed = spec.method, spec.seed if spec.method.random() else None
    start_digest = spec.start_prompt.digest if spec.start_prompt is not None else ""
    tuning = spec._tuning() if row.trains else None
    return key_of({"of": [names, row.as_dict(), seed, tuning, start_digest, spec.max_new_tokens, spec.choice_score]})


def of_cell(cell: CellSpec) -> set[str]:
    run = cell.settings()
    if cell.carries:
        tuning = run.tuning.model_copy(update={"init": "warm_start", "init_prompt": "elsewhere", "max_steps": 0})
        run = run.model_copy(update={"tuning": tuning})
    alone = run.model_copy(update={"methods": [cell.at.label], "seeds": [cell.at.seed]})
    return set(trials_by_key(alone, DIGEST if cell.carries else None))


def of_preset(name: str) -> set[str]:
    cells = [cell for cell in lay_out(preset(name), "small").cells if not cell.gates]
    return {key for cell in cells for key in of_cell(cell)}


def test_the_main_table_asks_for_every_trial_of_the_recipe() -> None:
    recipe = {key: name for _, run in Lay().main() for key, name in trials_by_key(run).items()}
    assert len(recipe) == 5 * (1 + 2 + 1 + 1 + 2 * 2), (
        "five tasks: zero, random twice, retrieved, three retrieved, and PT and IPT twice"
    )
    ours = of_preset("sun2023-main")
    assert [name for key, name in recipe.items() if key not in ours] == []


@pytest.mark.parametrize("task", ["dart", "mtop"])
@pytest.mark.parametrize("name", ["sun2023-similarity", "sun2023-length"])
def test_other_studies_share_its_tuned_trials(name: str, task: str) -> None:
    lay = Lay(tasks=(task,))
    tuned = {
        key for _, run in lay.main() for key, (_, label, _) in trials_by_key(run).items() if label in ("pt", "ipt")
    }
    assert len(tuned) == 4 and tuned <= of_preset(name)


def test_the_transfer_grid_asks_for_every_trial_of_the_recipe() -> None:
    lay = Lay()
    records = cast(
        list[Record],
        [SimpleNamespace(task=task, label="pt", seed=0, prompt=f"prompts/{task}") for task in lay.tasks],
    )
    runs = lay.transfer(records)
    assert len(runs) == 5 + 5 * 4
    recipe = {}
    for _, run in runs:
        recipe |= trials_by_key(run, DIGEST if run.tuning.init == "warm_start" else None)
    ours = of_preset("sun2023-transfer")
    assert [name for key, name in recipe.items() if key not in ours] == []


def test_where_a_start_prompt_lies_is_no_part_of_a_key() -> None:
    run = Lay().run(Lay().settings[0], ["ipt"], seeds=[0], max_steps=0, init="warm_start", init_prompt="here")
    (spec,) = specs_of(run, DIGEST)
    elsewhere = replace(spec, tuning=spec.tuning.model_copy(update={"init_prompt": "there"}))
    other = replace(spec, start_prompt=cast(SoftPrompt, SimpleNamespace(digest="of another")))
    names = run.model_dump(include={*TASK, *MODEL})
    assert _key(names, spec) == _key(names, elsewhere) != _key(names, other)
