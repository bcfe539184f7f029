"""A Registry keeps prompts as named versions that never change, with aliases that move, all in plain files; damaged files are refused."""

from foreword.registry.index import Version
from foreword.registry.kept import Kept, load_kept, words_only
from foreword.registry.names import Reference, parse_reference
from foreword.registry.registry import Registry

__all__ = ["Kept", "Reference", "Registry", "Version", "load_kept", "parse_reference", "words_only"]
