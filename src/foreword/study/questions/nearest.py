"""Which words lie nearest to each vector of a tuned prompt, how tight those are among themselves, and whether the labels stay among them;
against random vectors (Lester et al. 2021, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
from scipy.stats import mannwhitneyu

from foreword.config.run import Run
from foreword.engine import Backbone
from foreword.prompts import store
from foreword.prompts.inspect import Inspected, Vocabulary, inspect, label_ids
from foreword.results import stats
from foreword.results.apart import differing, in_words, titled
from foreword.results.cells import Answered, Cell, Row, Table, Test
from foreword.study.measure import choose, grouped, named
from foreword.study.plan import backbone_of, model_key, suits
from foreword.study.preset import Preset
from foreword.study.stored import read_specs
from foreword.util.errors import ForewordError

COLUMNS = (
    "cosine among the nearest 5",
    "of random vectors",
    "labels among the nearest (by chance)",
    "vectors with the nearest word of an earlier one",
    "vectors in clusters",
)
SHOWN = 6  # vectors of each prompt whose words are shown
MOST_TARGETS = 10  # more distinct ones are free text, not labels


def nearest(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """Tables of words and numbers for each prompt, and whether neighbours cluster more tightly than those of random vectors."""
    own = choose(cells, label="pt")
    done = [cell for cell in own if cell.record is not None and cell.record.prompt]
    looked: list[tuple[Cell, Inspected]] = []
    run_of = {spec.id: spec.settings() for spec in read_specs(out, preset.name)[1]} if done else {}
    for group in grouped(done, lambda cell: model_key(run_of[cell.id])).values():
        run = run_of[group[0].id]
        with backbone_of(run) as backbone:
            looked += zip(group, _inspected(group, run, backbone, out), strict=True)
    head_of, heads = _heads([cell for cell, _ in looked], preset)
    rows = [Row(head_of(cell), _numbers(each)) for cell, each in looked]
    words = [
        Row((*head_of(cell), str(place), " · ".join(_shown(near.piece) for near in each.neighbours[place])), ())
        for cell, each in looked
        for place in sorted(Random("nearest").sample(range(each.length), min(SHOWN, each.length)))
    ]
    note = f"{len(own) - len(done)} not run" if len(done) < len(own) else ""
    return (
        Table("Nearest words: how tight they are", heads, COLUMNS, tuple(rows)),
        Table("Nearest words of some vectors", (*heads, "position", "nearest words (␣ is a space)"), (), tuple(words)),
        _tighter([each for _, each in looked], note),
        _labelled([each for _, each in looked], note),
    )


def _tighter(prompts: Sequence[Inspected], note: str) -> Test:
    """Whether each prompt's nearest words lie nearer to each other than those of random vectors do: rank tests over vectors."""
    claim = "The words nearest to a prompt's vectors lie nearer to each other than those nearest to random vectors"
    pairs = [(each.near.each, each.random.each) for each in prompts if each.near and each.random]
    if not pairs:
        return Test(claim, None, note=note or "not run")
    above, below = (
        stats.holm([float(mannwhitneyu(own, random, alternative=side).pvalue) for own, random in pairs])
        for side in ("greater", "less")
    )
    surely = sum(p < stats.ALPHA for p in above)
    holds = True if surely == len(pairs) else False if min(below) < stats.ALPHA else None
    which = "Mann-Whitney over vectors, Holm over prompts"
    more = "a prompt's vectors are taken to be independent, and each prompt speaks of itself alone"
    note = "; ".join(filter(None, (more, note)))
    return Test(claim, holds, p=max(above), adjusted=which, cases=(surely, len(pairs)), note=note)


def _labelled(prompts: Sequence[Inspected], note: str) -> Test:
    claim = "Every label is among the words nearest to some vector of the prompt"
    all_there = [all(each.labels.values()) for each in prompts if each.labels]
    if not all_there:
        return Test(claim, None, note=note or "no labels")
    chance = sum(float(np.prod(list(each.chance.values()))) for each in prompts if each.labels)
    more = f"counted and not tested: as many random vectors would have them all in {chance:.1f} of {len(all_there)}"
    return Test(claim, None, cases=(sum(all_there), len(all_there)), note="; ".join(filter(None, (more, note))))


def _heads(cells: Sequence[Cell], preset: Preset) -> tuple[Callable[[Cell], tuple[str, ...]], tuple[str, ...]]:
    """What names a prompt, and the columns: task, init and seed, and whatever else tells two apart."""
    several = len({cell.at.model for cell in cells}) > 1
    axes = differing(cells, lambda cell: (cell.at.model, cell.at.task, cell.at.init, cell.at.seed))

    def head(cell: Cell) -> tuple[str, ...]:
        model = (named([cell], "model", preset),) if several else ()
        prompt = titled(f"seed {cell.at.seed}", in_words(cell.at, axes))
        return *model, named([cell], "task", preset), cell.at.init, prompt

    return head, (*(("model",) if several else ()), "task", "init", "prompt")


def _shown(piece: str) -> str:
    """A vocabulary item with its leading space to be seen, whichever way its tokenizer marks it."""
    return piece.replace("\u0120", "␣").replace("\u2581", "␣").replace("\u010a", "↵")


def _numbers(each: Inspected) -> tuple[str, ...]:
    assert each.near is not None and each.random is not None, "a vocabulary is given"
    held, chance = sum(bool(places) for places in each.labels.values()), sum(each.chance.values())
    return (
        f"{each.near.tight:.2f}",
        f"{each.random.tight:.2f}",
        f"{held} of {len(each.labels)} ({chance:.1f})" if each.labels else "no labels",
        f"{each.repeated} of {each.length}",
        f"{sum(map(len, each.clusters))} in {len(each.clusters)}",
    )


def _inspected(cells: Sequence[Cell], run: Run, backbone: Backbone, out: Path) -> list[Inspected]:
    """Each cell's soft prompt held against the model's vocabulary. Raises ForewordError where a prompt is not there any more, or is of
    another model than the one that is there now."""
    prompts, labels = {}, {}
    for cell in cells:
        assert cell.record is not None
        folder = out / cell.record.prompt
        if not folder.is_dir():
            raise ForewordError(
                f"The soft prompt {folder} is not there any more; run the study again, and it is made anew."
            )
        prompt = store.load(folder)
        suits(run, backbone, prompt, as_it_is=False)
        prompts[cell.id] = prompt.values.numpy()
        targets = dict.fromkeys(answer.targets[0] for answer in cell.record.answers if answer.targets)
        if len(targets) <= MOST_TARGETS:
            known = label_ids(backbone, prompt, list(targets))
            labels[cell.id] = known if all(known.values()) else {}  # labels that share every token are not looked for
    ids = backbone.tokenizer.frequent(backbone.vocab)
    vocabulary = Vocabulary(backbone.embed(ids).cpu().numpy(), backbone.tokenizer.pieces(ids), ids)
    return inspect(prompts, vocabulary, model=backbone.name, labels=labels).prompts


QUESTIONS = {"nearest": nearest}
