"""The only room that names the model library: frozen models behind few verbs; it refuses to know tasks, methods or files of ours."""

from foreword.backbone.batch import Row, Softs, each
from foreword.backbone.causal import Traits
from foreword.backbone.core import Backbone
from foreword.backbone.load import load_backbone, wrap

__all__ = ["Backbone", "Row", "Softs", "Traits", "each", "load_backbone", "wrap"]
