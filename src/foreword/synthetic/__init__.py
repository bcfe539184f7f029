"""Generated text about made-up entities, in randomly drawn tasks; every draw follows from a seed, and no file or model is read."""

from foreword.synthetic.runs import Document, documents

__all__ = ["Document", "documents"]
