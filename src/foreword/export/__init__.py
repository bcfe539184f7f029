"""Prompts for other tools: PEFT, NumPy, T5X, vLLM and SGLang, each with what is not the same there; it refuses what cannot be exact."""

from foreword.export.targets import TARGETS, Source, export, read_array

__all__ = ["TARGETS", "Source", "export", "read_array"]
