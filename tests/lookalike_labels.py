"""Made-up files of the tasks whose answer is a label or a name in the text, a part of lookalike; it refuses to hold a line of real data."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from lookalike import NAMES, PLACES, SIZES, THINGS, TONES, lines, maker_of, several, table, text


def judged(rng: Random, count: int, low: str, high: str) -> list[str]:
    """Lines of `label sentence`, half of them 0."""
    sentences = several(rng, count)
    return [
        f"{n % 2} {sentence} , a {rng.choice(TONES[n % 2])} thing for {low if n % 2 else high} ."
        for n, sentence in enumerate(sentences)
    ]


@maker_of("sst2")
def _sst2(folder: Path, rng: Random) -> None:
    for split, size in SIZES.items():
        lines(folder / f"stsa.binary.{split}", judged(rng, size, "all", "none"))


@maker_of("mr")
def _mr(folder: Path, rng: Random) -> None:
    text(folder / "rt-polarity.all", "".join(f"{line}\n" for line in judged(rng, 60, "a café", "an attic")), "latin-1")


@maker_of("cr")
def _cr(folder: Path, rng: Random) -> None:
    lines(folder / "custrev.all", judged(rng, 60, "the desk", "the shelf"))


@maker_of("subj")
def _subj(folder: Path, rng: Random) -> None:
    lines(folder / "subj.all", judged(rng, 60, "a film", "a plot"))


@maker_of("trec")
def _trec(folder: Path, rng: Random) -> None:
    questions = (
        "How does a {} work ?",
        "What is a {} made of ?",
        "What does {} stand for ?",
        "Who owned the {} ?",
        "Where is the {} ?",
    )
    questions += ("How many of the {} are left ?",)
    for split, size in (("train", 48), ("test", 12)):
        rows = [
            f"{n % 6} {questions[n % 6].format(f'{rng.choice(THINGS)} of {PLACES[n % 12]} {n // 12}')}"
            for n in range(size)
        ]
        lines(folder / f"TREC.{split}.all", rows if split == "train" else [row.replace(" of ", " in ") for row in rows])


@maker_of("ag_news")
def _ag_news(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("test", 12)):
        rows = [
            [str(n % 4 + 1), f"Item {n + len(split)}", sentence + "."] for n, sentence in enumerate(several(rng, size))
        ]
        table(folder / f"{split}.csv", ["Class Index", "Title", "Description"], rows)


@maker_of("superglue")
def _superglue(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("val", 12)):
        first, second, third = several(rng, size), several(rng, size), several(rng, size)
        where = lambda task, split=split: folder / task / f"{split}.jsonl"  # noqa: E731
        rows = range(size)
        lines(
            where("BoolQ"),
            ({"question": f"did {first[n]}", "passage": f"{second[n]}.", "label": n % 2 == 0} for n in rows),
        )
        three_way = ("entailment", "contradiction", "neutral")
        lines(
            where("CB"), ({"premise": f"{first[n]}.", "hypothesis": second[n], "label": three_way[n % 3]} for n in rows)
        )
        lines(
            where("RTE"),
            (
                {"premise": f"{first[n]}.", "hypothesis": second[n], "label": ("entailment", "not_entailment")[n % 2]}
                for n in rows
            ),
        )
        lines(
            where("COPA"),
            (
                {
                    "premise": first[n],
                    "choice1": second[n],
                    "choice2": third[n],
                    "question": ("cause", "effect")[n % 2],
                    "label": n % 2,
                }
                for n in rows
            ),
        )
        lines(
            where("WiC"),
            ({"word": "the", "sentence1": first[n], "sentence2": second[n], "label": n % 2 == 1} for n in rows),
        )
        lines(where("MultiRC"), (_multirc(n, first[n], second[n], third[n]) for n in rows))
        lines(where("ReCoRD"), (_record(n, rng) for n in rows))
        lines(where("WSC"), (_wsc(n, rng) for n in rows))


def _multirc(n: int, first: str, second: str, third: str) -> dict[str, Any]:
    answers = [{"text": third, "label": n % 2, "idx": 2 * n}, {"text": second, "label": 1 - n % 2, "idx": 2 * n + 1}]
    return {
        "idx": n,
        "passage": {
            "text": f"<b>Sent 1: </b>{first}.<br>{second}.",
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
    gift = rng.choice(THINGS)
    words = f"{a} gave {b} the {gift} number {n} because she asked for it.".split()
    target = {
        "span1_text": b if n % 2 else a,
        "span2_text": "she",
        "span1_index": 2 if n % 2 else 0,
        "span2_index": words.index("she"),
    }
    return {"text": " ".join(words), "target": target, "idx": n, "label": n % 2 == 1}


@maker_of("mrpc")
def _mrpc(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("test", 12)):
        rows = [
            f"{n % 2}\t{n}\t{n + 1}\t{sentence} .\t{sentence} , they say ."
            for n, sentence in enumerate(several(rng, size))
        ]
        lines(folder / f"msr_paraphrase_{split}.txt", ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows])


@maker_of("QQP")
def _qqp(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("dev", 12)):
        rows = [
            f"{n}\t{n}\t{n}\tIs it true that {sentence}?\tIs it so that {sentence}?\t{n % 2}"
            for n, sentence in enumerate(several(rng, size))
        ]
        lines(
            folder / f"{split}.tsv", ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", *rows, "7\t7\tbroken row"]
        )
