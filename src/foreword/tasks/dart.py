"""DART: say a set of triples in English; it refuses an entry without triples.

Source: Nan et al. 2021 (arXiv 2007.02871), v1.1.1. Input: `subject : relation : object | ...` with the relation
in lower case, as UnifiedSKG writes it. One train example per reference; dev and test have one example per entry
with all its references. JSON and XML of the distribution are read alike. The official train file is
`dart-v1.1.1-full-train.json` (or xml); where it is absent an approximate rebuilding from WebNLG and E2E
(`dart-train.approx_rebuilt.json`) is taken, and source and notes say so. Sacrebleu over all references decides, as in
UnifiedSKG; `dart_bleu` and `dart_meteor` are those of DART's own script.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks._files import REMADE, File, chosen
from foreword.tasks._once import once
from foreword.tasks._xml import entries
from foreword.util.errors import ForewordError

NAME = "dart"
SUMMARY = "Triples to English text (DART v1.1.1)"
LICENCE = "MIT; holds WebNLG, CC BY-NC-SA 4.0, and E2E, CC BY-SA 4.0"
PLACE = "dart"
GET = "dart-v1.1.1-full-{train,dev,test}.json from https://github.com/Yale-LILY/dart, folder data/v1.1.1 (MIT)"
METRICS = ("bleu", "dart_bleu", "dart_meteor", "chrf", "rouge_l")
SIZES = {"train": (30526, 62659), "dev": (2768, 6980), "test": (5097, 12552)}
FILES = (
    *(
        File(split, f"{place}dart-v1.1.1-full-{split}.json", {"entries": size, "references": references})
        for split, (size, references) in SIZES.items()
        for place in ("", "data/v1.1.1/")
    ),
    *(
        File(split, f"{place}dart-v1.1.1-full-{split}.xml", {"entries": size, "xml references": references})
        for split, (size, references) in SIZES.items()
        for place in ("", "data/v1.1.1/")
    ),
    File("test", "dart-v1.1.1-full-test.from_xml.json", {"entries": 5097, "references": 12552}, kind=REMADE),
    File("train", "dart-train.approx_rebuilt.json", {"entries": 11802, "references": 60163}, kind=REMADE),
)
UNITS = {
    "references": lambda rows: sum(len(row["annotations"]) for row in rows),
    "xml references": lambda rows: sum(len(row.findall("lex")) for row in rows),
}
TEMPLATE = Template(
    instruction="Say all the facts in one or two English sentences.",
    question="Facts: {input}\nText:",
)


@once(FILES)
def load(folder: Path | None) -> Task:
    """The task from its JSON or XML files."""
    assert folder is not None
    files = {split: chosen(folder, FILES, split) for split in SIZES}
    splits = {split: _read(folder / file.names[0], split) for split, file in files.items()}
    approximate = files["train"].kind == REMADE
    note = "The official train file is absent: train is an approximate rebuilding from WebNLG and E2E train."
    kind = " (approximate, not official)" if approximate else ""
    return Task(
        name=NAME,
        train=tuple(example for entry in splits["train"] for example in _rows(entry)),
        dev=tuple(splits["dev"]),
        test=tuple(splits["test"]),
        template=TEMPLATE,
        metrics=METRICS,
        source=f"DART v1.1.1, MIT; train from {Path(files['train'].label).name}{kind}",
        notes=(note,) if approximate else (),
    )


def _rows(entry: Example) -> list[Example]:
    return [Example(f"{entry.id}.{k}", entry.fields, (target,)) for k, target in enumerate(entry.targets, 1)]


def _read(path: Path, split: str) -> list[Example]:
    examples = []
    for number, (triples, texts, _) in enumerate(entries(path) if path.suffix == ".xml" else _json(path), 1):
        targets = tuple(" ".join(text.split()) for text in texts if text)
        if targets:
            examples.append(Example(f"{split}-{number}", {"input": linear(triples, path, number)}, targets))
    return examples


def _json(path: Path) -> list[tuple[Any, list[str], str]]:
    parsed = []
    for number, entry in enumerate(parts.read_list(path), 1):
        triples = parts.get(entry, "tripleset", path, number)
        texts = [
            parts.text(annotation, "text", path, number)
            for annotation in parts.listed(entry, "annotations", path, number)
        ]
        parsed.append((triples, texts, ""))
    return parsed


def linear(triples: Any, path: Path, number: int) -> str:
    """`subject : relation : object | ...`. Raises ForewordError naming the entry whose triples are not such."""
    whole = (
        isinstance(triples, list)
        and triples
        and all(isinstance(triple, list) and len(triple) == 3 for triple in triples)
    )
    if not whole or not all(isinstance(part, str) for triple in triples for part in triple):
        raise ForewordError(
            f"The field 'tripleset' in row {number} of {path} is no list of triples; download the file again."
        )
    return " | ".join(f"{subject} : {relation.lower()} : {value}" for subject, relation, value in triples)
