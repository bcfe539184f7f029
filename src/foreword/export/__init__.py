"""Prompts for other tools: PEFT, NumPy, T5X and vLLM, each with what is not the same there; it refuses what cannot be exact."""

from foreword.export.arrays import array_in, read_array
from foreword.export.targets import TARGETS, Source, export

__all__ = ["TARGETS", "Source", "array_in", "export", "read_array"]
