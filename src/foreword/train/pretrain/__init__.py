"""Pretrain makes a reference model: tokenizer, documents, training, export; it refuses text that the world did not make."""

from foreword.train.pretrain.loop import SIZES, Shape, TrainingStatus, pretrain

__all__ = ["SIZES", "Shape", "TrainingStatus", "pretrain"]
