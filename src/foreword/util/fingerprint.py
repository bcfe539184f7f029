"""The fingerprint of a backbone, as text: the number of its scheme and the order of its parts."""

from __future__ import annotations

SCHEME = "v3"  # how a backbone's fingerprint is made; raised when it is made in another way
PARTS = ("weights", "configuration", "tokenizer")  # of a fingerprint, in this order
