"""Prompts for other tools: PEFT, NumPy, T5X, vLLM and SGLang, each with notes on what differs there; what cannot be exact is refused."""

from foreword.export.targets import TARGETS, Source, export, read_array

__all__ = ["TARGETS", "Source", "export", "read_array"]
