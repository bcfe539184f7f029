"""The retriever `dense`: demonstrations whose vectors are near the question's; ties after rounding break by position."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from foreword.data.examples import Example
from foreword.models.one_load import one_load
from foreword.models.vetted import INDEX, refuse_unsafe
from foreword.prompts.retrieve.pool import Encode, Kind, Pool, Ranked, Ranking, Retriever, Vectors
from foreword.util.errors import ForewordError, MissingExtraError
from foreword.util.files import read_json

Search: TypeAlias = Callable[[Vectors, int], tuple[Vectors, np.ndarray[Any, Any]]]
WEIGHTS, PICKLE = "model.safetensors", "pytorch_model.bin"
DECIMALS = 6  # at which cosines are compared
RECENT = 10_000  # vectors of questions outside the pool that are held, the last ones: a server asks without end
_HELD = 1 << 23  # scores held at once by a search over all vectors


def dense_retriever(pool: Pool) -> Retriever:
    """The highest cosines of the vectors that the pool's `encode` gives; cosines are compared at six decimals.

    A question outside the pool is encoded alone: in a batch the last digits of its vector would depend on its
    batch-mates. Raises ForewordError where the pool has no `encode` or its vectors are not usable.
    """
    if pool.encode is None:
        raise ForewordError(
            "The retriever 'dense' compares vectors, and nothing was given that makes them; pass --encoder "
            "with a sentence-transformers model (a folder or a hub id), or choose the retriever 'bm25'."
        )
    encode = pool.encode
    distinct = sorted(set(pool.texts))  # so that the pool's order cannot change a vector's last digits
    rows: dict[str, Vectors] = dict(zip(distinct, _unit(encode, distinct), strict=True))
    vectors = np.stack([rows[text] for text in pool.texts])  # [N, H]
    search = _searcher(vectors)

    @functools.lru_cache(maxsize=RECENT)
    def alone(text: str) -> Vectors:
        row: Vectors = _unit(encode, [text], width=vectors.shape[1])[0]
        return row

    def vector(text: str) -> Vectors:
        return rows[text] if text in rows else alone(text)

    def rank(examples: Sequence[Example], barred: Sequence[Sequence[int]], k: int) -> list[Ranking]:
        step = max(1, _HELD // len(vectors))
        rankings: list[Ranking] = []
        for start in range(0, len(examples), step):
            queries = np.stack([vector(example.text) for example in examples[start : start + step]])  # [B, H]
            rankings += _nearest(vectors, search, queries, barred[start : start + step], k)
        return rankings

    return Ranked("dense", pool, rank)


def _unit(encode: Encode, texts: Sequence[str], width: int | None = None) -> Vectors:
    """The vectors of texts at length 1, [N, H]; zero stays zero. Raises ForewordError where not usable."""
    raw = np.asarray(encode(texts), dtype=np.float64)
    if raw.ndim != 2 or len(raw) != len(texts) or (width is not None and raw.shape[1] != width):
        expected = f"[{len(texts)}, {'H' if width is None else width}]"
        raise ForewordError(
            f"The encoder gave vectors of shape {list(raw.shape)} where {expected} was asked; use another."
        )
    finite = np.isfinite(raw).all(axis=1)
    if not finite.all():
        bad = texts[int(np.argmin(finite))]
        raise ForewordError(f"The encoder gave a vector that is not finite for {bad[:60]!r}; use another.")
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    unit: Vectors = np.divide(raw, lengths, out=np.zeros_like(raw), where=lengths > 0).astype(np.float32)
    return unit


def _faiss() -> Any:
    """The faiss library, or None where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None


def _searcher(vectors: Vectors) -> Search:
    """A function of queries [B, H] and n: the n highest inner products, highest first, and their places."""
    faiss = _faiss()
    if faiss is None:
        return functools.partial(_numpy_search, vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    search: Search = index.search
    return search


def _numpy_search(vectors: Vectors, queries: Vectors, n: int) -> tuple[Vectors, np.ndarray[Any, Any]]:
    scores = queries @ vectors.T  # [B, N]
    places = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    highest = np.take_along_axis(scores, places, axis=1)
    order = np.argsort(-highest, axis=1, kind="stable")
    return np.take_along_axis(highest, order, axis=1), np.take_along_axis(places, order, axis=1)


def _nearest(
    vectors: Vectors, search: Search, queries: Vectors, barred: Sequence[Sequence[int]], k: int
) -> list[Ranking]:
    """For each of queries [B, H] the k nearest of vectors [N, H] that are not barred.

    The search in float32 only proposes: its last digits differ between libraries and batch sizes. All that its
    rounding error leaves in question are compared again in float64, so that the answer is always the same.
    """
    total, width = vectors.shape
    slack = 2 * (width * 2.0**-24 + 1e-6)
    needs = [min(total, k + len(bars)) for bars in barred]
    rankings: list[Ranking] = [[] for _ in needs]
    pending, n = list(range(len(needs))), min(total, max(needs) + 8)
    while pending:
        scores, places = search(queries[pending], n)
        unsure = []
        for row, query in enumerate(pending):
            edge = scores[row, needs[query] - 1] - slack
            if n < total and scores[row, -1] >= edge:
                unsure.append(query)
                continue
            near = np.setdiff1d(places[row][scores[row] >= edge], barred[query])
            rankings[query] = _compared(vectors, queries[query], near, k)
        pending, n = unsure, min(total, 4 * n)
    return rankings


def _compared(vectors: Vectors, query: Vectors, near: np.ndarray[Any, Any], k: int) -> Ranking:
    """The k nearest of the places `near`, which ascend, so that a stable sort breaks ties by position."""
    cosines = np.round((vectors[near] * query.astype(np.float64)).sum(axis=1), DECIMALS)
    order = np.argsort(-cosines, kind="stable")[:k]
    return [(int(near[place]), float(cosines[place])) for place in order]


@dataclass(frozen=True)
class SentenceEncoder:
    """An `encode` (N texts -> [N, H]) that shows the sentence-transformers model it is made of, so that it can be identified."""

    model: Any
    batch_size: int

    def __call__(self, texts: Sequence[str]) -> Vectors:
        vectors = self.model.encode(
            list(texts), batch_size=self.batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)


def dense_signature() -> str:
    """What this retriever's choice depends on, beside the examples and the encoder."""
    return f"dense|cosine|decimals:{DECIMALS}|ties:first"


def sentence_encoder(
    name_or_path: str, *, device: str | None = None, batch_size: int = 64, trust_remote_code: bool = False
) -> SentenceEncoder:
    """The `encode` of a sentence-transformers model: a local folder or a hub id.

    Raises MissingExtraError where sentence-transformers is not installed, ForewordError where the model cannot
    be loaded, holds a pickle or an adapter, or brings code of its own that the user does not trust.
    """
    try:
        library = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise MissingExtraError(f"The sentence encoder '{name_or_path}'", "sentence") from error
    try:
        _refuse_pickles(name_or_path, library)
        with one_load():
            model = library.SentenceTransformer(
                name_or_path,
                device=device,
                trust_remote_code=trust_remote_code,
                model_kwargs={"use_safetensors": True},
            )
    except ForewordError:
        raise
    except Exception as error:  # the library and the hub raise many kinds
        reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
        if "trust_remote_code" in str(error):
            raise ForewordError(
                f"The sentence encoder '{name_or_path}' brings its own code; add --trust-remote-code if you trust its authors."
            ) from error
        raise ForewordError(
            f"The sentence encoder '{name_or_path}' cannot be loaded ({reason}); "
            "give the folder or the hub id of a sentence-transformers model."
        ) from error

    return SentenceEncoder(model, batch_size)


def _refuse_pickles(name: str, library: Any) -> None:
    """Raises ForewordError where a part of a sentence encoder is an adapter, or has weights in a pickle alone: the library would open
    it. A bare name on the hub may be one of the library's own organisation."""
    organisation = getattr(library.SentenceTransformer, "default_huggingface_organization", None)
    if Path(name).is_dir() or "/" in name or organisation is None:
        _refuse_parts(name, functools.partial(library.util.load_file_path, name))
        return
    for repository in (f"{organisation}/{name}", name):
        with contextlib.suppress(OSError):  # there may be none of that name; loading says so where there is neither
            _refuse_parts(name, functools.partial(library.util.load_file_path, repository))


def _refuse_parts(name: str, load_file_path: Callable[..., str | None]) -> None:
    """As `_refuse_pickles`. load_file_path: of (file, sub-folder)."""
    folders, visited = [""], set[str]()
    while folders:
        folder = folders.pop()
        if folder in visited:
            continue
        visited.add(folder)

        def locate(file: str, folder: str = folder) -> Path | None:
            path = load_file_path(file, folder)
            return None if path is None else Path(path)

        refuse_unsafe(f"The sentence encoder '{name}'", locate)
        if not any(locate(file) for file in (WEIGHTS, INDEX)) and locate(PICKLE):
            raise ForewordError(
                f"The sentence encoder '{name}' has {folder or '.'}/{PICKLE} and no {WEIGHTS} beside it; foreword reads no pickles: "
                "load it once with sentence-transformers and save_pretrained it."
            )
        folders += [str(PurePosixPath(folder, part)) for part in _parts(locate)]


def _parts(locate: Callable[[str], Path | None]) -> list[str]:
    """The sub-folders that a part of a sentence encoder names: its modules, or the routes of a router."""
    parts: list[str] = []
    modules, router = locate("modules.json"), locate("router_config.json")
    if modules is not None:
        parts += [str(module.get("path", "")) for module in read_json(modules, "encoder's modules.json")]
    if router is not None:
        parts += list(read_json(router, "encoder's router_config.json").get("types", {}))
    return [part for part in parts if part]


RETRIEVER = Kind("dense", dense_retriever, dense_signature)
