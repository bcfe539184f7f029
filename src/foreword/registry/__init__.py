"""A Registry keeps prompts as named versions that never change, with aliases that move, all in plain files; damaged files are refused."""

from foreword.registry.index import Version
from foreword.registry.names import Reference, parse_reference
from foreword.registry.registry import Registry
from foreword.registry.stored_prompt import StoredPrompt, load_stored_prompt, words_only

__all__ = ["Reference", "Registry", "StoredPrompt", "Version", "load_stored_prompt", "parse_reference", "words_only"]
