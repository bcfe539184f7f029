"""`foreword demo`: the main job on the model and the task that come with foreword, offline; it refuses to need anything else."""

from __future__ import annotations

from typing import Any

from foreword.cli import options as o
from foreword.cli.compare import compare_with

SETTINGS = {
    "model": "reference",
    "task": "mini-dart",
    "methods": "zero,icl:random,icl,pt,ipt",
    "seeds": "0,1,2",
    "max_steps": 100,
    "prompt_length": 100,
    "max_new_tokens": 48,
    "limit": None,
    "out": "foreword-demo",
}


@o.takes(("out", "limit", "seeds"))
def demo(as_json: o.Json = False, **settings: Any) -> None:
    """Run the main job on the model and the task that come with foreword: offline, in a few minutes.

    Then open foreword-demo/report.html.

    Example:

      foreword demo --out /tmp/demo
    """
    flags = SETTINGS | {name: value for name, value in settings.items() if value is not None}
    compare_with(dict(flags), as_json=as_json)
