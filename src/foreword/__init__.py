"""The public names of foreword, loaded when first asked for; it refuses to import a heavy library just by being imported."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "compare": "foreword.api.calls",
    "tune": "foreword.api.calls",
    "evaluate": "foreword.api.calls",
    "load_prompt": "foreword.api.calls",
    "Predictor": "foreword.api.predictor",
    "Comparison": "foreword.api.comparison",
    "Evaluation": "foreword.api.calls",
    "Backbone": "foreword.backbone",
    "load_backbone": "foreword.backbone",
    "Example": "foreword.data",
    "Template": "foreword.template",
    "Task": "foreword.task",
    "Method": "foreword.methods",
    "METHODS": "foreword.methods",
    "SoftPrompt": "foreword.softprompt",
    "Record": "foreword.record",
    "Tuning": "foreword.config",
    "Run": "foreword.config",
    "Spec": "foreword.spec",
    "Trial": "foreword.trial",
    "ForewordError": "foreword.errors",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'foreword' has no attribute '{name}'")
    return getattr(importlib.import_module(_WHERE[name]), name)
