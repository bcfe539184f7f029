"""Pre-training of the reference models: tokenizer, documents, training, export; all of their text is generated."""

from foreword.train.pretrain.loop import SIZES, Shape, TrainingStatus, pretrain

__all__ = ["SIZES", "Shape", "TrainingStatus", "pretrain"]
