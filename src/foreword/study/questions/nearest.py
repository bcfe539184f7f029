"""Which words lie nearest to each vector of a tuned prompt, how tight those are among themselves, and whether the labels stay among them;
against random vectors of the same lengths (Lester et al. 2021, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreword.config.run import Run
from foreword.engine import Backbone
from foreword.prompts import store
from foreword.results.cells import Answered, Cell, Row, Table, Test
from foreword.study.measure import choose, grouped
from foreword.study.plan import backbone_of
from foreword.study.preset import Preset
from foreword.util.errors import ForewordError

NEAREST, SHOWN = 5, 6
Array = NDArray[np.float64]


def nearest(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Tables of words and numbers for each prompt, and whether neighbours cluster more tightly than those of random vectors."""
    rows, words = [], []
    tighter, kept, labelled = 0, 0, 0
    done = [cell for cell in choose(cells, label="pt") if cell.record is not None and cell.record.prompt]
    for model, group in grouped(done, lambda cell: cell.at.model).items():
        with backbone_of(Run(model=model)) as backbone:
            table = _unit(_embeddings(backbone))
            for cell in group:
                found = _looked(cell, backbone, table, out)
                head = (cell.at.task, cell.at.init, f"seed {cell.at.seed}")
                rows.append(
                    Row(head, (f"{found['tight']:.2f}", f"{found['chance']:.2f}", found["labels"] or "no labels"))
                )
                words += [Row((*head, str(place)), (text,)) for place, text in found["words"]]
                tighter += found["tight"] > found["chance"]
                labelled += bool(found["labels"])
                kept += found["labels"].startswith("all") if found["labels"] else 0
    columns = ("cosine among the nearest 5", "of random vectors", "labels among the nearest")
    heads = ("task", "init", "prompt")
    missing = len(choose(cells, label="pt")) - len(done)
    note = f"{missing} not run" if missing else ""
    claim = "The words nearest to a prompt's vectors lie nearer to each other than those nearest to random vectors"
    stay = "Labels that a prompt started from stay among its vectors' nearest words"
    return (
        Table("Nearest words: how tight they are", heads, columns, tuple(rows)),
        Table("Nearest words of some vectors", (*heads, "position"), ("nearest words",), tuple(words)),
        Test(claim, None if not rows else tighter == len(rows), cases=(tighter, len(rows)), note=note),
        Test(stay, None if not labelled else kept == labelled, cases=(kept, labelled), note=note),
    )


def _looked(cell: Cell, backbone: Backbone, table: Array, out: Path) -> dict[str, Any]:
    assert cell.record is not None
    folder = out / cell.record.prompt
    if not folder.is_dir():
        raise ForewordError(
            f"The soft prompt {folder} is not there any more; run the study again, and it is made anew."
        )
    prompt = np.asarray(store.load(folder).values.numpy(), dtype=np.float64)
    places = _nearest(prompt, table)
    tight = _tightness(places, table)
    rng = np.random.default_rng(0)
    chance = _tightness(_nearest(rng.standard_normal(prompt.shape), table), table)
    drawn = sorted(Random("nearest").sample(range(len(places)), min(SHOWN, len(places))))
    texts = {place: _texts(backbone, places[place]) for place in range(len(places))}
    return {
        "tight": tight,
        "chance": chance,
        "labels": _labels(cell, backbone, places),
        "words": [(place, " ".join(texts[place])) for place in drawn],
    }


def _embeddings(backbone: Backbone) -> Array:
    count = len(backbone.tokenizer.hf)
    return np.asarray(backbone.embed(range(count)).float().cpu().numpy(), dtype=np.float64)


def _unit(rows: Array) -> Array:
    """Rows of length 1; a row of nothing stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1, norms))


def _nearest(rows: Array, table: Array) -> list[list[int]]:
    """The ids of the nearest words by cosine, nearest first."""
    cosine = _unit(rows) @ table.T
    return [[int(id_) for id_ in np.argsort(-row, kind="stable")[:NEAREST]] for row in cosine]


def _tightness(places: Sequence[Sequence[int]], table: Array) -> float:
    """The mean cosine between two of the nearest words of one vector, mean over vectors."""
    means = []
    for ids in places:
        inner = table[list(ids)] @ table[list(ids)].T
        means.append((inner.sum() - np.trace(inner)) / (len(ids) * (len(ids) - 1)))
    return float(np.mean(means))


def _texts(backbone: Backbone, ids: Sequence[int]) -> list[str]:
    return [repr(backbone.tokenizer.hf.decode([id_]).strip()) for id_ in ids]


def _labels(cell: Cell, backbone: Backbone, places: Sequence[Sequence[int]]) -> str:
    """Which of the answers to choose from are among the nearest words of any vector (a token of them); empty where there are none."""
    assert cell.record is not None
    targets = dict.fromkeys(answer.targets[0] for answer in cell.record.answers if answer.targets)
    if len(targets) > 10:  # free text, no labels
        return ""
    there = {id_ for ids in places for id_ in ids}
    held = [label for label in targets if there & set(backbone.tokenizer.ids(((label, False),), first=True))]
    return f"{'all' if len(held) == len(targets) else len(held)} of {len(targets)}"


ASKED = {"nearest": nearest}
