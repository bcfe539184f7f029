"""Prompts for other tools: PEFT, NumPy, T5X, vLLM and SGLang, each with notes on what differs there; what cannot be exact is refused."""

from foreword.export.arrays import array_in, read_array
from foreword.export.targets import TARGETS, Source, export

__all__ = ["TARGETS", "Source", "array_in", "export", "read_array"]
