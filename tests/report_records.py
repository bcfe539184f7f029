"""Records as a real comparison leaves them, made from a seed without a model; it refuses to look tidier than real ones."""

from __future__ import annotations

from random import Random

from foreword.metrics import metric
from foreword.results.record import Answer, Costs, DemonstrationRef, Record

PLACES = ("The Eagle", "Blue Spice", "The Cricketers", "Strada", "Giraffe", "The Punter", "Zizzi", "Cocum")
FOODS = ("French", "Italian", "Indian", "Chinese", "English", "Japanese", "fast food")
PRICES = ("cheap", "moderate", "high", "less than £20", "more than £30")
AREAS = ("riverside", "city centre")

# label: (share of words spoilt, trained numbers, training seconds, tokens before, seconds an answer, one run for all seeds)
METHODS: dict[str, tuple[float, int, float, float, float, bool]] = {
    "zero": (0.75, 0, 0.0, 0.0, 0.031, True),
    "icl": (0.42, 0, 0.0, 58.3, 0.044, True),
    "pt": (0.24, 25_600, 62.4, 20.0, 0.038, False),
    "ipt": (0.22, 25_600, 141.7, 78.3, 0.049, False),
}


def _target(rng: Random) -> tuple[str, str]:
    place, food, price, area = (rng.choice(names) for names in (PLACES, FOODS, PRICES, AREAS))
    text = f"name[{place}], food[{food}], priceRange[{price}], area[{area}]"
    return text, f"{place} serves {food} food in the {price} price range and can be found in the {area} area."


def _spoilt(text: str, share: float, rng: Random) -> str:
    words = text.split()
    return " ".join(rng.choice(words) if rng.random() < share else word for word in words)


def answers(label: str, seed: int, examples: int, share: float, metrics: tuple[str, ...]) -> tuple[Answer, ...]:
    """One method's answers with one seed: worse ones where the demonstration is far, if it was given one."""
    trial_answers = []
    for n in range(examples):
        rng = Random(f"question/{n}")
        question, target = _target(rng)
        other, other_target = _target(rng)
        targets = (target, target.replace("can be found", "is located")) if n % 3 else (target,)
        similarity = round(rng.betavariate(5, 2), 4)
        has_demonstration = label.split(":")[0] in ("icl", "ipt")
        rng = Random(f"{label}/{seed}/{n}")
        own = share * (1.7 - similarity) if has_demonstration else share
        output = _spoilt(target, own, rng)
        shown = (
            (DemonstrationRef(f"train-{n * 7}", f"{other}\n{other_target}", similarity),) if has_demonstration else ()
        )
        scores, statistics = {}, {}
        for name in metrics:
            rows = metric(name).statistics([output], [targets])
            scores[name] = float(metric(name).per_example(rows)[0])
            statistics[name] = [float(value) for value in rows[0]]
        trial_answers.append(
            Answer(
                f"test-{n}", question, output, targets, scores, statistics, shown, 0, 58 if has_demonstration else 0, 31
            )
        )
    return tuple(trial_answers)


def record(
    label: str,
    seed: int = 0,
    examples: int = 40,
    metrics: tuple[str, ...] = ("bleu", "chrf"),
    share: float | None = None,
) -> Record:
    """One finished trial of that label."""
    name = label.split(":")[0]
    spoils, numbers, train, before, each, same = METHODS[name]
    rng = Random(f"{label}/{seed}")
    own = max(0.0, spoils + rng.gauss(0, 0.012)) if share is None else share
    trial_answers = answers(label, seed, examples, own, metrics)
    scores = {}
    for metric_name in metrics:
        sums = sum(metric(metric_name).statistics([a.output], [a.targets])[0] for a in trial_answers)
        scores[metric_name] = float(metric(metric_name).from_sums(sums))
    curve = tuple(
        {
            "step": step,
            "loss": 0.9 + 3.1 * 0.985**step + rng.gauss(0, 0.05),
            "dev": 1.4 + 2.9 * 0.988**step + 0.0006 * step + rng.gauss(0, 0.03),
        }
        for step in range(0, 501, 25)
        if numbers
    )
    return Record(
        key=f"{rng.getrandbits(128):032x}",
        label=label,
        method=name,
        task="e2e",
        backbone="tinystories-656k",
        seed=seed,
        deterministic=same,
        primary=metrics[0],
        scores=scores,
        costs=Costs(
            numbers,
            train * (1 + rng.gauss(0, 0.02)),
            before,
            each * (1 + rng.gauss(0, 0.02)),
            train_flop=1e12 * train,
            answer_flop=1e12 * each,
        ),
        answers=trial_answers,
        spec={"label": label, "seed": seed},
        fingerprints={"task": "2f61c09d17", "backbone": "9b0e4427aa"},
        versions={"foreword": "0.1.0", "torch": "2.13.0", "transformers": "5.1.0"},
        hardware="2 CPU cores, float32",
        metric_signatures={metric_name: metric(metric_name).signature() for metric_name in metrics},
        dropped_demonstrations=3 if name == "ipt" else 0,
        curve=curve[1:],
        dev_start=curve[0]["dev"] if curve else None,
        notes=(),
    )


def records(
    labels: tuple[str, ...] = ("zero", "icl", "pt", "ipt"), seeds: tuple[int, ...] = (0, 1, 2), examples: int = 40
) -> list[Record]:
    """A whole comparison: one record for a method that no seed changes, else one a seed."""
    comparison = []
    for label in labels:
        for seed in seeds[:1] if METHODS[label.split(":")[0]][-1] else seeds:
            comparison.append(record(label, seed, examples))
    return comparison
