"""The contents of a version's folder: the soft prompt or an instruction only, the template, the choices and the pool of demonstrations;
files that are no data are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.prompts import store
from foreword.prompts.methods import Method, parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.util.errors import ForewordError
from foreword.util.files import canonical, read_json, write_json, write_text

POOL, USE, WORKED = (
    "pool.jsonl",
    "use.json",
    "demonstrations.jsonl",
)  # given when it was added; of its use; kept by tuning
FREE = "none"  # in the place of choices: answers are free text
ENDINGS = (".json", ".jsonl", ".safetensors", ".md")
MOST = 2**31  # bytes of a folder


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt with all that it needs to be used. prompt: None where there is no soft prompt. pool: what it
    demonstrates, or draws from. choices: what it chooses between, none for free text; choice_score: how they
    are compared. max_new_tokens: of an answer, None where it does not say."""

    provenance: Provenance
    prompt: SoftPrompt | None
    pool: tuple[Example, ...] = ()
    choices: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    max_new_tokens: int | None = None
    encoder: str = ""
    choice_score: str = "sum"

    @property
    def method(self) -> Method:
        """The row of choices. A prompt made elsewhere has the row of prompt tuning."""
        row = self.provenance.method
        known = {field.name for field in fields(Method)}
        if row and set(row) <= known:
            return Method(**row)
        return parse(self.provenance.label or "pt", shots=1, retriever="bm25", retrievers=list(RETRIEVERS))

    def template(self, default: Template) -> Template:
        """The wording, what it does not say taken from a default."""
        wording: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.provenance.template.items()
        }
        try:
            return replace(default, **wording)
        except TypeError as error:
            raise ForewordError(
                f"The certificate words the prompt by what this version does not know ({error}); tune the prompt again."
            ) from error

    @property
    def remarks(self) -> tuple[str, ...]:
        """What who serves it should know."""
        column = self.provenance.settings.get("choices_column")
        if not column or self.choices:
            return ()
        return (
            f"The prompt was tuned on examples with choices of their own (column '{column}'), which a request does not bring, so that a "
            "server answers with free text; where all inputs have the same choices, add it with --choices.",
        )

    def refuse_unusable(self) -> None:
        """Raises ForewordError where what the method shows is not kept."""
        if self.method.demonstrations != "none" and not self.pool:
            raise ForewordError(
                f"The prompt was made by '{self.provenance.label}', which shows demonstrations, and its folder keeps none; add it with "
                "--demonstrations FILE, the examples that it was tuned with."
            )


@dataclass(frozen=True)
class Use:
    """What a folder says of its use beside the certificate."""

    choices: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    max_new_tokens: int | None = None
    encoder: str = ""


def load_stored_prompt(folder: Path) -> StoredPrompt:
    """Read a version's folder, or one that `foreword tune` or PEFT wrote. Raises ForewordError where it is damaged."""
    if (folder / store.CONFIG).is_file() or not (folder / USE).is_file():
        prompt: SoftPrompt | None = store.load(folder)
        assert prompt is not None
        provenance = prompt.provenance
    else:
        prompt, provenance = None, _provenance(folder)
    use = read_use(folder)
    settings: dict[str, Any] = getattr(provenance, "settings", {})
    choices = use.choices or settings.get("choices") or []
    longest = use.max_new_tokens or settings.get("max_new_tokens")
    pool = next((read_pool(folder / name) for name in (POOL, WORKED) if (folder / name).is_file()), ())
    return StoredPrompt(
        provenance,
        prompt,
        pool,
        () if choices == [FREE] else tuple(choices),
        tuple(use.metrics or settings.get("metrics") or ()),
        longest,
        use.encoder or str(settings.get("encoder") or ""),
        str(settings.get("choice_score") or "sum"),
    )


def words_only(folder: Path, label: str, method: Method, template: Mapping[str, Any], seed: int) -> None:
    """Write a folder without a soft prompt: its method, and the parts of the template that are given."""
    provenance = Provenance(backbone="", label=label, method=method.as_dict(), template=dict(template), seed=seed)
    write_json(folder / store.CERTIFICATE, {"digest": "", "birth": provenance.as_dict()})


def write_use(folder: Path, use: Use) -> None:
    """Write how a folder's prompt is used."""
    write_json(folder / USE, {field.name: getattr(use, field.name) for field in fields(Use)})


def write_pool(path: Path, pool: Sequence[Example]) -> None:
    """Write demonstrations, an Example a line; what only scoring looks at is left out."""
    lines = [
        {
            "id": example.id,
            "fields": dict(example.fields),
            "targets": list(example.targets),
            "choices": list(example.choices),
        }
        for example in pool
    ]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def read_pool(path: Path) -> tuple[Example, ...]:
    """The demonstrations of a file. Raises ForewordError naming the line that is damaged."""
    pool = []
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # a text may hold other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise ForewordError(f"The demonstrations {path} cannot be read ({error}); copy the folder again.") from error
    for number, line in enumerate(lines, 1):
        try:
            raw = json.loads(line)
            texts = [*raw["fields"], *raw["fields"].values(), raw["id"], *raw["targets"], *raw["choices"]]
            if not raw["targets"] or not all(isinstance(text, str) for text in texts):
                raise ValueError("a text is no text, or there is no answer")
            pool.append(Example(raw["id"], raw["fields"], tuple(raw["targets"]), tuple(raw["choices"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ForewordError(
                f"Line {number} of {path} is no demonstration ({error!r}); copy the folder again."
            ) from error
    return tuple(pool)


def digests_of(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a folder. Raises ForewordError for what is no data: pickles, programs, links, folders."""
    digests: dict[str, str] = {}
    size = 0
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            raise ForewordError(f"The folder {folder} holds the hidden file {path.name}; a prompt has none, remove it.")
        if path.is_symlink() or not path.is_file() or path.suffix not in ENDINGS:
            raise ForewordError(
                f"The folder {folder} holds {path.name}; a prompt is made of plain files that end in {', '.join(ENDINGS)}, so remove it."
            )
        size += path.stat().st_size
        if size > MOST:
            raise ForewordError(f"The folder {folder} holds more than {MOST / 2**30:.0f} GiB; that is no prompt.")
        with path.open("rb") as stream:
            digests[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def digest_of(files: Mapping[str, str]) -> str:
    """The digest of a version by its files; cards for people change no answer and do not count."""
    counted = {name: digest for name, digest in files.items() if not name.endswith(".md")}
    return hashlib.sha256(canonical(counted).encode()).hexdigest()


def _provenance(folder: Path) -> Provenance:
    raw = read_json(folder / store.CERTIFICATE, "prompt's certificate")
    try:
        return Provenance(**raw["birth"])
    except (KeyError, TypeError) as error:
        raise ForewordError(
            f"The certificate {folder / store.CERTIFICATE} does not have the shape this version writes ({error}); add the prompt again."
        ) from error


def read_use(folder: Path) -> Use:
    """How a folder's prompt is used; nothing where it does not say. Raises ForewordError where it is damaged."""
    if not (folder / USE).is_file():
        return Use()
    raw = read_json(folder / USE, "prompt's use")
    try:
        use = Use(**raw)
        right = all(isinstance(text, str) for text in (*use.choices, *use.metrics, use.encoder))
        if not right or not (use.max_new_tokens is None or use.max_new_tokens > 0):
            raise ValueError("a value is of another kind")
    except (TypeError, ValueError) as error:
        raise ForewordError(
            f"{folder / USE} does not have the shape this version writes ({error}); add the prompt again."
        ) from error
    return use
