"""Grapheme-to-phoneme (G2P): the letters of a word to British phonemes; it refuses words outside the output alphabet it writes in.

The two lexicons, American and British, are misaki's (Apache-2.0): word to phonemes. The task is made for
encoder-decoders whose output alphabet is that of the American lexicon, such as graphemes_to_phonemes_en_us: the
untouched model says the American form, a tuned prompt must turn it British. The British form is therefore
written in the American alphabet, by a table that keeps distinct symbols distinct wherever there is room:

    Q (goat)  -> O   the American symbol of the same vowel; British has no O: one to one
    a (trap)  -> æ   likewise; British has no æ: one to one
    ɒ (lot)   -> ɔ   the rounded vowel nearest to it; ɔ is else nearly only the British ɔː: merges cot and caught
    ː         -> -   no length mark there; ɑː and ɜː lose nothing, iː, uː, ɛː and əː merge with their short forms

Of the 75,097 words of letters only that stand in both lexicons, 168 written forms stand for two British ones, and
none falls outside the American alphabet. Kept are those of 2 to 24 lower-case letters (67,345: no names, no
acronyms), with a plain pronunciation or the DEFAULT of a mapping by part of speech, that the two accents say
differently even so written (about four in five): the task is the accent, and a model that is perfect in American
scores nothing. They are ordered by a digest of (seed 0, word): 1,000 test, 500 dev, 4,000 train, all different words.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.data.template import Template
from foreword.tasks._files import File, pick
from foreword.util.errors import ForewordError
from foreword.util.files import read_json

NAME = "g2p"
SUMMARY = "Spelling to British phonemes, written in the American alphabet (misaki lexicons)"
LICENCE = "Apache-2.0"
PLACE = "g2p"
GET = "us_gold.json and gb_gold.json from https://github.com/hexgrad/misaki, folder misaki/data (Apache-2.0)"
METRICS = ("exact_match", "chrf")
FILES = (
    File("british", "gb_gold.json", {"words": 87398}),
    File("american", "us_gold.json", {"words": 90217}),
)
TEMPLATE = Template(instruction="", question="{input}", answer="{target}", separator="", stop="")
WRITTEN = str.maketrans({"Q": "O", "a": "æ", "ɒ": "ɔ", "ː": None})
TEST, DEV, TRAIN = 1000, 500, 4000


def load(folder: Path | None) -> Task:
    """The task from the two lexicons."""
    assert folder is not None
    british = pronunciations(pick(folder, FILES, "british"))
    american = pronunciations(pick(folder, FILES, "american"))
    alphabet = set("".join(american.values()))
    words: dict[str, str] = {}
    outside = alike = 0
    for word, phonemes in british.items():
        if word in american and 2 <= len(word) <= 24 and word.isascii() and word.isalpha() and word.islower():
            written = phonemes.translate(WRITTEN)
            if not set(written) <= alphabet:
                outside += 1
            elif written == american[word]:
                alike += 1
            else:
                words[word] = written
    drawn = sorted(words, key=_rank)[: TEST + DEV + TRAIN]
    examples = [Example(word, {"input": word}, (words[word],)) for word in drawn]
    test, dev, train = examples[:TEST], examples[TEST : TEST + DEV], examples[TEST + DEV :]
    return Task(
        name=NAME,
        train=tuple(train),
        dev=tuple(dev),
        test=tuple(test),
        template=TEMPLATE,
        metrics=METRICS,
        source="misaki lexicons (us_gold, gb_gold), Apache-2.0; British forms written in the American alphabet",
        notes=(
            f"Words that both accents say alike are left out ({alike:,}), and those whose British form does not fit the "
            f"American alphabet ({outside:,}).",
        ),
    )


def _rank(word: str) -> bytes:
    return hashlib.sha256(f"0/split/{word}".encode()).digest()


def pronunciations(path: Path) -> dict[str, str]:
    """Word to phonemes; where a word has one for each part of speech, its DEFAULT; words without one are left out."""
    raw = read_json(path, "pronunciation lexicon")
    if not isinstance(raw, dict):
        raise ForewordError(f"{path} is no mapping from words to phonemes; download it again.")
    pronunciation_of = {word: value.get("DEFAULT") if isinstance(value, dict) else value for word, value in raw.items()}
    return {word: value for word, value in pronunciation_of.items() if isinstance(value, str) and value}
