"""PT and IPT by how similar the demonstration is to the input, in six bins; the most similar first, as the paper has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foreword.metrics import metric
from foreword.results import stats
from foreword.results.cells import Answered, BinPanel, Bins, Cell, Test
from foreword.results.clusters import clusters_of, described
from foreword.results.record import Record
from foreword.study.measure import choose, named, records_of, seeds_of_one, values
from foreword.study.preset import Preset
from foreword.util import phrases

BINS, FEWEST = 6, 5
ONE_SEED = "These bins speak of one prompt of each method"
Array = NDArray[np.float64]
Number = tuple[float, float | None, float | None]


def similarity(cells: Sequence[Cell], preset: Preset, out: Path) -> tuple[Answered, ...]:
    """A panel for each model and task, and whether the gain grows with similarity."""
    panels: list[BinPanel] = []
    both: list[tuple[list[Record], list[Record], str]] = []
    for model in values(cells, "model"):
        for task in values(cells, "task"):
            at = choose(cells, paper_model=model, paper_task=task)
            pt, ipt = (records_of(seeds_of_one(choose(at, paper_method=method))) for method in ("pt", "ipt"))
            paper, place = {"model": model, "task": task}, f"{named(at, 'task', preset)}, {named(at, 'model', preset)}"
            if not pt or not ipt:
                panels.append(BinPanel(place, "", (), (), {}, paper, "PT or IPT is not run"))
                continue
            panels.append(_panel(pt, ipt, place, paper))
            both.append((pt, ipt, place))
    tests = [_slope(*each, len(both)) for each in both]
    return (Bins("PT and IPT by similarity", "similarity", tuple(panels)), *tests)


def _similar(records: Sequence[Record]) -> dict[str, float]:
    """Each example's nearest demonstration's similarity."""
    near = {a.id: a.shown[-1].similarity for a in records[0].answers if a.shown}
    return {id_: float(value) for id_, value in near.items() if value is not None and np.isfinite(value)}


def _panel(pt: Sequence[Record], ipt: Sequence[Record], name: str, paper: dict[str, str]) -> BinPanel:
    near = _similar(ipt)
    if not near:
        return BinPanel(name, "", (), (), {}, paper, "its retriever gives no similarity")
    x = np.array(list(near.values()))
    edges = np.linspace(x.max(), x.min(), BINS + 1)
    place = np.clip(np.searchsorted(-edges, -x, side="right") - 1, 0, BINS - 1)
    bins = [[id_ for id_, at in zip(near, place, strict=True) if at == number] for number in range(BINS)]
    return BinPanel(
        title=name,
        y=ipt[0].primary,
        edges=tuple(map(float, edges)),
        counts=tuple(map(len, bins)),
        series={label: tuple(_score(records, ids) for ids in bins) for label, records in (("pt", pt), ("ipt", ipt))},
        paper=paper,
        note=_spoken_of(min(len(pt), len(ipt))),
    )


def _spoken_of(seeds: int) -> str:
    """What the intervals of the bins are over."""
    if seeds < 2:
        return f"{ONE_SEED}: the intervals are over examples alone, and another seed's prompt may lie outside of them."
    return f"The intervals are over examples and the {seeds} seeds."


def _score(records: Sequence[Record], ids: Sequence[str]) -> Number | None:
    """The mean over seeds of the metric on these examples, and its interval over examples and seeds."""
    if not ids:
        return None
    measure = metric(records[0].primary)
    by_id = [{a.id: a.statistics[r.primary] for a in r.answers} for r in records]
    cube = np.asarray([[own[id_] for id_ in ids] for own in by_id], dtype=np.float64)
    mean, _ = stats.mean_std(measure.from_sums(cube.sum(axis=1)))
    if len(ids) < FEWEST:
        return mean, None, None
    units = stats.joined(cube, clusters_of(records, ids))  # [J, U, d]
    return (mean, None, None) if units.shape[1] < FEWEST else (mean, *stats.bootstrap(units, measure.from_sums))


def _slope(pt: Sequence[Record], ipt: Sequence[Record], name: str, of: int) -> Test:
    """Whether the gain of IPT over PT rises with similarity, over examples and seeds, of so many such claims that are made together."""
    near, answered = _similar(ipt), {answer.id for answer in pt[0].answers}
    ids = [id_ for id_ in near if id_ in answered]
    claim = f"IPT minus PT grows with similarity ({name})"
    if len(ids) < 2:
        return Test(claim, None, note="too few examples with a similarity")
    clusters = clusters_of([*pt, *ipt], ids)
    units = described(clusters)
    if units is not None and units.count < FEWEST:
        return Test(claim, None, note=f"{units} are too few for an interval")
    x, fixed = np.array([near[id_] for id_ in ids]), [ipt[0].deterministic, pt[0].deterministic]
    sides = stats.slopes(x, [_own(ipt, ids), _own(pt, ids)], fixed, clusters)
    if sides is None:
        return Test(claim, None, note="all demonstrations, or all but one, are equally similar")
    gap = stats.AdjustedDifference(stats.difference(*sides, span=100.0 / float(np.ptp(x))), float(of))
    seeds = min(len(pt), len(ipt))
    over = f"{len(ids)} examples" if units is None else f"{units} of {len(ids)} examples"
    note = f"crossed model over {over} and {phrases.plural(seeds, 'seed')}"
    note += f"; decided at {gap.level:.1%}, Bonferroni over {of} panels" if of > 1 else ""
    note += "; one seed speaks of its prompt alone" if gap.one_seed else ""
    holds = {1: True, -1: False, 0: None}[gap.sure]
    ends = gap.tested.interval()
    return Test(claim, holds, gap.points, ends, unit="points for 1 of similarity", note=note)


def _own(records: Sequence[Record], ids: Sequence[str]) -> Array:
    """Each seed's and example's own score [J, N]."""
    rows = [{a.id: a.scores[r.primary] for a in r.answers} for r in records]
    return np.asarray([[row[id_] for id_ in ids] for row in rows], dtype=np.float64)


QUESTIONS = {"similarity": similarity}
