"""BLEC: whether the functions and numbers of a logic form are stated in the text; texts are neither lower-cased nor tokenised.

Source: Shu et al. 2021 (SNOWBALL, arXiv 2108.00577), in the version of UnifiedSKG (Xie et al. 2022,
third_party/BLEC), whose word lists, Apache-2.0, stand here as facts of the definition. Texts are searched as they
are: `not` is found in "another", 3 in "1993", and "eight" never says 8, as the list has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from foreword.metrics.base import fact_metric
from foreword.util.errors import ForewordError

_MOST = ("majority", "most", "major")
_MORE = (
    "faster", "greater", "larger", "older", "more", "bigger", "higher", "after", "above", "over", "at least",
    "worse rank", "later", "longer",
)  # fmt: skip
_LESS = (
    "slower", "younger", "smaller", "less", "fewer", "lower", "before", "shorter", "below", "under", "lighter",
    "better rank", "earlier", "prior",
)  # fmt: skip
_HIGHEST = (
    "max", "slowest", "maximum", "largest", "longest", "oldest", "top", "best", "most", "highest", "latest",
    "larger than any", "lowest rank", "predominantly", "earliest", "shortest", "newest",
)  # fmt: skip
_LOWEST = (
    "minimum", "fastest", "smallest", "shortest", "worst", "youngest", "least", "lowest", "earliest", "any",
    "highest rank", "latest", "longest", "oldest",
)  # fmt: skip

# A function of the logic form to the words of which one has to stand in the text; functions not named are not checked.
WORDS: dict[str, tuple[str, ...]] = {
    "only": ("only", "one"),
    "avg": ("average", "mean"),
    "sum": ("sum", "total"),
    **dict.fromkeys(("max", "argmax", "nth_argmax", "nth_max"), _HIGHEST),
    **dict.fromkeys(("min", "argmin", "nth_argmin", "nth_min"), _LOWEST),
    **dict.fromkeys(("greater", "filter_greater", "filter_greater_eq", "all_greater", "all_greater_eq"), _MORE),
    **dict.fromkeys(("less", "filter_less", "filter_less_eq", "all_less", "all_less_eq"), _LESS),
    **dict.fromkeys(("most_str_eq", "most_str_not_eq", "most_eq", "most_not_eq"), _MOST),
    **dict.fromkeys(("most_greater", "most_greater_eq"), _MOST + _MORE),
    **dict.fromkeys(("most_less", "most_less_eq"), _MOST + _LESS),
}
ORDINALS = ("zero", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "nine", "nine", "ten")  # "nine" twice: theirs

_CUTS = re.compile(r"[{};|]")


def unmatched(logic: str, text: str, gold: str, *, digits: bool = True) -> list[str]:
    """The functions and numbers of a logic form that a text does not say, in their order; empty is a match.

    A number that the gold text does not say either is forgiven. digits: whether a number in figures counts for one
    of up to ten; False is the older script of the authors. Raises ValueError for a token of digits that is no number
    (a superscript), as the tool does.
    """
    tokens = [token for token in map(str.strip, _CUTS.split(logic)) if token]
    missing = ["not"] if "not" in text and "not" not in tokens else []
    for token in tokens:
        if token in WORDS:
            stated = any(word in text for word in WORDS[token])
        elif token.isdigit():
            stated = _says(token, text, digits) or not _says(token, gold, digits)
        else:
            stated = True
        if not stated:
            missing.append(token)
    return missing


def _says(number: str, text: str, digits: bool) -> bool:
    if (digits and number in text) or number == "1":
        return True
    value = int(number)
    if value <= 10:
        return ORDINALS[value] in text or NUMBERS[value] in text
    return number in text or f"{value:,}" in text


def _matches(output: str, reference: str, facts: Mapping[str, Any]) -> float:
    try:
        return float(not unmatched(facts["logic_str"], output, reference))
    except ValueError as error:
        raise ForewordError(
            f"BLEC was asked for the logic form '{facts['logic_str']}', which holds digits that are no number; mend them."
        ) from error


METRICS = (
    fact_metric(
        "blec",
        needs=("logic_str",),
        of=_matches,
        source="BLEC (Shu et al. 2021) as UnifiedSKG runs it; references themselves score about 95.",
        signature=lambda: "blec|case:mixed|version:unifiedskg-073a52b|refs:best",
    ),
)
