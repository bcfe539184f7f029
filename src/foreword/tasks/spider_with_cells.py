"""Spider with cell values: the schema shows values that the question names; it refuses to run without the databases.

As `spider`, and behind a column stand at most two of its values that the question says, word for word or nearly (difflib's
ratio at least 0.85 with a run of as many words): `name ( france )`. UnifiedSKG's matcher (BRIDGE, Lin et al. 2020) does the
same by letters with another measure, so single values can differ. Databases are opened for reading only.
"""

from __future__ import annotations

from pathlib import Path

from foreword.data.task import Task
from foreword.tasks import _spider, spider
from foreword.tasks._once import once
from foreword.util.errors import ForewordError

NAME = "spider-with-cells"
SUMMARY = "Questions on 166 databases to SQL, matching cell values shown (Spider)"
LICENCE, PLACE, ALSO, METRICS = _spider.LICENCE, _spider.PLACE, _spider.ALSO, _spider.METRICS
FILES = (*(file for file in _spider.FILES if file.split != "databases"), _spider.DATABASES)
UNITS = _spider.UNITS
GET = (
    "spider.zip (train_spider.json, dev.json, tables.json and the folder database) from "
    "https://yale-lily.github.io/spider (CC BY-SA 4.0)"
)


@once(FILES)
def load(folder: Path | None) -> Task:
    """The task from Spider's files and its databases, `database/NAME/NAME.sqlite`."""
    assert folder is not None
    databases = folder / "database"
    if not databases.is_dir():
        raise ForewordError(
            f"The task '{NAME}' reads cell values, and {folder} has no folder 'database'; put the file there: {GET}. "
            "The task 'spider' needs none."
        )
    return spider.spider_task(folder, NAME, databases)
