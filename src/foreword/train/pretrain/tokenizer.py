"""The reference family's tokenizer: byte-level pair merges learnt from generated text; digits and punctuation marks stay single."""

from __future__ import annotations

import itertools

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from foreword.synthetic import documents, names
from foreword.train.pretrain.spans import SENTINELS

EOS = "<|end|>"
PAD = "<|pad|>"
EOS_ID, PAD_ID = 0, 1
SENTINEL_IDS = tuple(range(2, 2 + len(SENTINELS)))
_PIECES = r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]|\s"
"""A digit, a word or a mark, each with the blank before it; so a name is the same tokens wherever a blank precedes it."""


def train_tokenizer(vocab: int, *, seed: int, texts: int = 30_000) -> Tokenizer:
    """Learn `vocab` entries (the end, the padding, the sentinels and the 256 bytes among them) from the first `texts` documents of a seed.

    The inventory of names is read more often than it occurs, so that each name word is one token wherever the room allows it:
    a name in pieces is copied piece by piece, and a first piece that many names share is learnt late.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[EOS, PAD, *SENTINELS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stream = (document.text for document in itertools.islice(documents(seed), texts))
    often = (f" {word}" for word in names.WORDS for _ in range(texts // 100))
    tokenizer.train_from_iterator(itertools.chain(stream, often), trainer)
    return tokenizer
