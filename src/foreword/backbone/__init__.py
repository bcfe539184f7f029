"""The only room that names the model library: frozen models behind few verbs; it refuses to know tasks, methods or files of ours."""

from foreword.backbone.batch import Row
from foreword.backbone.causal import Traits
from foreword.backbone.core import Backbone
from foreword.backbone.load import load_backbone, wrap

__all__ = ["Backbone", "Row", "Traits", "load_backbone", "wrap"]
