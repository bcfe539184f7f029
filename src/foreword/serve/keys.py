"""API keys: a file of their digests with what each may ask; it refuses to keep a key itself."""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foreword.serve.errors import HttpError
from foreword.util.errors import ForewordError, unknown
from foreword.util.files import may_write_file, read_json, write_json

MINUTE = 60.0
BASE = "base"  # the model alone, beside its own name
LIMITED_ADMIN = "a key that loads and unloads prompts may reach them all, and cannot be limited to some"


@dataclass
class Key:
    """One key. sha256: of its text, which is random, so that no slow digest is needed. prompts: the names that it may ask, none for all.
    rate: requests a minute, 0 for any number. base: the model's own name, which `base` in prompts stands for."""

    name: str
    sha256: str
    prompts: tuple[str, ...] = ()
    rate: int = 0
    admin: bool = False
    base: str = BASE
    _times: deque[float] = field(default_factory=deque, repr=False)

    def may_ask(self, model: str) -> bool:
        """Whether it may ask for this model or prompt: of a prompt its name alone counts, whatever version."""
        if not self.prompts or (model == self.base and BASE in self.prompts):
            return True
        return model.partition("@")[0] in self.prompts

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
    """The keys of a file; none where there is no file, and then everybody may ask. A file that has changed is read again, so that a key
    that was taken out is refused at once; while it is damaged or gone nobody is known. base: the model's own name, which a key that may
    ask `base` may ask too."""

    def __init__(self, path: Path | None, base: str = BASE) -> None:
        self._path, self._base = path, base
        self._state = None if path is None else _state(path)
        self._keys = [] if path is None else self._read(path)
        self.required = path is not None

    def _read(self, path: Path) -> list[Key]:
        keys = read_keys(path)
        for key in keys:
            key.base = self._base
        return keys

    def _current(self) -> list[Key]:
        """The keys as the file is now; who has asked in the last minute is not forgotten. Raises HttpError where it cannot be read."""
        if self._path is not None and (state := _state(self._path)) != self._state:
            counted = {(key.name, key.sha256): key._times for key in self._keys}
            try:
                keys = self._read(self._path)
            except ForewordError as error:
                raise HttpError(
                    503, "The file of API keys cannot be read just now, so nobody is known here.", code="no_api_keys"
                ) from error
            for key in keys:
                key._times = counted.get((key.name, key.sha256), key._times)
            self._keys, self._state = keys, state
        return self._keys

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
        matching = [key for key in self._current() if hmac.compare_digest(key.sha256, digest)]
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


class _Entry(BaseModel):
    """A key as the file has it: nothing else, and nothing that has to be guessed at, for a wrong word would open a door."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    prompts: list[str] = []
    rate: Annotated[int, Field(ge=0)] = 0
    admin: bool = False

    @model_validator(mode="after")
    def _one_or_the_other(self) -> _Entry:
        if self.admin and self.prompts:
            raise ValueError(LIMITED_ADMIN)
        return self


class _File(BaseModel):
    """What a file of keys holds."""

    keys: list[_Entry]


def read_keys(path: Path) -> list[Key]:
    """The keys of a file. Raises ForewordError where it is damaged, and for a file that holds none."""
    raw = read_json(path, "file of API keys")
    try:
        entries = _File.model_validate(raw).keys
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        raise ForewordError(
            f"The file of API keys {path} is damaged ({f'{place}: ' if place else ''}{wrong['msg']}); make one with `foreword keys`."
        ) from error
    if not entries:
        raise ForewordError(
            f"The file of API keys {path} holds none, so nobody could ask; make one with `foreword keys`."
        )
    return [Key(entry.name, entry.sha256, tuple(entry.prompts), entry.rate, entry.admin) for entry in entries]


def new_key(path: Path, name: str, *, prompts: tuple[str, ...] = (), rate: int = 0, admin: bool = False) -> str:
    """Add a key to a file, which is made if it is not there; the key, of which the file keeps the digest alone. Raises ForewordError for
    a name that has one, for an administrator that is limited to some prompts, and for a limit to one version."""
    if not name.strip():
        raise ForewordError("The key has no name; say whose it is by --name.")
    versions = [prompt for prompt in prompts if "@" in prompt]
    if versions:
        raise ForewordError(
            f"A key is limited to prompts by their names, whatever version, and '{versions[0]}' names one; write "
            f"'{versions[0].partition('@')[0]}'."
        )
    if admin and prompts:
        raise ForewordError(f"Both --admin and --prompts are given, but {LIMITED_ADMIN}; make two keys.")
    may_write_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
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


def drop_key(path: Path, name: str) -> None:
    """Take a key out of a file; a server that reads it refuses the key from then on. Raises ForewordError where none has that name, and
    for the last one, without which nobody could ask."""
    read_keys(path)  # before a lock is made beside a file that is not there
    may_write_file(path)
    with _alone(path):
        names = [key.name for key in read_keys(path)]
        entries = read_json(path, "file of API keys")["keys"]
        if name not in names:
            raise unknown("key", name, names)
        if set(names) == {name}:
            raise ForewordError(
                f"'{name}' is the last key of {path}, without which nobody could ask; make another first, or stop the server."
            )
        write_json(path, {"keys": [entry for entry in entries if entry["name"] != name]})


def _alone(path: Path) -> FileLock:
    """What keeps others from changing the same file, by whatever link they name it."""
    whole = Path(os.path.realpath(path))
    return FileLock(whole.with_name(f".{whole.name}.lock"))


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None where it is gone."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
