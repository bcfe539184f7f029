"""Spider: a question on a database to SQL, the schema shown; it refuses a question whose database has no schema.

Source: Yu et al. 2018 (arXiv 1809.08887). The official dev split (1,034) is scored, as its test answers are hidden; dev is
300 questions cut from train by seed 0. Schema and target are written as UnifiedSKG writes them, without cell values
(`spider-with-cells` shows those): `db_id | table : column , column | ...`. Exact set match compares parsed queries;
execution accuracy, what they return, and is scored where the databases of the scored questions are here. The four levels of
hardness are subsets with scores of their own.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks import _parts as parts
from foreword.tasks import _spider
from foreword.tasks._files import pick
from foreword.tasks._once import once

NAME = "spider"
SUMMARY = "Questions on 166 databases to SQL (Spider)"
LICENCE, PLACE, ALSO, METRICS = _spider.LICENCE, _spider.PLACE, _spider.ALSO, _spider.METRICS
FILES, UNITS = _spider.FILES, _spider.UNITS
GET = (
    "spider.zip (train_spider.json, dev.json, tables.json; for execution accuracy also the folder database) from "
    "https://yale-lily.github.io/spider (CC BY-SA 4.0)"
)
TEMPLATE = Template(
    instruction="Write the SQL query that answers the question.",
    question="{question} ; structured knowledge: {schema}\nSQL:",
)


@once(FILES)
def load(folder: Path | None) -> Task:
    """The task from train_spider.json (or compact pairs), dev.json (likewise) and tables.json."""
    assert folder is not None
    return spider_task(folder, NAME, None)


def spider_task(folder: Path, name: str, databases: Path | None) -> Task:
    """The task of that name; with the folder of databases, the schemas show cell values."""
    known = _spider.schemas(pick(folder, FILES, "tables"))
    executable = _spider.database_facts(folder / "database", known)
    train = _spider.read(pick(folder, FILES, "train"), "train", known, executable, databases)
    scored = _spider.rated(_spider.read(pick(folder, FILES, "dev"), "test", known, executable, databases))
    remaining, dev = parts.carved(train, _spider.DEV)
    scored_databases = {example.facts["db_id"] for example in scored}
    lacking = scored_databases - set(executable)
    notes = [parts.DEV_SCORED, parts.CARVED.format(size=len(dev))]
    if lacking:
        notes.append(_spider.NOT_EXECUTED.format(lacking=len(lacking), asked=len(scored_databases)))
    return Task(
        name=name,
        train=tuple(remaining),
        dev=tuple(dev),
        test=tuple(scored),
        template=TEMPLATE,
        metrics=tuple(metric for metric in METRICS if metric != _spider.EXECUTION or not lacking),
        source=f"Spider, {LICENCE}; the official dev split is the test split here",
        notes=tuple(notes),
    )
