"""Which words lie nearest to each vector of a tuned prompt, how tight those are among themselves, and whether the labels stay among them;
against random vectors (Lester et al. 2021, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from foreword.config.run import Run
from foreword.engine import Backbone
from foreword.prompts import store
from foreword.prompts.inspect import Inspected, Vocabulary, inspect
from foreword.results.cells import Answered, Cell, Row, Table, Test
from foreword.study.measure import choose, grouped
from foreword.study.plan import backbone_of
from foreword.study.preset import Preset
from foreword.util.errors import ForewordError

SHOWN = 6  # vectors of each prompt whose words are shown
MOST_LABELS = 10  # more distinct targets are free text, not labels


def nearest(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Tables of words and numbers for each prompt, and whether neighbours cluster more tightly than those of random vectors."""
    own = choose(cells, label="pt")
    done = [cell for cell in own if cell.record is not None and cell.record.prompt]
    looked: list[tuple[Cell, Inspected]] = []
    for model, group in grouped(done, lambda cell: cell.at.model).items():
        with backbone_of(Run(model=model)) as backbone:
            looked += zip(group, _inspected(group, backbone, out), strict=True)
    rows = [Row(_head(cell), _numbers(each)) for cell, each in looked]
    columns = ("cosine among the nearest 5", "of random vectors", "labels among the nearest")
    heads = ("task", "init", "prompt")
    words = [
        Row((*_head(cell), str(place)), (" ".join(near.piece for near in each.neighbours[place]),))
        for cell, each in looked
        for place in sorted(Random("nearest").sample(range(each.length), min(SHOWN, each.length)))
    ]
    tighter = sum(
        each.near is not None and each.random is not None and each.near.tight > each.random.tight for _, each in looked
    )
    labelled = [all(each.labels.values()) for _, each in looked if each.labels]
    note = f"{len(own) - len(done)} not run" if len(done) < len(own) else ""
    claim = "The words nearest to a prompt's vectors lie nearer to each other than those nearest to random vectors"
    stay = "Every label is among the words nearest to some vector of the prompt"
    return (
        Table("Nearest words: how tight they are", heads, columns, tuple(rows)),
        Table("Nearest words of some vectors", (*heads, "position"), ("nearest words",), tuple(words)),
        Test(claim, tighter == len(looked) if looked else None, cases=(tighter, len(looked)), note=note),
        Test(stay, all(labelled) if labelled else None, cases=(sum(labelled), len(labelled)), note=note),
    )


def _head(cell: Cell) -> tuple[str, str, str]:
    return cell.at.task, cell.at.init, f"seed {cell.at.seed}"


def _numbers(each: Inspected) -> tuple[str, str, str]:
    assert each.near is not None and each.random is not None, "a vocabulary is given"
    held = sum(bool(places) for places in each.labels.values())
    return (
        f"{each.near.tight:.2f}",
        f"{each.random.tight:.2f}",
        f"{held} of {len(each.labels)}" if each.labels else "no labels",
    )


def _inspected(cells: Sequence[Cell], backbone: Backbone, out: Path) -> list[Inspected]:
    """Each cell's soft prompt held against the model's vocabulary. Raises ForewordError where a prompt is not there any more."""
    prompts, labels = {}, {}
    for cell in cells:
        assert cell.record is not None
        folder = out / cell.record.prompt
        if not folder.is_dir():
            raise ForewordError(
                f"The soft prompt {folder} is not there any more; run the study again, and it is made anew."
            )
        prompts[cell.id] = store.load(folder).values.numpy()
        targets = dict.fromkeys(answer.targets[0] for answer in cell.record.answers if answer.targets)
        if len(targets) <= MOST_LABELS:
            labels[cell.id] = {label: list(backbone.target_tokenizer.ids(label, first=True)) for label in targets}
    ids = backbone.tokenizer.frequent(backbone.vocab)
    vocabulary = Vocabulary(backbone.embed(ids).cpu().numpy(), backbone.tokenizer.pieces(ids), ids)
    return inspect(prompts, vocabulary, model=backbone.name, labels=labels).prompts


QUESTIONS = {"nearest": nearest}
