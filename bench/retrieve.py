"""Index and query times of the retrievers over generated training examples, beside bm25s and faiss used plainly; it refuses to count
the encoder's time, and to print any time where the libraries find other examples."""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _run
import numpy as np
from scipy import sparse

from foreword.data.examples import Example
from foreword.prompts.retrieve import make
from foreword.synthetic.names import new_word

WORDS, MEAN = 50_000, 12  # words of the language; mean words of a text
OFFSET = 2.7  # Mandelbrot's: the first words of a language are not as frequent as 1 / rank says
CLOSE = {
    "bm25": 1e-12,
    "dense": 2e-5,
}  # the same float32 scores, divided in float64; cosines of six decimals against float32
COLUMNS = {
    "retriever": "retriever",
    "examples": "examples",
    "index_seconds": "index (s)",
    "index_mib": "held (MiB)",
    "query_ms": "alone (ms)",
    "own_ms": "own (ms)",
    "batch_ms": "batched (ms)",
    "peer": "peer",
    "peer_index_seconds": "its index (s)",
    "peer_batch_ms": "its batched (ms)",
    "index_ratio": "index ratio",
    "ratio": "query ratio",
}


@dataclass(frozen=True)
class Texts:
    """Texts of a generated language. ids: the words of all of them, one text behind the other; lengths: words of each, [N]."""

    texts: list[str]
    ids: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Contender:
    """build makes the index; ask gives what it finds for all questions; score turns that into similarities [B, k], best first."""

    build: Callable[[], Any]
    ask: Callable[[Any], Any]
    score: Callable[[Any], np.ndarray[Any, Any]]


def language(seed: int) -> list[str]:
    """Distinct made-up words, the frequent ones first; as in any language most of those are short."""
    rng, words = random.Random(f"{seed}/words"), dict[str, None]()
    while len(words) < WORDS:
        parts = 1 + (len(words) > 200) + (len(words) > 5000)
        words["".join(new_word(rng).lower() for _ in range(parts))] = None
    return list(words)


def draw(count: int, words: Sequence[str], seed: Sequence[int]) -> Texts:
    """Distinct texts whose words are as frequent as Zipf's law says: at least 3 words, 12 in the mean."""
    rng, drawn = np.random.default_rng(list(seed)), count + count // 10 + 10
    lengths = np.maximum(3, rng.poisson(MEAN, drawn))
    weights = np.cumsum(1 / (np.arange(len(words)) + OFFSET))
    ids = np.searchsorted(weights, rng.random(lengths.sum()) * weights[-1])
    ends = np.cumsum(lengths).tolist()
    tokens = [words[number] for number in ids.tolist()]
    places: dict[str, int] = {}
    for place, (end, length) in enumerate(zip(ends, lengths.tolist(), strict=True)):
        places.setdefault(" ".join(tokens[end - length : end]), place)
    selected = np.zeros(drawn, bool)
    selected[list(places.values())[:count]] = True
    return Texts(list(places)[:count], ids[np.repeat(selected, lengths)], lengths[selected])


def embedded(texts: Texts, width: int, seed: int) -> np.ndarray[Any, Any]:
    """Vectors [N, width] of texts, the sums of their words' random vectors: what shares words is near."""
    words = np.random.default_rng([seed, width]).standard_normal((WORDS, width), dtype=np.float32)
    starts = np.concatenate([[0], np.cumsum(texts.lengths)])
    counts = sparse.csr_matrix((np.ones(len(texts.ids), np.float32), texts.ids, starts), (len(texts.texts), WORDS))
    return counts @ words


def examples(texts: Sequence[str], name: str) -> list[Example]:
    """The texts as examples of a task."""
    return [Example(f"{name}-{number}", {"input": text}, ("yes",)) for number, text in enumerate(texts)]


def parts(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """BM25 scores [N, k], best first, as parts of the best: foreword tells them on another scale than the peer."""
    exact = scores.astype(np.float64)
    return exact / exact[:, :1]


def ours(name: str, pool: Sequence[Example], questions: Sequence[Example], k: int, encode: Any = None) -> Contender:
    """foreword's retriever of that name."""
    scaled = parts if name == "bm25" else np.asarray
    return Contender(
        lambda: make(name, pool, encode=encode),
        lambda index: index.find_all(questions, k),
        lambda results: scaled(np.array([[neighbour.similarity for neighbour in reversed(each)] for each in results])),
    )


def bm25s_plainly(pool: Sequence[Example], questions: Sequence[Example], k: int) -> Contender:
    """The package bm25s with its own tokenizer, told to keep every word as foreword does."""
    import bm25s

    def cut(some: Sequence[Example]) -> Any:
        settings = {"stopwords": None, "token_pattern": r"[^\W_]+", "show_progress": False}
        return bm25s.tokenize([example.text for example in some], **settings)

    def build() -> Any:
        index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        index.index(cut(pool), show_progress=False)
        return index

    def ask(index: Any) -> Any:
        strings = bm25s.tokenization.convert_tokenized_to_string_list(cut(questions))
        return index.retrieve(strings, k=k, show_progress=False)

    return Contender(build, ask, lambda results: parts(results.scores))


def faiss_plainly(vectors: np.ndarray[Any, Any], question_vectors: np.ndarray[Any, Any], k: int) -> Contender:
    """The library faiss, exact inner products of vectors brought to length 1."""
    import faiss

    def unit(some: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        normalized = some.copy()
        faiss.normalize_L2(normalized)
        return normalized

    def build() -> Any:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(unit(vectors))
        return index

    return Contender(build, lambda index: index.search(unit(question_vectors), k), lambda results: results[0])


def check(name: str, mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    """The greatest difference between what both say of the k examples found; ends the bench where it is too great."""
    if mine.shape != theirs.shape:
        sys.exit(f"{name}: one found {mine.shape} examples and the other {theirs.shape}; no time is printed.")
    return _run.agree(name, float(np.abs(mine - theirs).max()), CLOSE[name])


def held_mib() -> float | None:
    """Memory of this process in MiB, where the system says it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return None
    return pages * 4096 / 2**20


def contenders(
    name: str, count: int, args: argparse.Namespace
) -> tuple[Contender, Contender | None, list[list[Example]]]:
    """foreword, its peer where that is installed, and the questions: from outside, and out of the pool itself."""
    words = language(args.seed)
    texts, questions = draw(count, words, (args.seed, 0)), draw(args.questions, words, (args.seed, 1))
    pool, question_examples = examples(texts.texts, "train"), examples(questions.texts, "test")
    own = pool[:: max(1, count // args.questions)][: args.questions]
    if name == "bm25":
        return (
            ours(name, pool, question_examples, args.shots),
            _peer(lambda: bm25s_plainly(pool, question_examples, args.shots)),
            [question_examples, own],
        )
    question_vectors = embedded(questions, args.width, args.seed)
    order = sorted(range(count), key=texts.texts.__getitem__)
    table = embedded(texts, args.width, args.seed)[
        order
    ]  # as the retriever asks for them: handing them over takes no time
    rows = dict(zip(questions.texts, question_vectors, strict=True))

    def encode(some: Sequence[str]) -> np.ndarray[Any, Any]:
        return table if len(some) == count else np.stack([rows[text] for text in some])

    peer = _peer(lambda: faiss_plainly(table, question_vectors, args.shots))
    return ours(name, pool, question_examples, args.shots, encode), peer, [question_examples, own]


def _peer(create: Callable[[], Contender]) -> Contender | None:
    try:
        return create()
    except ImportError:
        return None


def measure(name: str, count: int, args: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    say = _run.speaker(args)
    mine, peer, (questions, own) = contenders(name, count, args)
    gc.collect()
    before = held_mib()
    index = mine.build()
    gc.collect()
    row: dict[str, Any] = {"retriever": name, "examples": count}
    if before is not None:
        row["index_mib"] = round((held_mib() or 0) - before, 1)
    sides, indices = {"ours": mine}, {"ours": index}
    if peer is not None:
        sides["peer"], indices["peer"] = peer, peer.build()
        row["apart"] = check(name, mine.score(mine.ask(index)), peer.score(peer.ask(indices["peer"])))
        row["peer"] = {"bm25": "bm25s", "dense": "faiss"}[name]
    queries: dict[str, Callable[[], Any]] = {side: (lambda side=side: sides[side].ask(indices[side])) for side in sides}
    queries["alone"] = lambda: [index.find(question, args.shots) for question in questions]
    queries["own"] = lambda: index.find_all(own, args.shots)
    spent = _run.alternate(queries, args.repeats, say=say)
    builds = {side: contender.build for side, contender in sides.items()}
    return row | _figures(spent, _run.alternate(builds, args.repeats, warm=0, say=say), len(questions), len(own))


def _figures(spent: _run.Times, built: _run.Times, question_count: int, own: int) -> dict[str, Any]:
    keys = {"ours": "batch_ms", "alone": "query_ms", "own": "own_ms", "peer": "peer_batch_ms"}
    each = {
        keys[side]: [1e3 * seconds / (own if side == "own" else question_count) for seconds in spent[side]]
        for side in spent
    }
    each["index_seconds"] = built["ours"]
    if "peer" in built:
        each["peer_index_seconds"] = built["peer"]
        each["index_ratio"] = _run.ratios(built, "ours", "peer")
        each["ratio"] = _run.ratios(spent, "ours", "peer")
    medians = {key: statistics.median(values) for key, values in each.items()}
    return medians | {"spread": {key: _run.summary(values) for key, values in each.items()}}


def main(argv: Sequence[str] | None = None) -> None:
    """The whole table, or what the flags ask for."""
    parser = _run.parser(__doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="training examples")
    parser.add_argument("--retrievers", nargs="+", choices=("bm25", "dense"), default=["bm25", "dense"])
    parser.add_argument("--questions", type=int, default=200, help="questions asked in each round (200)")
    parser.add_argument("--shots", type=int, default=3, help="examples to find for each (3)")
    parser.add_argument("--width", type=int, default=384, help="of a dense vector (384)")
    args = _run.parsed(parser, argv)
    rows = [measure(name, count, args) for count in sorted(args.sizes) for name in args.retrievers]
    notes = {
        "query_ms": "one question a call",
        "own_ms": "questions out of the pool, many a call: each one's own question is excluded",
        "batch_ms": "questions from outside, many a call; the peer's too, and `ratio` compares these",
        "index_mib": "memory that the process holds more after indexing, the examples themselves not counted",
    }
    _run.finish(args, "retrieve", rows, COLUMNS, notes=notes)


if __name__ == "__main__":
    main()
