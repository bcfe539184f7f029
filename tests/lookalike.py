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


def _triples(rng: Random, n: int) -> tuple[list[list[str]], list[str]]:
    a, p, t = rng.choice(NAMES), rng.choice(PLACES), rng.choice(THINGS)
    triples = [[a, "HOME_TOWN", p], [a, "OWNS", f"{t} {n}"]]
    return triples, [f"{a} of {p} owns {t} {n}.", f"{t.capitalize()} number {n} belongs to {a}, who lives in {p}."]


@maker_of("dart")
def _dart(folder: Path, rng: Random) -> None:
    for split, size in SIZES.items():
        rows = [_triples(rng, n + 100 * len(split)) for n in range(size)]
        if split == "test":
            text(folder / "dart-v1.1.1-full-test.xml", _benchmark(rows))
        else:
            whole = [
                {"tripleset": triples, "annotations": [{"source": "x", "text": reference} for reference in references]}
                for triples, references in rows
            ]
            text(folder / f"dart-v1.1.1-full-{split}.json", json.dumps(whole))


def _benchmark(rows: Iterable[tuple[list[list[str]], list[str]]], inner: bool = False, kind: str = "Town") -> str:
    entries = []
    for number, (triples, texts) in enumerate(rows, 1):
        shown = "".join(f"<mtriple>{' | '.join(triple)}</mtriple>" for triple in triples)
        lexes = "".join(
            f'<lex lid="{k}">{f"<text>{lex}</text>" if inner else lex}</lex>' for k, lex in enumerate(texts)
        )
        entries.append(
            f'<entry category="{kind}" eid="Id{number}"><modifiedtripleset>{shown}</modifiedtripleset>{lexes}</entry>'
        )
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n<benchmark><entries>\n"
        + "\n".join(entries)
        + "\n</entries></benchmark>\n"
    )


@maker_of("webnlg")
def _webnlg(folder: Path, rng: Random) -> None:
    for split, size in SIZES.items():
        rows = [_triples(rng, n + 100 * len(split)) for n in range(size)]
        for kind, part in (("Town", rows[:6]), ("River", rows[6:])) if split == "test" else (("Town", rows),):
            text(folder / "data/v1.6/en" / split / "2triples" / f"{kind}.xml", _benchmark(part, inner=True, kind=kind))


@maker_of("e2e_nlg")
def _e2e(folder: Path, rng: Random) -> None:
    names = {"train": ("trainset.csv", "train-fixed.no-ol.csv"), "dev": ("devset.csv", "devel-fixed.no-ol.csv")}
    names["test"] = ("testset_w_refs.csv", "test-fixed.csv")
    for split, size in SIZES.items():
        rows = []
        for n in range(size):
            p, price = PLACES[n % 12], rng.choice(("cheap", "moderate", "high"))
            meaning = f"name[The {rng.choice(THINGS).title()} {n + len(split)}], priceRange[{price}], near[{p}]"
            place = meaning[5 : meaning.index("]")]
            rows += [
                [meaning, f"{place} near {p} has {price} prices."],
                [meaning, f"You find the {price} house {place} close to {p}."],
            ]
        table(folder / names[split][0], ["mr", "ref"], rows)
        table(
            folder / "cleaned" / names[split][1],
            ["mr", "ref", "fixed", "orig_mr"],
            [[*row, "0", row[0]] for row in rows],
        )


@maker_of("totto")
def _totto(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("dev", 8)):
        rows = []
        for n in range(size):
            a, p, t = rng.choice(NAMES), rng.choice(PLACES), rng.choice(THINGS)
            grid = [[("Year", True, 1), ("Work", True, 2)], [(str(1900 + n), True, 1), (t, False, 1), (p, False, 1)]]
            cells = [
                [{"value": v, "is_header": h, "column_span": s, "row_span": 1} for v, h, s in line] for line in grid
            ]
            sentences = [f"In {1900 + n}, {a} made a {t}.", f"{a} built the {t} of {p} in {1900 + n}."][
                : 1 if split == "train" else 2
            ]
            row = {
                "table": cells,
                "table_page_title": a,
                "table_section_title": "Works",
                "table_section_text": "",
                "example_id": n,
            }
            row |= {
                "highlighted_cells": [[1, 1], [1, 2]],
                "sentence_annotations": [{"final_sentence": final_sentence} for final_sentence in sentences],
            }
            rows.append(row | ({"overlap_subset": n % 2 == 0} if split == "dev" else {}))
        lines(folder / f"totto_{split}_data.jsonl", rows)


@maker_of("logic2text")
def _logic2text(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("valid", 8), ("test", 8)):
        rows = []
        for n in range(size):
            p, t = rng.choice(PLACES), rng.choice(THINGS)
            logic = f"eq {{ count {{ filter_eq {{ all_rows ; place ; {p} }} }} ; {n + 2} }} = true"
            rows.append(
                {
                    "topic": f"{t} sales {1900 + n}",
                    "table_header": ["place", "sold"],
                    "logic_str": logic,
                    "sent": f"{t}s were sold {n + 2} times in {p} .",
                }
            )
        text(folder / "dataset" / f"{split}.json", json.dumps(rows))


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


@maker_of("commongen")
def _commongen(folder: Path, rng: Random) -> None:
    for split, size in (("train", 48), ("dev", 12)):
        concepts = [
            (rng.choice(NAMES).lower(), rng.choice(THINGS), p.lower()) for p in (PLACES[n % 12] for n in range(size))
        ]
        lines(
            folder / f"commongen.{split}.src_alpha.txt",
            (" ".join(sorted(words)) + (" dusk" if split == "dev" else "") for words in concepts),
        )
        shapes = ("{} brings a {} to {} .", "Nobody told {} that the {} is still in {} .", "See {} mend the {} of {} .")
        lines(folder / f"commongen.{split}.tgt.txt", (shapes[n % 3].format(*words) for n, words in enumerate(concepts)))


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
