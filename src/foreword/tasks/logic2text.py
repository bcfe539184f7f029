"""Logic2Text: say a logical form over a table in English; it refuses a row without a sentence, a table without a header.

Source: Chen et al. 2020 (arXiv 2004.14579). With the official files (a `logic_str` in every row; the layout of the
authors' dataset folder or of relogic) the input is, as UnifiedSKG writes it, the logical form and then
`Caption: title | header, header, ...` without any cell. The copy in LogicNLG's layout (`*_lm.json`, tables as `#`-separated
text) lacks the logical forms: there the input is the caption, the linked columns and their cells, row by row, and the
notes say so; BLEC cannot be had from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreword.data.examples import Example, merged, shared
from foreword.data.readers import read_lines
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import BESIDE, REMADE, File, json_value, pick
from foreword.util.errors import ForewordError

NAME = "logic2text"
SUMMARY = "A logical form over a table to one sentence (Logic2Text)"
LICENCE = "MIT"
PLACE, ALSO = "logic2text", ("Logic2Text",)
GET = "dataset/{train,valid,test}.json from https://github.com/czyssrs/Logic2Text (MIT)"
METRICS = ("blec", "bleu", "chrf", "rouge_l")
SIZES = {"train": 8566, "valid": 1095, "test": 1092}
LINKED = {"train": "train_lm.json", "valid": "valid_lm.json", "test": "test_lm.json"}
TABLES = {"train": 4554, "valid": 500, "test": 500}
FILES = (
    *(
        File(split, name, {"rows": size})
        for split, size in SIZES.items()
        for name in (f"dataset/{split}.json", f"{split}.json", *(("dev.json",) if split == "valid" else ()))
    ),
    *(
        File(split, LINKED[split], {"sentences": size, "tables": TABLES[split]}, kind=REMADE)
        for split, size in SIZES.items()
    ),
    File("tables", "all_csv", {"files": 5554}, kind=BESIDE),
)
UNITS = {"sentences": lambda rows: sum(len(sentences) for _, sentences in rows), "tables": len}
LOGIC = Template(
    instruction="Say the logical form over the table in one sentence.",
    question="{logic} ; structured knowledge: {table}\nSentence:",
)
TEMPLATE = Template(
    instruction="Say something that follows from these columns of the table, in one sentence.",
    question="structured knowledge: {table}\nSentence:",
)
NO_LOGIC = (
    "The files are in LogicNLG's layout, which lacks the logical forms: the input is the caption with the linked columns and "
    "their cells, and rows of dev and test that ask the same are one example with all their sentences."
)


def load(folder: Path | None) -> Task:
    """The task from the official files, else from those in LogicNLG's layout."""
    assert folder is not None
    paths = {split: pick(folder, FILES, split) for split in SIZES}
    linked = any(path.name == LINKED[split] for split, path in paths.items())
    if linked:
        paths = {split: parts.first_file(folder, name) for split, name in LINKED.items()}
        splits = {split: _linked(path, split) for split, path in paths.items()}
        splits |= {split: merged(splits[split]) for split in ("valid", "test")}
    else:
        splits = {split: _official(path, split) for split, path in paths.items()}
    return Task(
        name=NAME,
        train=tuple(splits["train"]),
        dev=tuple(splits["valid"]),
        test=tuple(splits["test"]),
        template=TEMPLATE if linked else LOGIC,
        metrics=METRICS[1:] if linked else METRICS,
        source=f"Logic2Text, {LICENCE}; {'LogicNLG layout, without logical forms' if linked else 'official files'}",
        notes=(NO_LOGIC,) if linked else (),
    )


def _official(path: Path, split: str) -> list[Example]:
    examples = []
    for number, row in enumerate(parts.read_list(path), 1):
        inner = row.get("table") if isinstance(row, Mapping) else None
        whole: Mapping[str, Any] = inner if isinstance(inner, Mapping) else row
        caption = parts.text(whole, "caption" if whole is inner else "topic", path, number)
        header = parts.listed(whole, "header" if whole is inner else "table_header", path, number)
        sentence = parts.text(row, "question" if "question" in row else "sent", path, number)
        logic = parts.text(row, "logic_str", path, number)
        if not (sentence and logic and header):
            raise ForewordError(f"Row {number} of {path} has an empty sentence, logic_str or table header; mend it.")
        table = f"Caption: {caption} | {', '.join(map(str, header))}"
        fields = {"logic": " ".join(logic.split()), "table": table}
        facts = {} if split == "train" else {"logic_str": logic}
        target = " ".join(sentence.split())
        examples.append(Example(f"{split}-{number}", fields, (target,), facts=facts, cluster=shared("table", table)))
    return examples


def _linked(path: Path, split: str) -> list[Example]:
    value = json_value(path)
    if not isinstance(value, dict):
        raise ForewordError(f"{path} does not hold a JSON object of tables; download the file again.")
    examples: list[Example] = []
    for name, sentences in value.items():
        if Path(name).name != name:
            raise ForewordError(f"The table '{name}' in {path} is no name of a file; download the file again.")
        lines = _table(path.parent / "all_csv" / name)
        if not isinstance(sentences, list):
            raise ForewordError(f"The table '{name}' in {path} has no list of sentences; download the file again.")
        for row in sentences:
            whole = isinstance(row, list) and len(row) >= 3 and isinstance(row[0], str) and isinstance(row[1], list)
            if not whole or not all(isinstance(column, int) and 0 <= column < len(lines[0]) for column in row[1]):
                raise ForewordError(
                    f"Sentence {len(examples) + 1} of {path}, of the table '{name}', is no [sentence, numbers of its columns, "
                    "title]; download the file again."
                )
            columns = row[1] or list(range(len(lines[0])))
            cells = " | ".join(", ".join(line[column] for column in columns) for line in lines)
            fields, target = {"table": f"Caption: {row[2]} | {cells}"}, row[0].strip()
            examples.append(Example(f"{split}-{len(examples) + 1}", fields, (target,), cluster=shared("table", name)))
    return examples


def _table(path: Path) -> list[list[str]]:
    """The header and the rows of a `#`-separated table. Raises ForewordError naming the line of another length."""
    if not path.is_file():
        raise ForewordError(f"There is no table {path}; put the tables into the folder all_csv.")
    lines = [line.split("#") for line in read_lines(path) if line.strip()]
    if len(lines) < 2:
        raise ForewordError(f"The table {path} has no header with rows below; download it again.")
    for number, line in enumerate(lines, 1):
        if len(line) != len(lines[0]):
            raise ForewordError(
                f"Line {number} of {path} has {len(line)} cells where the header has {len(lines[0])}; download it again."
            )
    return lines
