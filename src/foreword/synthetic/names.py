"""Names, numbers and plain words that the generated entities are made of."""

from __future__ import annotations

from random import Random

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u")
_MIDDLES = ("l", "r", "n", "m", "d", "k", "s", "v", "t", "b")
_ENDS = ("a", "o", "en", "is", "ar", "in", "u", "el")


def _inventory(size: int) -> tuple[str, ...]:
    """Made-up words such as `Karo` and `Stimel`; frequent enough in the world's text for each to become one token."""
    rng = Random("world/names")
    words: dict[str, None] = {}
    while len(words) < size:
        words[new_word(rng)] = None
    return tuple(words)


def new_word(rng: Random) -> str:
    """A made-up word of two syllables, `Karo`, which need not be in the inventory."""
    return (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)).capitalize()


WORDS = _inventory(480)
"""The words that names are put together from."""

_PLACES = ("North", "South", "East", "West", "New", "Old", "Lake", "Port", "Mount", "Fort")


def name(rng: Random) -> str:
    """The name of a person or a thing: one word of the inventory, sometimes two, rarely a word of its own."""
    chance = rng.random()
    if chance < 0.08:
        return new_word(rng)
    if chance < 0.4:
        return f"{rng.choice(WORDS)} {rng.choice(WORDS)}"
    return rng.choice(WORDS)


def place(rng: Random) -> str:
    """The name of a place: `Karo`, `Port Karo`."""
    word = name(rng) if rng.random() < 0.2 else rng.choice(WORDS)
    return f"{rng.choice(_PLACES)} {word}" if rng.random() < 0.25 else word


def year(rng: Random) -> str:
    """A year, `1987`."""
    return str(rng.randint(1850, 2024))


def count(rng: Random) -> str:
    """A number of one to three digits, small ones more often."""
    return str(rng.randint(1, rng.choice((9, 30, 99, 400))))


COLOURS = ("red", "blue", "green", "white", "black", "grey", "brown", "yellow")
MATERIALS = ("stone", "wood", "iron", "brick", "glass", "steel")
STYLES = ("jazz", "rock", "folk", "opera", "blues", "disco")
KINDS = ("small", "large", "public", "private", "famous", "local", "modern", "royal")
SUBJECTS = ("art", "law", "music", "history", "science", "medicine", "sport", "trade")
MONTHS = ("January", "March", "April", "May", "June", "July", "August", "October", "December")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FOODS = ("fish", "rice", "bread", "soup", "fruit", "cheese", "pasta", "meat")

_LISTS = {
    "colour": COLOURS,
    "material": MATERIALS,
    "style": STYLES,
    "kind": KINDS,
    "subject": SUBJECTS,
    "month": MONTHS,
    "day": DAYS,
    "food": FOODS,
}


def value(kind: str, rng: Random) -> str:
    """A value of a kind: `name`, `place`, `year`, `count`, or one of the closed lists (`colour`, `day`, ...)."""
    makers = {"name": name, "place": place, "year": year, "count": count}
    return makers[kind](rng) if kind in makers else rng.choice(_LISTS[kind])
