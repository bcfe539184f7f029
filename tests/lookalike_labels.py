"""Made-up files of the tasks whose answer is a label or a name in the text, a part of lookalike; it refuses to hold a line of real data."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from lookalike import NAMES, PLACES, SIZES, THINGS, TONES, lines, made, several, table, text


def judged(rng: Random, count: int, low: str, high: str) -> list[str]:
    """Lines of `label sentence`, half of them 0."""
    said = several(rng, count)
    return [
        f"{n % 2} {one} , a {rng.choice(TONES[n % 2])} thing for {low if n % 2 else high} ."
        for n, one in enumerate(said)
    ]


@made("sst2")
def _sst2(folder: Path, rng: Random) -> None:
    for split, size in SIZES.items():
        lines(folder / f"stsa.binary.{split}", judged(rng, size, "all", "none"))


@made("mr")
def _mr(folder: Path, rng: Random) -> None:
    text(folder / "rt-polarity.all", "".join(f"{one}\n" for one in judged(rng, 60, "a café", "an attic")), "latin-1")


@made("cr")
def _cr(folder: Path, rng: Random) -> None:
    lines(folder / "custrev.all", judged(rng, 60, "the desk", "the shelf"))


@made("subj")
def _subj(folder: Path, rng: Random) -> None:
    lines(folder / "subj.all", judged(rng, 60, "a film", "a plot"))


@made("trec")
def _trec(folder: Path, rng: Random) -> None:
    asked = (
        "How does a {} work ?",
        "What is a {} made of ?",
        "What does {} stand for ?",
        "Who owned the {} ?",
        "Where is the {} ?",
    )
    asked += ("How many of the {} are left ?",)
    for split, size in (("train", 48), ("test", 12)):
        rows = [
            f"{n % 6} {asked[n % 6].format(f'{rng.choice(THINGS)} of {PLACES[n % 12]} {n // 12}')}" for n in range(size)
        ]
        lines(folder / f"TREC.{split}.all", rows if split == "train" else [row.replace(" of ", " in ") for row in rows])


@made("ag_news")
def _ag_news(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("test", 12)):
        rows = [[str(n % 4 + 1), f"Item {n + len(split)}", one + "."] for n, one in enumerate(several(rng, size))]
        table(folder / f"{split}.csv", ["Class Index", "Title", "Description"], rows)


@made("superglue")
def _superglue(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("val", 12)):
        one, two, three = several(rng, size), several(rng, size), several(rng, size)
        where = lambda task, split=split: folder / task / f"{split}.jsonl"  # noqa: E731
        rows = range(size)
        lines(
            where("BoolQ"), ({"question": f"did {one[n]}", "passage": f"{two[n]}.", "label": n % 2 == 0} for n in rows)
        )
        three_way = ("entailment", "contradiction", "neutral")
        lines(where("CB"), ({"premise": f"{one[n]}.", "hypothesis": two[n], "label": three_way[n % 3]} for n in rows))
        lines(
            where("RTE"),
            (
                {"premise": f"{one[n]}.", "hypothesis": two[n], "label": ("entailment", "not_entailment")[n % 2]}
                for n in rows
            ),
        )
        lines(
            where("COPA"),
            (
                {
                    "premise": one[n],
                    "choice1": two[n],
                    "choice2": three[n],
                    "question": ("cause", "effect")[n % 2],
                    "label": n % 2,
                }
                for n in rows
            ),
        )
        lines(
            where("WiC"), ({"word": "the", "sentence1": one[n], "sentence2": two[n], "label": n % 2 == 1} for n in rows)
        )
        lines(where("MultiRC"), (_multirc(n, one[n], two[n], three[n]) for n in rows))
        lines(where("ReCoRD"), (_record(n, rng) for n in rows))
        lines(where("WSC"), (_wsc(n, rng) for n in rows))


def _multirc(n: int, one: str, two: str, three: str) -> dict[str, Any]:
    answers = [{"text": three, "label": n % 2, "idx": 2 * n}, {"text": two, "label": 1 - n % 2, "idx": 2 * n + 1}]
    return {
        "idx": n,
        "passage": {
            "text": f"<b>Sent 1: </b>{one}.<br>{two}.",
            "questions": [{"question": "What is told?", "answers": answers, "idx": n}],
        },
    }


def _record(n: int, rng: Random) -> dict[str, Any]:
    a, b = rng.sample(NAMES, 2)
    passage = f"{a} met {b} in {PLACES[n % 12]}, case {n}.\n@highlight\n{a} spoke first"
    starts = [passage.index(a), passage.index(b), passage.rindex(a)]
    entities = [{"start": at, "end": at + len(who) - 1} for at, who in zip(starts, (a, b, a), strict=True)]
    answers = [{"start": starts[0], "end": starts[0] + len(a) - 1, "text": a}] + (
        [{"start": starts[1], "end": 0, "text": b}] if n % 4 == 0 else []
    )
    return {
        "passage": {"text": passage, "entities": entities},
        "qas": [{"query": f"In case {n} @placeholder began.", "answers": answers, "idx": n}],
        "idx": n,
    }


def _wsc(n: int, rng: Random) -> dict[str, Any]:
    a, b = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    words = f"{a} gave {b} the {thing} number {n} because she asked for it.".split()
    target = {
        "span1_text": b if n % 2 else a,
        "span2_text": "she",
        "span1_index": 2 if n % 2 else 0,
        "span2_index": words.index("she"),
    }
    return {"text": " ".join(words), "target": target, "idx": n, "label": n % 2 == 1}


@made("mrpc")
def _mrpc(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("test", 12)):
        rows = [f"{n % 2}\t{n}\t{n + 1}\t{one} .\t{one} , they say ." for n, one in enumerate(several(rng, size))]
        lines(folder / f"msr_paraphrase_{split}.txt", ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows])


@made("QQP")
def _qqp(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("dev", 12)):
        rows = [
            f"{n}\t{n}\t{n}\tIs it true that {one}?\tIs it so that {one}?\t{n % 2}"
            for n, one in enumerate(several(rng, size))
        ]
        lines(
            folder / f"{split}.tsv", ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", *rows, "7\t7\tbroken row"]
        )
