"""The six studies: which trials each asks for, and what its numbers say; they refuse to leave out a case that went the other way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foreword.config.run import Run
from foreword.report.similarity import Gain, gains
from foreword.results.record import Record
from foreword.results.stats import ALPHA, AdjustedDifference, adjusted
from foreword.study.measure import difference_of
from foreword.util import phrases
from recipes.findings.lab import Lab
from recipes.findings.numbers import Score, Verdict, of, score

TASKS = ("mini-totto", "mini-dart", "mini-logic2text", "mini-spider", "mini-mtop")
TWO = ("mini-dart", "mini-mtop")
MEDIUM = "reference-medium"
SIZES = ("reference-small", "reference-medium", "reference-large")
T5 = ("reference-t5", "reference-t5-adapted")
ORDER = ("zero", "icl:random", "icl", "pt", "ipt")
LENGTHS = (1, 5, 25, 100)
CARRIED = ("pt", "ipt")
"""Sun et al. 2023 carry over prompts that stood alone; here those, too, that stood before a demonstration."""
FAR, FLOOR = 5.0, 5.0  # points


@dataclass(frozen=True)
class Table:
    """rows: cells of text, or of what a study computed."""

    caption: str
    head: tuple[str, ...]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Findings:
    """What a study found."""

    verdicts: list[Verdict]
    tables: list[Table]


Records = Sequence[Record]


def _nothing(lab: Lab, records: Records) -> list[Run]:
    return []


@dataclass(frozen=True)
class Study:
    """first: the trials it begins with. then: those that need what the first left. findings: what all of them say. how: its rules, for
    the reader. models: the reference models that it asks for."""

    title: str
    how: str
    models: tuple[str, ...]
    first: Callable[[Lab], list[Run]]
    findings: Callable[[Lab, Records], Findings]
    then: Callable[[Lab, Records], list[Run]] = _nothing


# -- the paper's order ----------------------------------------------------------------------------------------------------


def _order(lab: Lab) -> list[Run]:
    return [run for task in TASKS for run in lab.run(MEDIUM, task, ORDER)]


def _order_findings(lab: Lab, records: Records) -> Findings:
    tasks = _tasks(records)
    scores = {(task, label): score(of(records, task=task, label=label)) for task in tasks for label in ORDER}
    gaps: dict[str, list[AdjustedDifference]] = {}
    for ours, theirs in (("icl", "icl:random"), ("pt", "icl"), ("ipt", "icl"), ("ipt", "pt")):
        pairs = {task: [of(records, task=task, label=label) for label in (ours, theirs)] for task in tasks}
        column = adjusted({task: difference_of(*pair) for task, pair in pairs.items()})
        gaps[f"{ours} above {theirs}"] = list(column.values())
    far = sum(gap.above and gap.points >= FAR for gap in gaps["icl above icl:random"])
    low = sum(scores[task, "zero"].mean < FLOOR for task in tasks)
    tuned = {label: sum(gap.above for gap in gaps[f"{label} above icl"]) for label in ("pt", "ipt")}
    verdicts = [
        Verdict(f"Retrieved one-shot ICL is at least {FAR:g} points above random one-shot ICL", far, len(tasks), 4),
        Verdict("PT is above retrieved one-shot ICL", tuned["pt"], len(tasks), 4),
        Verdict("IPT is above retrieved one-shot ICL", tuned["ipt"], len(tasks), 4),
        Verdict(f"Zero-shot is near the floor (below {FLOOR:g})", low, len(tasks), 5),
    ]
    rows = [[_titled(records, task), *(scores[task, label] for label in ORDER)] for task in tasks]
    above = [[task, *(column[place] for column in gaps.values())] for place, task in enumerate(tasks)]
    return Findings(
        verdicts,
        [Table("Scores", ("task", *ORDER), rows), Table("Points above", ("task", *gaps), above)],
    )


# -- similarity -----------------------------------------------------------------------------------------------------------


def _similarity(lab: Lab) -> list[Run]:
    return [run for task in TASKS for run in lab.run(MEDIUM, task, ("pt", "ipt"))]


def _similarity_findings(lab: Lab, records: Records) -> Findings:
    slopes: list[list[Any]] = []
    binned: list[list[Any]] = []
    rising = 0
    for task in _tasks(records):
        task_gains = gains(of(records, task=task))
        if isinstance(task_gains, str):
            slopes.append([task, task_gains, ""])
            continue
        gain: Gain = task_gains[0]
        rising += gain.slope_ci95[0] > 0
        slopes.append(
            [task, f"{gain.slope:.2f} ({gain.slope_ci95[0]:.2f} to {gain.slope_ci95[1]:.2f})", len(gain.gain)]
        )
        for part in gain.bins:
            interval = "" if part.lo is None or part.hi is None else f" ({phrases.between(part.lo, part.hi)})"
            gain_points = phrases.points(part.mean or 0.0)
            binned.append([task, f"{part.low:.2f} to {part.high:.2f}", part.count, f"{gain_points}{interval}"])
    return Findings(
        [Verdict("IPT minus PT grows with similarity, the slope's interval above zero", rising, len(slopes), 3)],
        [
            Table("Points more at similarity 1 than at 0", ("task", "slope", "examples"), slopes),
            Table("By similarity", ("task", "similarity", "examples", "IPT minus PT"), binned),
        ],
    )


# -- variance -------------------------------------------------------------------------------------------------------------


def _variance(lab: Lab) -> list[Run]:
    settings = [(task, length) for task in TWO for length in LENGTHS]
    return [
        run
        for task, length in settings
        for run in lab.run(
            MEDIUM, task, ("pt", "ipt"), seeds=range(5), prompt_length=length, max_steps=max(1, lab.steps // 2)
        )
    ]


def _variance_findings(lab: Lab, records: Records) -> Findings:
    rows: list[list[Any]] = []
    calmer = 0
    for task in _tasks(records):
        for length in LENGTHS:
            pt, ipt = (score(of(records, task=task, label=label, length=length)) for label in ("pt", "ipt"))
            calmer += ipt.std < pt.std
            rows.append(
                [_titled(records, task), length, pt, ipt, *(_ends(records, task, length, x) for x in ("pt", "ipt"))]
            )
    head = ("task", "prompt length", "PT", "IPT", "PT, lowest to highest", "IPT, lowest to highest")
    return Findings(
        [Verdict("IPT spreads less over seeds than PT", calmer, len(rows))], [Table("Scores over seeds", head, rows)]
    )


def _ends(records: Records, task: str, length: int, label: str) -> str:
    scores = [record.scores[record.primary] for record in of(records, task=task, label=label, length=length)]
    return phrases.between(min(scores), max(scores))


# -- transfer -------------------------------------------------------------------------------------------------------------


def _transfer(lab: Lab) -> list[Run]:
    return [run for task in TASKS for run in lab.run(MEDIUM, task, ("icl", *CARRIED))]


def _transfer_then(lab: Lab, records: Records) -> list[Run]:
    """Every prompt of every other task before a demonstration of this one. Where there is no prompt yet (a dry run), an untrained
    one, which costs the same."""
    prompts = {
        (record.task, record.label, record.seed): str(lab.out / record.prompt) for record in records if record.prompt
    }
    seeds = lab.seeds or (0, 1, 2)
    return [
        run
        for target in TASKS
        for source in TASKS
        for label in CARRIED
        for seed in seeds
        if source != target
        for run in lab.run(
            MEDIUM, target, ("ipt",), seeds=(seed,), max_steps=0, **_carried(prompts.get((source, label, seed)))
        )
    ]


def _carried(prompt: str | None) -> dict[str, str]:
    return {"init": "warm_start", "init_prompt": prompt} if prompt else {}


def _transfer_findings(lab: Lab, records: Records) -> Findings:
    sources = {record.fingerprints["soft_prompt"]: record for record in records if record.prompt and _tuned(record)}
    carried: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        source = sources.get(record.spec["given"] or "")
        if source is not None and not _tuned(record):
            carried.setdefault((source.label, source.task, record.task), []).append(record)
    verdicts, tables = [], []
    for label in CARRIED:
        pairs = {names[1:]: ours for names, ours in carried.items() if names[0] == label}
        gaps = adjusted(
            {names: difference_of(ours, of(records, task=names[1], label="icl")) for names, ours in pairs.items()}
        )
        claim = f"A source task's {label.upper()} prompt before a target demonstration beats plain ICL on the target"
        higher = sum(gap.points > 0 for gap in gaps.values())
        verdicts.append(Verdict(claim, higher, len(gaps), (len(gaps) + 1) // 2))
        clear, harm = (sum(gap.p < ALPHA and sign * gap.points > 0 for gap in gaps.values()) for sign in (1, -1))
        caption = f"{label.upper()} prompts, points above ICL: significantly higher in {clear} pairs, significantly lower in {harm}"
        there = _tasks(records)
        rows = [[source, *(gaps.get((source, target), "") for target in there)] for source in there]
        tables.append(Table(caption, ("from, to", *there), rows))
    return Findings(verdicts, tables)


def _tuned(record: Record) -> bool:
    return bool(record.spec["tuning"]["max_steps"])


# -- scale ----------------------------------------------------------------------------------------------------------------


def _scale(lab: Lab) -> list[Run]:
    return [run for size in SIZES for task in TWO for run in lab.run(size, task, ("pt", "full-ft"))]


def _scale_findings(lab: Lab, records: Records) -> Findings:
    sizes = list(dict.fromkeys(map(lab.named, SIZES)))
    cells = {(task, size): of(records, task=task, backbone=size) for task in _tasks(records) for size in sizes}
    cells = {name: cell for name, cell in cells.items() if cell}
    gaps = adjusted(
        {name: difference_of(of(cell, label="full-ft"), of(cell, label="pt")) for name, cell in cells.items()}
    )
    rows = []
    for (task, size), gap in gaps.items():
        pt, full = (of(cells[task, size], label=label) for label in ("pt", "full-ft"))
        weights = phrases.whole(full[0].costs.trainable_parameters)
        rows.append([_titled(records, task), size, weights, score(pt), score(full), gap])
    both = [task for task in _tasks(records) if all((task, size) in gaps for size in (sizes[0], sizes[-1]))]
    closing = sum(gaps[task, sizes[-1]].points < gaps[task, sizes[0]].points for task in both)
    head = ("task", "model", "weights", "PT", "model tuning", "model tuning above PT")
    return Findings(
        [Verdict("Model tuning is less far above PT at the largest size than at the smallest", closing, len(both))],
        [Table("Gap at each size", head, rows)],
    )


# -- un-adapted against adapted T5 ----------------------------------------------------------------------------------------


def _t5(lab: Lab) -> list[Run]:
    cells = [(model, task, length) for model in T5 for task in TWO for length in (1, 20)]
    return [run for model, task, length in cells for run in lab.run(model, task, ("pt",), prompt_length=length)]


def _t5_findings(lab: Lab, records: Records) -> Findings:
    cells = {(task, length): of(records, task=task, length=length) for task in _tasks(records) for length in (1, 20)}
    halves = {name: [of(cell, backbone=lab.named(model)) for model in T5] for name, cell in cells.items()}
    whole = {name: (plain, adapted) for name, (plain, adapted) in halves.items() if plain and adapted}
    gaps = adjusted({name: difference_of(adapted, plain) for name, (plain, adapted) in whole.items()})
    helped = sum(gap.above for gap in gaps.values())
    rows: list[list[Any]] = []
    for (task, length), both in halves.items():
        scores: list[Score | str] = [score(half) if half else "not run" for half in both]
        rows.append([_titled(records, task), length, *scores, gaps.get((task, length), "")])
    head = ("task", "prompt length", "span corruption only", "LM-adapted", "adapted above un-adapted")
    return Findings([Verdict("LM adaptation helps PT", helped, len(gaps), len(gaps))], [Table("PT", head, rows)])


def _tasks(records: Records) -> list[str]:
    there = {record.task for record in records}
    return [task for task in TASKS if task in there]


def _titled(records: Records, task: str) -> str:
    return f"{task} ({phrases.title(of(records, task=task)[0].primary)})"


STUDIES: dict[str, Study] = {
    "order": Study(
        "The paper's order",
        "One demonstration, retrieved by BM25 or drawn by chance.",
        (MEDIUM,),
        _order,
        _order_findings,
    ),
    "similarity": Study(
        "IPT minus PT by similarity",
        "Each test example's own score under IPT minus its score under PT (means over seeds), against the similarity of the demonstration "
        "that it was shown: its BM25 score as a part of what the question scores with itself. That scale was chosen after the bare "
        "score, which grows with the question's length, had shown the slope on 2 of 5 tasks (docs/log.md). Intervals are over examples, "
        "of these prompts alone.",
        (MEDIUM,),
        _similarity,
        _similarity_findings,
    ),
    "variance": Study(
        "Spread over seeds",
        "Mean ± standard deviation over seeds, after half as many steps as elsewhere. In Sun et al. 2023 IPT spreads less than PT.",
        (MEDIUM,),
        _variance,
        _variance_findings,
    ),
    "transfer": Study(
        "Transfer",
        "A prompt tuned on the source task, not trained further, before a retrieved demonstration of the target task; against the "
        "demonstration alone. Sun et al. 2023 carried PT prompts; IPT prompts were tuned before demonstrations of their own task.",
        (MEDIUM,),
        _transfer,
        _transfer_findings,
        _transfer_then,
    ),
    "scale": Study(
        "Scale",
        "PT against tuning all weights, with the same examples, steps, batches and choice of checkpoint; in Lester et al. 2021 the gap "
        "closes as models grow. Ours did not read equally many tokens: small 8 M, medium and large 24 M each.",
        SIZES,
        _scale,
        _scale_findings,
    ),
    "t5": Study(
        "Un-adapted and adapted T5",
        "PT on an encoder-decoder trained by span corruption alone, and on the same after LM adaptation.",
        T5,
        _t5,
        _t5_findings,
    ),
}
