"""The sound folders that a file is changed in: tables, tasks, golden cases, prompts, records, checkpoints, models, all made up; it
refuses to need a file or a network."""

from __future__ import annotations

import functools
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import torch
from pyarrow import parquet

import entry
import lookalike
import tiny
from foreword.config.tuning import Tuning
from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.results.record import Record
from foreword.study.spec import Spec
from foreword.study.trial import Trial
from foreword.train.loop import State, _save
from foreword.train.pretrain.checkpoint import keep

Files = dict[str, bytes]

MODELS = ("gpt2", "llama", "t5")
PAIRS = [{"input": f"question {n}", "target": ("yes", "no", "a longer answer", "1.5")[n % 4]} for n in range(16)]
SHAPES: tuple[Any, ...] = (
    PAIRS,
    {"data": PAIRS},
    {"input": [row["input"] for row in PAIRS], "target": [row["target"] for row in PAIRS]},
    [
        {"messages": [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["target"]}]}
        for row in PAIRS
    ],
    [{"prompt": row["input"], "completion": row["target"]} for row in PAIRS],
    [
        row | {"choices": ["yes", "no", "a longer answer", "1.5"], "references": ["a", "b"], "id": n}
        for n, row in enumerate(PAIRS)
    ],
    {
        "data": [
            {
                "paragraphs": [
                    {"context": "c", "qas": [{"input": row["input"], "target": row["target"]} for row in PAIRS]}
                ]
            }
        ]
    },
    [{"input": n / 3, "target": n % 3} for n in range(16)],
)
CONFIG = """model = "x"
data = "data.csv"
methods = ["zero", "icl:bm25:3", "few:4", "pt+instruction"]
seeds = [0, 1]
shots = 2
limit = 100
batch_size = 8
split = "60/20/20"
question = "Q: {input}"
answer = " {target}"
stop = ["\\n", "."]
choices = ["yes", "no"]
metrics = ["bleu", "accuracy"]
extract = "(.+)"
margin = 2.5
target_index = 0
delimiter = ","
encoding = "utf-8"
header = ["input", "target"]
device = "cpu"
encoder = "backbone:mean"
model_learning_rate = 3e-4
[tuning]
learning_rate = 0.3
max_steps = 10
prompt_length = 5
"""
GOLDEN: dict[str, Files] = {
    "blec": {
        "cases.jsonl": json.dumps(
            {
                "id": "a",
                "logic_str": "eq { count { filter_eq { all_rows ; place ; Kelso } } ; 2 } = true",
                "prediction": "two were in kelso",
                "gold": "there were 2 in kelso",
            }
        ).encode()
    },
    "dart": {
        "cases.jsonl": json.dumps(
            {"id": "a", "references": ["the cat sat .", "a cat sat ."], "prediction": "the cat sat ."}
        ).encode()
    },
    "e2e": {
        "cases.jsonl": json.dumps(
            {"id": "a", "references": ["The Mill is a pub.", "A pub: The Mill."], "prediction": "The Mill, pub."}
        ).encode()
    },
    "glue_labels_t5": {
        "cases.jsonl": "\n".join(
            json.dumps(row)
            for row in (
                {"id": "a", "task": "qqp", "targets": [0, 1], "predictions": ["duplicate", "x"]},
                {"id": "b", "task": "stsb", "targets": [1.5, 2], "predictions": ["1.5", "x"]},
            )
        ).encode()
    },
    "mtop": {
        "cases.jsonl": json.dumps({"id": "a", "gold": "[IN:A [SL:B x ] ]", "prediction": "[IN:A [SL:B y ] ]"}).encode()
    },
    "multirc": {
        "cases.jsonl": json.dumps(
            {
                "id": "a",
                "items": [
                    {"paragraph": 1, "question": 2, "label": 1, "prediction": "True"},
                    {"paragraph": 1, "question": 2, "label": 0, "prediction": "x"},
                ],
            }
        ).encode()
    },
    "parent_original": {
        "cases.jsonl": json.dumps(
            {
                "id": "a",
                "table": "Anderson|||isPartOf|||Richland",
                "references": ["Anderson is in Richland."],
                "prediction": "Anderson is in it.",
            }
        ).encode()
    },
    "record": {
        "cases.jsonl": json.dumps(
            {"id": "a", "passage": 1, "query": 2, "answers": ["Seoul", "North"], "prediction": "Seoul"}
        ).encode()
    },
    "spider_match": {
        "cases.jsonl": json.dumps(
            {
                "id": "a",
                "db_id": "shop",
                "gold": "SELECT count(*), max(Price) FROM Item JOIN Seller ON Item.Kind = Seller.Name "
                "WHERE Price > 3 AND Kind LIKE 'x' GROUP BY Kind HAVING count(*) > 1 ORDER BY Kind DESC LIMIT 3",
                "prediction": "SELECT Kind FROM Item WHERE Price IN (SELECT Price FROM Item) UNION SELECT Name FROM Seller",
            }
        ).encode(),
        "tables.jsonl": json.dumps(
            {
                "db_id": "shop",
                "table_names_original": ["Seller", "Item"],
                "foreign_keys": [[3, 1]],
                "column_names_original": [[-1, "*"], [0, "Name"], [0, "Town"], [1, "Kind"], [1, "Price"]],
            }
        ).encode(),
    },
    "squad_mrqa": {
        "cases.jsonl": json.dumps({"id": "a", "answers": ["the cat", "cat"], "prediction": "a cat"}).encode()
    },
    "totto": {
        "cases.jsonl": json.dumps({"id": "a", "example_id": 7, "prediction": "Ada made a kettle."}).encode(),
        "examples.jsonl": json.dumps(
            {
                "id": "e",
                "example_id": 7,
                "table": [
                    [{"value": "Year", "is_header": True, "column_span": 1, "row_span": 1}],
                    [{"value": "kettle", "is_header": False, "column_span": 1, "row_span": 1}],
                ],
                "highlighted_cells": [[1, 0]],
                "sentence_annotations": [{"final_sentence": "Ada made a kettle."}],
                "table_page_title": "Ada",
                "table_section_title": "Works",
                "table_section_text": "",
            }
        ).encode(),
    },
    "webnlg": {
        "cases.jsonl": json.dumps(
            {"id": "a", "references": ["Italy has pasta."], "prediction": "Pasta is Italian."}
        ).encode()
    },
    "wsc_simple": {
        "cases.jsonl": json.dumps(
            {"id": "a", "referent": "Susan", "prediction": "Susan", "text": "x", "pronoun": "she"}
        ).encode()
    },
}


@dataclass(frozen=True)
class Base:
    """A folder, by the paths of its files, and those of them that may be changed."""

    files: Files
    changed: tuple[str, ...]

    @classmethod
    def whole(cls, files: Files) -> Base:
        """Every file may be changed."""
        return cls(files, tuple(sorted(files)))


def _read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _files_written(make: Callable[[Path], Any]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return _read(Path(folder))


def _workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (("input", "target"), *((row["input"], row["target"]) for row in PAIRS)):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def tables() -> Iterator[tuple[str, Base]]:
    """(name, folder) of each form of table, each shape of JSON, plain and packed."""
    separated = {
        mark: "\n".join([mark.join(("input", "target")), *(mark.join(row.values()) for row in PAIRS)]).encode()
        for mark in ",\t;"
    }
    contents = {
        "data.csv": separated[","],
        "data.tsv": separated["\t"],
        "semicolons.csv": separated[";"],
        "data.xlsx": _workbook(),
    }
    for number, shape in enumerate(SHAPES):
        contents[f"shape-{number}.json"] = json.dumps(shape).encode()
        if isinstance(shape, list):
            contents[f"lines-{number}.jsonl"] = "\n".join(map(json.dumps, shape)).encode()
    stream = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(PAIRS), stream)
    contents["data.parquet"] = stream.getvalue()
    for name in ("data.csv", "lines-0.jsonl", "shape-0.json", "data.parquet"):
        contents[f"{name}.gz"] = gzip.compress(contents[name], 1, mtime=0)
    for name, content in contents.items():
        yield name, Base.whole({name: content})


def _prompt() -> SoftPrompt:
    provenance = Provenance(
        backbone="some/model",
        fingerprint="v3:" + "f" * 64,
        task="a task",
        label="ipt:bm25:2",
        method={"soft": True, "k": 2},
        template=Template().as_dict(),
        tuning=Tuning().model_dump(),
        scores={"bleu": 12.5},
    )
    return SoftPrompt(torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7, provenance)


def peft_prompt() -> Files:
    """A prompt without a certificate, as PEFT writes it."""
    return {
        name: content
        for name, content in _files_written(lambda folder: store.save(_prompt(), folder / "prompt")).items()
        if "foreword" not in name
    }


def layer() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A model of one small layer with an optimiser that has taken a step; always the same."""
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.fill_(number + 0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    return model, optimiser


@dataclass
class OneLayer:
    """What tune's checkpoint asks of a training: its named numbers."""

    named: dict[str, torch.Tensor]


def _checkpoint(folder: Path) -> None:
    model, optimiser = layer()
    keep(
        folder / "checkpoint.safetensors",
        model,
        optimiser,
        {"tokens": 7, "steps": 2, "place": [0, 1], "curve": [[7, 1.5]]},
    )


def _tune_checkpoint(folder: Path) -> None:
    model, optimiser = layer()
    named = dict(model.named_parameters())
    best = {name: value.detach().clone() for name, value in named.items()}
    _save(folder / "tuning.safetensors", "mark", OneLayer(named), optimiser, State(best=best, best_score=1.5))  # type: ignore[arg-type]


def task() -> Task:
    """Two examples to score, four to show."""
    examples = [Example(f"e{n}", {"input": f"ba lo {n}"}, (f"ri {n}",)) for n in range(6)]
    return Task("toy", tuple(examples[:4]), (), tuple(examples[4:]), Template(), ("exact_match",))


def _record(folder: Path) -> None:
    method = parse("icl", shots=1, retriever="bm25", retrievers=list(RETRIEVERS))
    trial = Trial(Spec("icl", method, 0, Tuning(), 4), tiny.backbone("gpt2"), task(), folder)
    trial.run()
    assert Record.read(trial.path)


def records() -> Files:
    """The record of a finished trial, alone."""
    (content,) = (content for name, content in _files_written(_record).items() if name.endswith(".json"))
    return {"record.json": content}


def _saved(folder: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list(PAIRS)
    datasets.DatasetDict({"train": rows, "test": rows.select(range(4))}).save_to_disk(folder)


def _texts() -> Files:
    plain = "\n\n".join(f"A paragraph of words, number {n}." for n in range(30))
    return {
        "texts.txt": plain.encode(),
        "texts.jsonl": "\n".join(json.dumps({"text": f"text {n}"}) for n in range(30)).encode(),
    }


@functools.cache
def bases() -> dict[str, Base]:
    """Every folder by its name, `table/data.csv`, `task/totto`, `model/t5`."""
    with tempfile.TemporaryDirectory() as folder:
        lookalike.write(Path(folder))
        task_files = {name: _read(Path(folder) / name) for name in lookalike.MAKERS}
    named_bases = {f"table/{name}": base for name, base in tables()}
    named_bases |= {f"task/{name}": Base.whole(files) for name, files in task_files.items()}
    named_bases |= {f"golden/{name}": Base.whole(files) for name, files in GOLDEN.items()}
    named_bases |= {
        f"model/{family}": Base.whole(_files_written(functools.partial(entry.save_model, family=family)))
        for family in MODELS
    }
    named_bases["config/run"] = Base.whole({"run.toml": CONFIG.encode()})
    named_bases["prompt/own"] = Base.whole(_files_written(lambda folder: store.save(_prompt(), folder / "prompt")))
    named_bases["prompt/peft"] = Base.whole(peft_prompt())
    named_bases["record/icl"] = Base.whole(records())
    named_bases["checkpoint/pretrain"] = Base.whole(_files_written(_checkpoint))
    named_bases["checkpoint/tune"] = Base.whole(_files_written(_tune_checkpoint))
    named_bases["saved/dataset"] = Base.whole(_files_written(_saved))
    named_bases["texts/plain"] = Base.whole(_texts())
    return {
        name: replace(base, changed=tuple(file for file in base.changed if not file.endswith((".md", ".lock"))))
        for name, base in named_bases.items()
    }
