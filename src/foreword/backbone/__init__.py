"""The only room that names the model library: frozen models behind few verbs; it refuses to know tasks, methods or files of ours."""

from foreword.backbone.batch import Row
from foreword.backbone.core import Backbone
from foreword.backbone.identity import encoder_fingerprint
from foreword.backbone.load import load_backbone, wrap
from foreword.backbone.prefix import Prefix, Prefixes, each
from foreword.backbone.sampling import Sampling
from foreword.backbone.session import Request, Said, Session
from foreword.backbone.traits import Traits

__all__ = [
    "Backbone",
    "Prefix",
    "Prefixes",
    "Request",
    "Row",
    "Said",
    "Sampling",
    "Session",
    "Traits",
    "each",
    "encoder_fingerprint",
    "load_backbone",
    "wrap",
]
