"""API keys: a file of their digests with what each may ask; it refuses to keep a key itself."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from foreword.serve.errors import HttpError
from foreword.util.errors import ForewordError
from foreword.util.files import may_write_file, read_json, write_json

MINUTE = 60.0


@dataclass
class Key:
    """One key. sha256: of its text, which is random, so that no slow digest is needed. prompts: the names that it may ask, none for all.
    rate: requests a minute, 0 for any number."""

    name: str
    sha256: str
    prompts: tuple[str, ...] = ()
    rate: int = 0
    admin: bool = False
    _times: deque[float] = field(default_factory=deque, repr=False)

    def may_ask(self, model: str) -> bool:
        """Whether it may ask for this model or prompt: its name alone counts, whatever version."""
        return not self.prompts or model.partition("@")[0] in self.prompts

    def take(self, now: float) -> None:
        """Count a request. Raises HttpError where the minute is full."""
        while self._times and now - self._times[0] >= MINUTE:
            self._times.popleft()
        if self.rate and len(self._times) >= self.rate:
            left = math.ceil(MINUTE - (now - self._times[0]))  # not a moment too early
            raise HttpError(
                429,
                f"This key may ask {self.rate} times a minute; try again in {left} s.",
                code="rate_limit_exceeded",
                retry_after=left,
            )
        self._times.append(now)


class Keys:
    """The keys of a file; none where there is no file, and then everybody may ask."""

    def __init__(self, path: Path | None) -> None:
        self._keys = [] if path is None else list(read_keys(path))
        self.required = path is not None

    def caller(self, header: str | None) -> Key | None:
        """Whose request this is, by its Authorization header. Raises HttpError where it is nobody's."""
        if not self.required:
            return None
        scheme, _, credential = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise HttpError(
                401, "This server wants an API key; send it as 'Authorization: Bearer KEY'.", code="missing_api_key"
            )
        digest = _digest(credential.strip())
        matching = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        if not matching:
            raise HttpError(
                401, "This API key is not known here; ask who runs the server for one.", code="invalid_api_key"
            )
        return matching[0]


def allowed(key: Key | None, model: str) -> None:
    """Count a request for a model. Raises HttpError where the key may not ask it, or has asked too often."""
    if key is None:
        return
    if not key.may_ask(model):
        raise HttpError(403, f"This API key may not ask '{model[:100]}'.", param="model", code="model_not_allowed")
    key.take(time.monotonic())


def read_keys(path: Path) -> list[Key]:
    """The keys of a file. Raises ForewordError where it is damaged, and for a file that holds none."""
    raw = read_json(path, "file of API keys")
    keys = []
    try:
        for entry in raw["keys"]:
            key = Key(
                str(entry["name"]),
                str(entry["sha256"]),
                tuple(map(str, entry.get("prompts", ()))),
                int(entry.get("rate", 0)),
                bool(entry.get("admin", False)),
            )
            if len(key.sha256) != 64 or key.rate < 0:
                raise ValueError(f"the key '{key.name}' has no sha256, or a rate below 0")
            keys.append(key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForewordError(
            f"The file of API keys {path} is damaged ({error}); make one with `foreword keys`."
        ) from error
    if not keys:
        raise ForewordError(
            f"The file of API keys {path} holds none, so nobody could ask; make one with `foreword keys`."
        )
    return keys


def new_key(path: Path, name: str, *, prompts: tuple[str, ...] = (), rate: int = 0, admin: bool = False) -> str:
    """Add a key to a file, which is made if it is not there; the key, of which the file keeps the digest alone. Raises ForewordError for
    a name that has one."""
    if not name.strip():
        raise ForewordError("The key has no name; say whose it is by --name.")
    may_write_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        known = read_keys(path) if path.exists() else []
        entries = read_json(path, "file of API keys")["keys"] if known else []
        if any(key.name == name for key in known):
            raise ForewordError(
                f"The file {path} has a key named '{name}'; take that out first, or name this one otherwise."
            )
        key = f"fw-{secrets.token_urlsafe(32)}"
        entry = {"name": name, "sha256": _digest(key), "prompts": list(prompts), "rate": rate, "admin": admin}
        write_json(path, {"keys": [*entries, entry]})
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
