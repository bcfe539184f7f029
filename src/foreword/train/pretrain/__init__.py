"""Pretrain makes a reference model: tokenizer, documents, training, export; it refuses text that the world did not make."""

from foreword.train.pretrain.loop import SIZES, Progress, Shape, pretrain

__all__ = ["SIZES", "Progress", "Shape", "pretrain"]
