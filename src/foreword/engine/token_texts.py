"""What single tokens say, in bytes and in texts, the blank that a word begins with among them; it refuses to call half a letter a text."""

from __future__ import annotations

import functools
import re

from transformers.convert_slow_tokenizer import bytes_to_unicode

from foreword.engine.tokenizer_adapter import TokenizerAdapter

HALF, BLANK = "\ufffd", "\u2581"  # of what is no text; as SentencePiece writes it
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenTexts:
    """The tokens of one tokenizer. A token's text is what it adds behind a letter: see `TokenizerAdapter.added`."""

    def __init__(self, words: TokenizerAdapter) -> None:
        self._words = words
        self._alphabet = {letter: byte for byte, letter in bytes_to_unicode().items()}
        self.content = functools.cache(self._content)

    def _content(self, token: int) -> bytes:
        """The bytes of a token; of a control token those of its name."""
        if control := self._words.controls([token]):
            return control[0].encode()
        piece = self._words.pieces([token])[0]
        if byte := BYTE.fullmatch(piece):
            return bytes([int(byte[1], 16)])
        text = self._words.added([token], specials=True)
        if HALF in text and set(piece) <= set(self._alphabet):
            return bytes(self._alphabet[letter] for letter in piece)
        return text.encode()

    def name(self, token: int) -> str:
        """The text of a token; `bytes:\\xf0` where its bytes are no text, as OpenAI's completions write it, or are another token's too."""
        content = self.content(token)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return _as_bytes(content)
        single = BYTE.fullmatch(self._words.pieces([token])[0])
        return _as_bytes(content) if single and self._known & {text, text.replace(" ", BLANK)} else text

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._words.hf.get_vocab())

    def characters(self, token: int) -> tuple[bool, int]:
        """Whether a token goes on with a character that one before it began, and how many it begins; a control token is no text."""
        if self._words.controls([token]):
            return False, 0
        starts = [byte & 0xC0 != 0x80 for byte in self.content(token)]
        return bool(starts) and not starts[0], sum(starts)


def _as_bytes(content: bytes) -> str:
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)
