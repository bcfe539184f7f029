"""Made-up files in the layout of every task's real ones, for tests and for docs/tasks.md; it refuses to hold a line of real data.

Run as a command it writes docs/tasks.md anew: `python tests/lookalike.py`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from foreword import tasks

NAMES = [
    "Ada",
    "Bram",
    "Celia",
    "Dov",
    "Esme",
    "Finn",
    "Greta",
    "Hugo",
    "Ines",
    "Jory",
    "Kaia",
    "Lars",
    "Mina",
    "Nils",
    "Orla",
    "Pia",
]
PLACES = [
    "Arden",
    "Belmor",
    "Corvale",
    "Dunfell",
    "Eastwick",
    "Farrow",
    "Glenmoor",
    "Hartley",
    "Ilford",
    "Jessop",
    "Kelso",
    "Larkhill",
]
THINGS = [
    "lantern",
    "kettle",
    "bicycle",
    "violin",
    "ladder",
    "compass",
    "basket",
    "mirror",
    "candle",
    "hammer",
    "saddle",
    "blanket",
]
TONES = (["dull", "clumsy", "bitter", "noisy", "hollow"], ["warm", "bright", "clever", "tender", "joyful"])
SIZES = {"train": 48, "dev": 8, "test": 8}
MAKERS: dict[str, Callable[[Path, Random], None]] = {}


def maker_of(folder: str) -> Callable[[Callable[[Path, Random], None]], Callable[[Path, Random], None]]:
    """Marks the maker of one folder of files."""

    def keep(make: Callable[[Path, Random], None]) -> Callable[[Path, Random], None]:
        MAKERS[folder] = make
        return make

    return keep


def write(root: Path, *folders: str) -> Path:
    """The files of all tasks, or of those folders, below root."""
    import lookalike_labels  # noqa: F401  (its makers stand on the shelf once it is imported)
    import lookalike_texts  # noqa: F401

    for folder in folders or MAKERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        MAKERS[folder](root / folder, Random(f"lookalike/{folder}"))
    if not folders:
        for name in tasks.names():
            maker = getattr(tasks.module(name), "lookalike", None)  # a task's own file may write them
            if maker is not None:
                place = root / str(tasks.module(name).PLACE)
                place.mkdir(parents=True, exist_ok=True)
                maker(place)
    return root


def text(path: Path, content: str, encoding: str = "utf-8") -> None:
    """One text file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


def lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines, or plain lines where the rows are text."""
    text(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A csv file with quotation marks where they are needed."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    text(path, stream.getvalue())


def sentence(rng: Random) -> str:
    """A sentence that hardly ever comes twice."""
    shapes = (
        "{a} carried the {t} from {p} to {q} before noon",
        "in {p} nobody had seen the {t} that {a} lost",
        "{a} and {b} painted a {t} for the fair at {q}",
        "the old {t} of {p} was sold to {b} for {n} coins",
        "for {n} years {a} kept one {t} in a house near {q}",
    )
    a, b = rng.sample(NAMES, 2)
    p, q = rng.sample(PLACES, 2)
    return rng.choice(shapes).format(a=a, b=b, p=p, q=q, t=rng.choice(THINGS), n=rng.randint(2, 99))


def several(rng: Random, count: int) -> list[str]:
    """So many different sentences."""
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        sentences[sentence(rng)] = None
    return list(sentences)


@maker_of("squad")
def _squad(folder: Path, rng: Random) -> None:
    for split, size in (("train", 24), ("dev", 6)):
        paragraphs = []
        for n in range(size):
            a, p, t = rng.choice(NAMES), rng.choice(PLACES), rng.choice(THINGS)
            context = f'In {1800 + n}, {a} left "{p}" with a {t}-maker.'
            questions = [("When did it happen?", str(1800 + n)), (f"Who left {p}?", a)]
            qas = [
                {"id": f"{split}{n}{k}", "question": q, "answers": [{"text": x, "answer_start": context.index(x)}]}
                for k, (q, x) in enumerate(questions)
            ]
            paragraphs.append({"context": context, "qas": qas})
        text(
            folder / f"{split}-v1.1.json",
            json.dumps({"version": "1.1", "data": [{"title": split, "paragraphs": paragraphs}]}),
        )


@maker_of("mrqa")
def _mrqa(folder: Path, rng: Random) -> None:
    for name in ("BioASQ", "DROP", "DuoRC.ParaphraseRC", "RACE", "RelationExtraction", "TextbookQA"):
        rows: list[dict[str, Any]] = [{"header": {"dataset": name, "split": "dev"}}]
        for n in range(6):
            a, p = rng.choice(NAMES), rng.choice(PLACES)
            qas = [{"qid": f"{name}{n}", "question": f"Who wrote note {n} on {p}?", "answers": [a, f"one {a}"]}]
            rows.append({"context": f"[PAR] Note {n} on {p} was written by one {a}.", "qas": qas})
        (folder / f"{name}.jsonl.gz").write_bytes(
            gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0)
        )


@maker_of("spider")
def _spider(folder: Path, rng: Random) -> None:
    schema = {"db_id": "shop", "table_names_original": ["Seller", "Item"], "table_names": ["seller", "item"]}
    schema["foreign_keys"] = []
    schema["column_names_original"] = [[-1, "*"], [0, "Name"], [0, "Town"], [1, "Kind"], [1, "Price"]]
    text(folder / "tables.json", json.dumps([schema]))
    (folder / "database/shop").mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(folder / "database/shop/shop.sqlite")
    base.executescript(
        "DROP TABLE IF EXISTS Seller; DROP TABLE IF EXISTS Item; CREATE TABLE Seller (Name, Town); CREATE TABLE Item (Kind, Price)"
    )
    base.executemany("INSERT INTO Seller VALUES (?, ?)", list(zip(NAMES, PLACES, strict=False)))
    base.executemany("INSERT INTO Item VALUES (?, ?)", [(kind, n) for n, kind in enumerate(THINGS)])
    base.commit()
    base.close()
    for split, size in (("train_spider", 48), ("dev", 8)):
        rows = []
        for n in range(size):
            p, k = rng.choice(PLACES), n + 100 * len(split)
            question, query = (
                (f"Who sells in {p}, list at most {k}?", f"SELECT  Name FROM Seller WHERE Town = '{p}' LIMIT {k}"),
                (f"How many items cost more than {k}?", f"SELECT count(*) , max(Price) FROM Item WHERE Price > {k}"),
            )[n % 2]
            rows.append({"db_id": "shop", "question": question, "query": query})
        text(folder / f"{split}.json", json.dumps(rows))


def _form(rng: Random, n: int) -> tuple[list[str], str]:
    a, t = rng.choice(NAMES), rng.choice(THINGS)
    words = (["call", a, "at", str(n)], ["buy", t, "number", str(n)])[n % 2]
    parse = (f"[IN:CALL [SL:WHO {a} ] [SL:WHEN at {n} ] ]", f"[IN:BUY [SL:WHAT {t} ] [SL:COUNT {n} ] ]")[n % 2]
    return words, parse


@maker_of("mtop")
def _mtop(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("eval", 8), ("test", 8)):
        rows = []
        for n in range(size):
            words, parse = _form(rng, n + 100 * len(split))
            rows.append(f"{n}\tIN:X\t\t{' '.join(words)}\tshop\ten_XX\t{parse}\t{json.dumps({'tokens': words})}")
        lines(folder / "en" / f"{split}.txt", rows)


@maker_of("topv2")
def _topv2(folder: Path, rng: Random) -> None:
    for k, domain in enumerate(("alarm", "event", "messaging", "music", "navigation", "reminder", "timer", "weather")):
        for split, size in (("train", 6), ("eval", 2), ("test", 2)):
            forms = [_form(rng, n + 100 * len(split) + 1000 * k) for n in range(size)]
            rows = [f"{domain}\t{' '.join(words)}\t{parse}" for words, parse in forms]
            lines(folder / f"{domain}_{split}.tsv", ["domain\tutterance\tsemantic_parse", *rows])


@maker_of("wikisql")
def _wikisql(folder: Path, rng: Random) -> None:
    for split, name in (("train", "train.compact10000"), ("dev", "dev.compact2000"), ("test", "test.compact2000")):
        rows = []
        for n in range(SIZES[split]):
            p = rng.choice(PLACES)
            query = f"SELECT TABLEalias0.PRICE FROM TABLE AS TABLEalias0 WHERE TABLEalias0.TOWN = {p} AND TABLEalias0.YEAR = {n + 1900} ;"
            rows.append(
                {"table_id": "1-1", "question": f"What was the {split} price in {p} in {n + 1900}?", "sql": query}
            )
        lines(folder / f"{name}.jsonl", rows)


@maker_of("gsm8k")
def _gsm8k(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("test", 8)):
        rows = []
        for n in range(size):
            a, t, k = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 900)
            question = f"{a} has {k} {t}s and buys {n + len(split)} more. How many {t}s are there?"
            rows.append(
                {"question": question, "answer": f"{k} and {n + len(split)} are more.\n#### {k + n + len(split):,}"}
            )
        lines(folder / f"{split}.jsonl", rows)


@maker_of("geoquery")
def _geoquery(folder: Path, rng: Random) -> None:
    for split, size in SIZES.items():
        rows = []
        for n in range(size):
            p, k = rng.choice(PLACES), n + 100 * len(split)
            rows.append(
                {
                    "question": {"en": f"which river longer than {k} is in {p}"},
                    "mr": {"funql": f"answer(river(loc_2(stateid('{p}')),{k}))"},
                }
            )
        text(folder / f"xsemplr_mgeoquery_{split}.json", json.dumps(rows))


@maker_of("g2p")
def _g2p(folder: Path, rng: Random) -> None:
    parts = [f"{c}{v}" for c in "bdfgklmnprst" for v in "aeiou"]
    words = sorted({"".join(rng.choices(parts, k=3)) for _ in range(6600)})[:5600]
    text(folder / "us_gold.json", json.dumps({word: word.replace("a", "æ") for word in words}))
    text(folder / "gb_gold.json", json.dumps({word: word[::-1].replace("a", "æ") for word in words}))


def main() -> None:
    """Write docs/tasks.md from the made-up files."""
    root = Path(__file__).parents[1]
    sys.path.insert(0, str(root / "src"))
    from foreword.tasks import names
    from foreword.tasks._page import page

    with tempfile.TemporaryDirectory() as folder:
        text(root / "docs" / "tasks.md", page(names(), write(Path(folder))))


if __name__ == "__main__":
    import lookalike  # not this copy of it, which no maker stands on

    lookalike.main()
