"""Names of prompts, versions and aliases: `reviews`, `reviews@3`, `reviews@1f09c2ab`, `reviews@production`; ambiguous names and names
that lead out of the store are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from foreword.util.errors import ForewordError

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
ALIAS = re.compile(r"[a-z](?:[a-z0-9._-]{0,62}[a-z0-9])?")
NUMBER = re.compile(r"v?([1-9][0-9]{0,8})")
DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Reference:
    """A prompt's name and what follows the @: a version's number, the beginning of its digest, an alias, or nothing."""

    name: str
    number: int | None = None
    digest: str = ""
    alias: str = ""

    def __str__(self) -> str:
        which = self.alias or self.digest or ("" if self.number is None else str(self.number))
        return f"{self.name}@{which}" if which else self.name


def checked_name(name: str) -> str:
    """The name. Raises ForewordError for one that is no plain word of letters, digits, '.', '_' and '-'."""
    if not NAME.fullmatch(name):
        raise ForewordError(
            f"'{name[:100]}' is no name for a prompt; use up to 100 letters, digits, '.', '_' and '-', the first and the last a letter or "
            "a digit."
        )
    return name


def checked_alias(alias: str) -> str:
    """The alias. Raises ForewordError for one that is no plain word, or that reads as a version's number or digest."""
    if not ALIAS.fullmatch(alias) or NUMBER.fullmatch(alias) or DIGEST.fullmatch(alias):
        raise ForewordError(
            f"'{alias[:100]}' is no alias; use up to 64 small letters, digits, '.', '_' and '-' that begin with a letter and do not "
            "read as a version, such as production."
        )
    return alias


def parse_reference(text: str) -> Reference:
    """What `name`, `name@3`, `name@v3`, `name@DIGEST` (8 characters or more) or `name@alias` refers to. Raises ForewordError."""
    name, at, which = text.partition("@")
    checked_name(name)
    if not at:
        return Reference(name)
    number = NUMBER.fullmatch(which)
    if number:
        return Reference(name, number=int(number.group(1)))
    if DIGEST.fullmatch(which):
        return Reference(name, digest=which)
    return Reference(name, alias=checked_alias(which))
