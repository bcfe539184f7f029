"""Frozen language models behind a few verbs; the only room that imports the model library, and it knows no tasks, methods or files of
foreword."""

from foreword.engine.batch import Row
from foreword.engine.capabilities import Capabilities
from foreword.engine.constrained import ANY_OBJECT, JsonConstraint, JsonGrammar, JsonWriter
from foreword.engine.core import Backbone
from foreword.engine.identity import encoder_fingerprint
from foreword.engine.load import load_backbone, wrap
from foreword.engine.prefix import Prefix, Prefixes, each
from foreword.engine.sampling import Sampling
from foreword.engine.session import GeneratedToken, Request, Session

__all__ = [
    "ANY_OBJECT",
    "Backbone",
    "Capabilities",
    "GeneratedToken",
    "JsonConstraint",
    "JsonGrammar",
    "JsonWriter",
    "Prefix",
    "Prefixes",
    "Request",
    "Row",
    "Sampling",
    "Session",
    "each",
    "encoder_fingerprint",
    "load_backbone",
    "wrap",
]
