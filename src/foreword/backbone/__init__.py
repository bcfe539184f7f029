"""The only room that names the model library: frozen models behind few verbs; it refuses to know tasks, methods or files of ours."""

from foreword.backbone.batch import Row, Softs, each
from foreword.backbone.causal import Traits
from foreword.backbone.core import Backbone
from foreword.backbone.identity import encoder_fingerprint
from foreword.backbone.load import load_backbone, wrap

__all__ = ["Backbone", "Row", "Softs", "Traits", "each", "encoder_fingerprint", "load_backbone", "wrap"]
