"""Made-up files of the tasks whose answer puts data into words, a part of lookalike; it refuses to hold a line of real data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

from lookalike import NAMES, PLACES, SIZES, THINGS, lines, maker_of, table, text


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
