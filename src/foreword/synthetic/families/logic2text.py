"""`mini-logic2text`, after Logic2Text: a logical form over a table to a sentence; it refuses a form that BLEC could not check.

The forms are Logic2Text's own, of four of its seven kinds (unique, majority, superlative, comparative), so BLEC is the deciding
metric, as in Sun et al. 2023. BLEC can be had by copying the form: BLEU stands beside it. A group is a table with three kinds of
statements about a column of words and one of numbers.
"""

from __future__ import annotations

from random import Random
from string import Template

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, long_name

WORDS = {"venue": "place", "guest": "name", "award": "name", "coach": "name", "colour": "colour"}
NUMBERS = ("score", "rounds", "votes")

STATEMENTS: dict[str, tuple[str, str]] = {
    "unique": (
        "only { filter_eq { all_rows ; $word ; $v } } = true",
        "only one has {v} for {word}",
    ),
    "majority": (
        "most_eq { all_rows ; $word ; $v } = true",
        "most of the rows have {v} for {word}",
    ),
    "superlative": (
        "eq { hop { argmax { all_rows ; $number } ; $word } ; $v } = true",
        "the top {number} has {v} for {word}",
    ),
    "comparative": (
        "greater { hop { filter_eq { all_rows ; $word ; $v } ; $number } ; "
        "hop { filter_eq { all_rows ; $word ; $w } ; $number } } = true",
        "{v} has more {number} than {w}",
    ),
}
"""A logical form and what its sentence says. v, w: values of the column `word`."""
OPENING = "By the list of {caption} , "


def _group(rng: Random) -> Group:
    caption, word, number = long_name(rng), rng.choice(sorted(WORDS)), rng.choice(NUMBERS)
    third = rng.choice([column for column in sorted(WORDS) if column != word])
    header = " , ".join(rng.sample((word, number, third), 3))
    made_here = rng.sample(sorted(STATEMENTS), 3)

    def draw(rng: Random) -> Drawn:
        v = w = names.value(WORDS[word], rng)
        while w == v:
            w = names.value(WORDS[word], rng)
        values = {"caption": caption, "word": word, "number": number, "v": v, "w": w}
        form, sentence = STATEMENTS[rng.choice(made_here)]
        logic = Template(form).substitute(values)
        table = f"Caption: {caption} | {header}"
        return Drawn(
            f"{logic} ; structured knowledge: {table}",
            ((OPENING + sentence + ".").format(**values),),
            {"logic_str": logic},
        )

    return draw


FAMILY = Family(
    "mini-logic2text",
    _group,
    ("blec", "bleu"),
    wordings=(OPENING, *(sentence for _, sentence in STATEMENTS.values())),
    marks=("filter_eq", "all_rows", "most_eq", "round_eq", "argmax", "structured knowledge", "Caption:"),
    shares="table",
)
