"""The public names of foreword, loaded when first asked for; it refuses to import a heavy library just by being imported."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_WHERE = {
    "compare": "foreword.api.calls",
    "tune": "foreword.api.calls",
    "evaluate": "foreword.api.calls",
    "load_prompt": "foreword.api.calls",
    "Predictor": "foreword.api.predictor",
    "Comparison": "foreword.api.comparison",
    "Evaluation": "foreword.api.calls",
    "Backbone": "foreword.engine",
    "load_backbone": "foreword.engine",
    "Example": "foreword.data.examples",
    "Template": "foreword.data.template",
    "Task": "foreword.data.task",
    "Method": "foreword.prompts.methods",
    "METHODS": "foreword.prompts.methods",
    "SoftPrompt": "foreword.prompts.soft_prompt",
    "Record": "foreword.results.record",
    "Tuning": "foreword.config.tuning",
    "Run": "foreword.config.run",
    "Spec": "foreword.study.spec",
    "Trial": "foreword.study.trial",
    "ForewordError": "foreword.util.errors",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'foreword' has no attribute '{name}'")
    return getattr(importlib.import_module(_WHERE[name]), name)
