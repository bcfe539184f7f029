"""The profile that a soft prompt keeps of what it was tuned on, for those who watch what it is asked later; it refuses to keep a text."""

from __future__ import annotations

from typing import Any

from foreword.data.task import Task
from foreword.engine import Backbone
from foreword.monitor.profile import profile_of
from foreword.monitor.sketch import Sketch
from foreword.prompts.layout import Layout


def profiled(backbone: Backbone, task: Task, layout: Layout) -> dict[str, Any]:
    """Lengths and vectors of training inputs, as plain values; similarities to the nearest demonstration of dev inputs, which are in no
    pool."""
    sketch, retrieved = Sketch(backbone), layout.retrieved or {}
    similarities = [[shown.similarity for shown in retrieved.get(example.id, ())] for example in task.dev]
    nearest = [max(known) for row in similarities if (known := [value for value in row if value is not None])]
    return profile_of(task.train, sketch.vector, sketch.kind, nearest).as_dict()
