"""The world is generated text about made-up things, in drawn tasks; it keeps no file, loads no model, and refuses chance
that does not follow from a seed."""

from foreword.synthetic.runs import Document, documents

__all__ = ["Document", "documents"]
