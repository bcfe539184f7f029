"""Pages of studies in every form that the report draws, made of records without a model; they refuse to look tidier than real ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import report_records
from foreword.report.study import StudyPage
from foreword.results.cells import (
    Answered,
    BinPanel,
    Bins,
    Cell,
    Coordinates,
    Curve,
    Entry,
    Matrix,
    Panel,
    Row,
    Series,
    Table,
    Test,
)
from foreword.results.papers import paper
from foreword.results.record import Record

OURS = {
    "icl-1": "icl",
    "icl-random-1": "icl",
    "icl-3": "icl",
    "pt": "pt",
    "ipt": "ipt",
    "zero": "zero",
    "full-ft": "pt",
}
MINI = {
    "totto": "mini-totto",
    "dart": "mini-dart",
    "spider": "mini-spider",
    "mtop": "mini-mtop",
    "logic2text": "mini-logic2text",
}


def record(method: str, task: str, seed: int, examples: int = 12) -> Record:
    base = report_records.record(OURS.get(method, "pt"), seed, examples)
    steps = 40 + 10 * (task == "mtop")
    tuning = {"max_steps": steps, "learning_rate": 0.3} if OURS.get(method) not in ("icl", "zero") else None
    spec = {"label": method, "seed": seed, "max_new_tokens": 48, "tuning": tuning}
    return replace(
        base,
        task=MINI.get(task, task),
        backbone="reference",
        label=method,
        spec=spec,
        key=f"{base.key[:20]}{task[:2]}{method[:2]}",
    )


def cells(method: str, at: dict[str, str], seeds: tuple[int, ...] = (0, 1)) -> list[Cell]:
    task = at.get("task", "dart")
    cells = []
    for seed in seeds:
        name = "".join(value for value in (*at.values(), method) if value)
        place = Coordinates("grid", "reference", MINI.get(task, task), method, seed, 25 if "pt" in method else None)
        id_ = f"{abs(Random(name + str(seed)).getrandbits(48)):012x}"
        cells.append(Cell(id_, place, dict(at) | {"method": method}, "done", record(method, task, seed), "", 12))
    return cells


def entry(group: list[Cell], score: float, **changes: object) -> Entry:
    first = group[0]
    entry_ = Entry(
        score=score,
        spread=1.3 if len(group) > 1 else None,
        ci95=(max(0.0, score - 4.2), score + 4.1),
        seeds=len(group),
        seeds_planned=len(group),
        examples=12,
        examples_planned=12,
        metric="bleu",
        model="reference",
        task=first.at.task,
        paper=first.paper,
        cells=tuple(cell.id for cell in group),
    )
    return replace(entry_, **changes)  # type: ignore[arg-type]


def main() -> StudyPage:
    """Bars: a column a task, rows models and methods; a failed and a waiting cell; claims."""
    rng, tasks = Random("main"), ("totto", "dart", "spider", "mtop", "logic2text")
    rows, every = [], []
    for model in ("bloom-1b1", "opt-1.3b"):
        for method in ("icl-random-1", "icl-1", "pt", "ipt"):
            entries: list[Entry | str] = []
            for task in tasks:
                group = cells(method, {"model": model, "task": task}, (0,) if method == "icl-1" else (0, 1))
                every += group
                entries.append(entry(group, round(rng.uniform(5, 90), 2)))
            rows.append(Row((model, method), tuple(entries)))
    broken = replace(
        every[0], id="deadbeef0000", state="failed", record=None, cause="The memory was not enough <here>."
    )
    last = rows[-1].entries[-1]
    assert isinstance(last, Entry)
    empty = replace(
        last,
        score=None,
        spread=None,
        ci95=None,
        seeds=0,
        examples=0,
        cells=("deadbeef0000",),
        cause="The memory was not enough <here>.",
    )
    rows[-1] = replace(rows[-1], entries=(*rows[-1].entries[:-1], empty))
    waiting = replace(every[1], id="c0ffee000000", state="waiting", record=None)
    answers: dict[str, tuple[Answered, ...]] = {
        "main": (
            Table("Main table of Sun et al. 2023", ("model", "method"), tasks, tuple(rows)),
            Test(
                "icl-1 is above icl-random-1",
                True,
                p=0.012,
                adjusted="Holm over models and tasks",
                cases=(5, 5),
                note="none undecided",
            ),
            Test("ipt is above pt", False, estimate=-2.4, ci95=(-4.0, -0.7), p=0.2, cases=(2, 5)),
        ),
        "variance": (Test("IPT spreads less over seeds than PT", None, note="it takes two seeds"),),
    }
    return StudyPage(
        name="sun2023-main",
        title="Main table of Sun et al. 2023",
        scale="smoke",
        command="foreword study sun2023-main --scale smoke --out runs/s",
        cells=[*every, broken, waiting],
        answers=answers,
        decisions={"decoding": "greedy, at most 48 tokens.", "seeds": "0 and 1."},
        notes=("A smoke run of the reference family: no finding about the paper's models.",),
        date="2026-01-31",
    )


def length() -> StudyPage:
    """Curves with bands and a level."""
    panels, every = [], []
    for task in ("dart", "mtop"):
        lines = []
        for method in ("pt", "ipt"):
            points = []
            for n, tokens in enumerate((1, 5, 25, 100)):
                group = cells(method, {"model": "bloom-1b1", "task": task, "length": str(tokens)})
                every += group
                points.append((float(tokens), entry(group, 30.0 + 6 * n - (3 * n * n if method == "pt" else 0))))
            lines.append(Series(method, tuple(points)))
        group = cells("icl-1", {"model": "bloom-1b1", "task": task}, (0,))
        every += group
        lines.append(Series("icl-1", ((0.0, entry(group, 24.0)),), level=True))
        panels.append(Panel(task, "bleu", tuple(lines)))
    curve = Curve("Score against prompt tokens, bloom-1b1", "prompt tokens", tuple(panels), logarithmic=True)
    return StudyPage(
        "sun2023-length", "Prompt length", "smoke", "foreword study sun2023-length", every, {"length": (curve,)}
    )


def similarity() -> StudyPage:
    """Bins with counts, one of them empty."""
    group = cells("ipt", {"model": "bloom-1b1", "task": "dart"})
    at = {"model": "bloom-1b1", "task": "dart"}
    series = {
        "pt": (
            (40.0, 36.0, 44.0),
            (41.0, 37.0, 45.0),
            (39.0, 30.0, 48.0),
            (37.0, None, None),
            None,
            (30.0, None, None),
        ),
        "ipt": (
            (44.0, 40.0, 48.0),
            (42.0, 38.0, 46.0),
            (37.0, 29.0, 46.0),
            (33.0, None, None),
            None,
            (31.0, None, None),
        ),
    }
    panel = BinPanel("dart, bloom-1b1", "bleu", (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), (20, 14, 7, 3, 0, 2), series, at)
    missing = BinPanel("mtop, bloom-1b1", "", (), (), {}, at | {"task": "mtop"}, "PT or IPT is not run")
    bins = Bins("PT and IPT by similarity", "similarity of demonstration and input", (panel, missing))
    return StudyPage(
        "sun2023-similarity", "Similarity", "smoke", "foreword study sun2023-similarity", group, {"similarity": (bins,)}
    )


def transfer() -> StudyPage:
    """A matrix with bold cells and a baseline."""
    tasks, every = ("totto", "dart", "mtop"), []
    entries: list[tuple[Entry | None, ...]] = []
    for source in tasks:
        row: list[Entry | None] = []
        for target in tasks:
            group = cells("pt", {"model": "bloom-1b1", "task": target, "source": source}, (0,))
            every += group
            row.append(None if source == target else entry(group, 31.0))
        entries.append(tuple(row))
    base = []
    for task in tasks:
        group = cells("icl-1", {"model": "bloom-1b1", "task": task}, (0,))
        every += group
        base.append(entry(group, 28.0))
    gaps = tuple(tuple(None if s == t else 3.0 - 4 * (t == "mtop") for t in tasks) for s in tasks)
    above = tuple(tuple(s != t and t != "mtop" for t in tasks) for s in tasks)
    matrix = Matrix(
        "A source task's soft prompt before a target demonstration",
        tasks,
        tasks,
        tuple(entries),
        "icl-1",
        tuple(base),
        gaps,
        above,
    )
    return StudyPage(
        "sun2023-transfer", "Transfer", "smoke", "foreword study sun2023-transfer", every, {"transfer": (matrix,)}
    )


def scale() -> StudyPage:
    """A curve over model sizes, the paper's points at its own sizes."""
    lines, every = [], []
    for method, shift in (("pt", 0.0), ("full-ft", 9.0)):
        points = []
        for n, (size, model) in enumerate(((7.5e5, "t5-small"), (2.6e6, "t5-base"), (6.8e6, "t5-large"))):
            group = cells(method, {"model": model, "task": "superglue", "length": "100" if method == "pt" else ""})
            every += group
            points.append((size, entry(group, 50 + 8 * n + shift, metric="score", task="mini-qqp+mini-mrpc")))
        lines.append(Series(method, tuple(points)))
    curve = Curve(
        "Score against model size",
        "parameters",
        (Panel("Score against model size", "score", tuple(lines)),),
        logarithmic=True,
    )
    return StudyPage(
        "lester2021-scale", "Scale", "smoke", "foreword study lester2021-scale", every, {"scale": (curve,)}
    )


def parameters() -> StudyPage:
    """Numbers trained against model size, both on a log scale."""
    rows, every = [], []
    for method, lengths in (("full-ft", ("",)), ("pt", ("1", "100"))):
        for tokens in lengths:
            entries = []
            for model, width, size in (("t5-small", 64, 750_000), ("t5-base", 128, 2_600_000)):
                group = cells(method, {"model": model, "task": "boolq", "length": tokens}, (0,))
                every += group
                count = float(int(tokens) * width if tokens else size)
                entries.append(entry(group, count, spread=None, ci95=None, unit="numbers", metric="numbers trained"))
            rows.append(Row((method, tokens), tuple(entries)))
    table = Table("Numbers trained", ("method", "prompt length"), ("t5-small", "t5-base"), tuple(rows))
    return StudyPage(
        "lester2021-parameters",
        "Parameters",
        "smoke",
        "foreword study lester2021-parameters",
        every,
        {"parameters": (table,)},
    )


def convergence() -> StudyPage:
    """Seconds until a prompt is nearly as good as it gets."""
    rows, every = [], []
    for tokens, times in (("1", (11.0, 19.0)), ("100", (44.0, 81.0))):
        entries = []
        for model, seconds in zip(("t5-small", "t5-base"), times, strict=True):
            group = cells("pt", {"model": model, "task": "boolq", "length": tokens})
            every += group
            entries.append(
                entry(group, seconds, ci95=None, unit="s", metric="time to within 1 % of the final dev score")
            )
        rows.append(Row((tokens,), tuple(entries)))
    table = Table("Time to converge", ("prompt length",), ("t5-small", "t5-base"), tuple(rows))
    return StudyPage(
        "lester2021-convergence",
        "Convergence",
        "smoke",
        "foreword study lester2021-convergence",
        every,
        {"convergence": (table,)},
    )


def own() -> StudyPage:
    """A user's own study with hostile texts, one word tables and nothing done."""
    cell = Cell("ab", Coordinates("grid", "m", "<script>alert(1)</script>", "pt", 0), {}, "waiting")
    table = Table("<img src=x>", ("a",), ("b",), (Row(("</table><b>",), ("<i>text</i>",)),))
    return StudyPage(
        "mine",
        "<script>alert(2)</script>",
        "own",
        "foreword study my.toml",
        [cell],
        {"q": (table, Test("<u>claim</u>", None))},
    )


EVERY = (main, length, similarity, transfer, scale, parameters, convergence, own)
SIZES = {number.at["model"]: number.value for number in paper("lester2021").tables["backbones"]}
