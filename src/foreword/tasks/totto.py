"""ToTTo: say the highlighted cells of a table in one sentence; it refuses a highlighted cell outside its table.

Source: Parikh et al. 2020 (arXiv 2004.14373). Input, as UnifiedSKG writes it after the authors' own baseline: page title,
section title, then each highlighted cell with its column headers (the header cells above it that share a column) and its
row headers (the header cells to its left). One train example per table, its first sentence the target; dev, whose answers
are public, is scored with all its sentences (twice where two annotators wrote the same) and by its two subsets, as by
the official script: `overlap`, of tables with headers that train has too, and `nonoverlap`. Dev
here is 500 questions cut from train by seed 0. Where only the authors' sample is there (8 and 10 tables), that is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, shared
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import HIDDEN, PART, File, chosen, json_lines
from foreword.util.errors import ForewordError

NAME = "totto"
SUMMARY = "Highlighted cells of a table to one sentence (ToTTo)"
LICENCE = "CC BY-SA 3.0"
PLACE, ALSO = "totto", ("totto_data",)
GET = (
    "totto_data.zip (totto_train_data.jsonl, totto_dev_data.jsonl) from "
    "https://github.com/google-research-datasets/ToTTo (CC BY-SA 3.0)"
)
METRICS = ("totto_bleu", "parent", "bleu", "chrf")
SAMPLES = {split: (f"{split}_sample.jsonl", f"{split}_sample.older.jsonl") for split in ("train", "dev")}
FILES = (
    File("train", "totto_train_data.jsonl", {"rows": 120761}),
    File("train", "totto_data/totto_train_data.jsonl", {"rows": 120761}),
    File("train", "train.jsonl", {"rows": 120761}),
    File("train", SAMPLES["train"], {"rows": 8}, kind=PART),
    File("dev", "totto_dev_data.jsonl", {"rows": 7700}),
    File("dev", "totto_data/totto_dev_data.jsonl", {"rows": 7700}),
    File("dev", "dev.jsonl", {"rows": 7700}),
    File("dev", SAMPLES["dev"], {"rows": 10}, kind=PART),
    File("test", "unlabeled_totto_test_data.jsonl", {"rows": 7700}, kind=HIDDEN),
)
DEV = 500
TEMPLATE = Template(
    instruction="Describe the highlighted cells of the table in one sentence.",
    question="structured knowledge: {table}\nSentence:",
)


def load(folder: Path | None) -> Task:
    """The task from its JSON-lines files."""
    assert folder is not None
    files = {split: chosen(folder, FILES, split) for split in ("train", "dev")}
    train = [example for name in files["train"].names for example in _read(folder / name, "train")]
    scored = [example for name in files["dev"].names for example in _read(folder / name, "test")]
    remaining, dev = parts.carved(train, DEV)
    dev = _with_facts(dev, [folder / name for name in files["train"].names])
    sample = any(file.kind == PART for file in files.values())
    notes = [parts.DEV_SCORED, parts.CARVED.format(size=len(dev))]
    if sample:
        notes.append(
            f"The official files are absent: these are the authors' sample, {len(train)} train and {len(scored)} dev tables."
        )
    return Task(
        name=NAME,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"ToTTo, {LICENCE}; {'the sample of its authors only' if sample else 'the official dev split is the test split here'}",
        notes=tuple(notes),
    )


def _with_facts(dev: list[Example], paths: list[Path]) -> list[Example]:
    """The dev examples with their tables, found in the train files again: to keep all train tables would take gigabytes."""
    tables = {example.id: example for example in dev}
    for path in paths:
        for number, row in json_lines(path):
            name = f"train-{parts.get(row, 'example_id', path, number)}"
            if name in tables:
                tables[name] = replace(tables[name], facts=_facts(row))
    return list(tables.values())


def _read(path: Path, split: str) -> list[Example]:
    examples = []
    for number, row in json_lines(path):
        sentences = [
            parts.text(annotation, "final_sentence", path, number)
            for annotation in parts.listed(row, "sentence_annotations", path, number)
        ]
        targets = tuple(" ".join(sentence.split()) for sentence in sentences if sentence)
        if not targets:
            raise ForewordError(
                f"The field 'sentence_annotations' in row {number} of {path} holds no sentence; mend it."
            )
        name = f"{split}-{parts.get(row, 'example_id', path, number)}"
        fields = {"table": linear(row, path, number)}
        cluster = shared("page", parts.text(row, "table_page_title", path, number))
        facts = _facts(row) if split == "test" else {}
        shown = targets if split == "test" else targets[:1]
        examples.append(Example(name, fields, shown, facts=facts, cluster=cluster))
    return examples


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What PARENT looks at, the whole table, the highlighted cells, the titles; and the subset."""
    keys = ("table_page_title", "table_section_title", "table_section_text", "highlighted_cells")
    facts: dict[str, Any] = {key: row[key] for key in keys if key in row}
    facts["table"] = [
        [{"value": cell["value"], "is_header": cell["is_header"]} for cell in line] for line in row["table"]
    ]
    if isinstance(row.get("overlap_subset"), bool):
        facts["subset"] = "overlap" if row["overlap_subset"] else "nonoverlap"
    return facts


def linear(row: Mapping[str, Any], path: Path, number: int) -> str:
    """The highlighted cells with their titles and heuristic headers, in UnifiedSKG's tags.

    Raises ForewordError naming the row and the field that is no table, or no place in it.
    """
    if "table_section_text" in row:
        parts.text(row, "table_section_text", path, number)
    lines = parts.listed(row, "table", path, number)
    try:
        columns = [_columns(line) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise ForewordError(
            f"The field 'table' in row {number} of {path} is no table of cells ({error}); download the file again."
        ) from error
    pieces = []
    for tag in ("page_title", "section_title"):
        title = parts.text(row, f"table_{tag}", path, number)
        if title:
            pieces.append(f"<{tag}> {title} </{tag}>")
    pieces.append("<table>")
    for place in parts.listed(row, "highlighted_cells", path, number):
        try:
            line, column = place
            cell = lines[line][column]
            if line < 0 or column < 0:
                raise IndexError("a place before the first")
        except (IndexError, TypeError, ValueError) as error:
            raise ForewordError(
                f"The field 'highlighted_cells' in row {number} of {path} names {place}, which is no cell of its table."
            ) from error
        above = [header["value"] for k in range(line) for header in _over(lines[k], columns[k], columns[line][column])]
        left = [header["value"] for header in lines[line][:column] if header["is_header"]]
        heads = [f"<col_header> {head} </col_header>" for head in above]
        heads += [f"<row_header> {head} </row_header>" for head in left]
        pieces.append(" ".join(["<cell>", cell["value"], *heads, "</cell>"]))
    return " ".join([*pieces, "</table>"])


def _columns(line: list[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """The columns [start, end) that each cell of a row covers, counted by the spans within that row alone."""
    spans, start = [], 0
    for cell in line:
        end = start + int(cell["column_span"])
        spans.append((start, end))
        start = end
        _ = cell["value"] + "", cell["is_header"]
    return spans


def _over(
    line: list[Mapping[str, Any]], columns: list[tuple[int, int]], below: tuple[int, int]
) -> list[Mapping[str, Any]]:
    """The header cells of a row that share a column with the cell below."""
    pairs = zip(line, columns, strict=True)
    return [cell for cell, (start, end) in pairs if cell["is_header"] and start < below[1] and end > below[0]]
