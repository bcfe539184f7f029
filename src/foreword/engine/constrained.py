"""Answers in JSON: which tokens may come next, by a grammar over the tokenizer's bytes; it refuses tokenizers that cannot write JSON, and
schemas that the grammar's library does not read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from foreword.engine.tokenizer_adapter import TokenizerAdapter
from foreword.util.errors import ForewordError, MissingExtraError

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
SPACED = {"whitespace_pattern": "[ \n]?"}  # one blank at most between two signs, so that no answer is blanks alone
SIGNS = "".join(map(chr, range(32, 127)))  # with which all of JSON can be written
MOST = 200_000  # characters of a schema


class Model(Protocol):
    """What a grammar asks of a backbone."""

    name: str
    vocab: int
    eos: tuple[int, ...]
    target_tokenizer: TokenizerAdapter


class JsonConstraint:
    """Which tokens may follow an answer, and whether it is whole; both depend on the answer's ids alone. vocab: ids from 0 that the
    model can say. ends: ids that the tokenizer, but not the model, ends with. One thread uses it."""

    def __init__(self, matcher: Any, vocab: int, ends: Sequence[int]) -> None:
        self._matcher, self._vocab, self._ends = matcher, vocab, list(ends)
        self._read: list[int] = []

    def allowed(self, ids: Sequence[int]) -> Tensor:
        """Whether each token [V] may come behind these. Raises ForewordError where none may."""
        self._follow(ids)
        flags = bytearray(self._matcher.compute_logit_bias())
        self._refuse_broken()
        mask = torch.frombuffer(flags, dtype=torch.uint8)[: self._vocab] != 0
        mask[self._ends] = False
        if not bool(mask.any()):
            raise ForewordError(
                "No token of this tokenizer goes on with the JSON that the answer began; ask for another schema."
            )
        return mask

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether nothing more can follow these."""
        self._follow(ids)
        return bool(self._matcher.is_stopped())

    def _follow(self, ids: Sequence[int]) -> None:
        """Let the matcher read what it has not read yet of these."""
        known = len(self._read)
        if list(ids[:known]) != self._read:
            self._matcher.reset()
            self._read, known = [], 0
        for token in ids[known:]:
            self._matcher.consume_token(int(token))
            self._read.append(int(token))
        self._refuse_broken()

    def _refuse_broken(self) -> None:
        if self._matcher.is_error():
            raise ForewordError(
                f"The answer's JSON cannot be followed any further ({_reason(self._matcher)}); ask for a simpler schema."
            )


class JsonGrammar:
    """The JSON of one schema, compiled for one tokenizer."""

    def __init__(self, matcher: Any, vocab: int, ends: Sequence[int]) -> None:
        self._matcher, self._vocab, self._ends = matcher, vocab, tuple(ends)

    def constraint(self) -> JsonConstraint:
        """For one answer."""
        return JsonConstraint(self._matcher.deep_copy(), self._vocab, self._ends)


class JsonWriter:
    """Compiles schemas for a backbone's answers. Raises MissingExtraError without the library, ForewordError for a tokenizer with which
    JSON cannot be written."""

    def __init__(self, model: Model) -> None:
        try:
            import llguidance
            import llguidance.hf
        except ModuleNotFoundError as error:
            raise MissingExtraError("JSON by a schema", "json") from error
        tokenizer = model.target_tokenizer.hf
        self._library, self._vocab = llguidance, model.vocab
        count = max(model.vocab, len(tokenizer))
        try:
            self._tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=count, eos_token=list(model.eos) or None)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ForewordError(
                f"The tokenizer of {model.name} has no form in which a grammar reads it ({error}); ask for text."
            ) from error
        self._ends = [token for token in self._tokens.eos_tokens if token not in model.eos and token < model.vocab]
        absent = [sign for sign in SIGNS if self._tokens.decode_str(self._tokens.tokenize_str(sign)) != sign]
        if absent:
            raise ForewordError(
                f"The tokenizer of {model.name} cannot write {absent[0]!r}, which JSON needs; ask for text."
            )

    def grammar(self, schema: Mapping[str, Any], opening: str = "") -> JsonGrammar:
        """The JSON of a schema, behind the words with which each answer opens. Raises ForewordError for a schema that is none, or says
        what the library does not hold an answer to."""
        text = json.dumps({**schema, "x-guidance": SPACED})
        if len(text) > MOST:
            raise ForewordError(
                f"The schema has {len(text):,} characters, and {MOST:,} are the most; ask for a smaller one."
            )
        matcher = self._library.LLMatcher
        if opening:
            grammar = matcher.grammar_from_lark(f"start: {json.dumps(opening)} json\njson: %json {text}")
        else:
            grammar = matcher.grammar_from_json_schema(text)
        compiled = matcher(self._tokens, grammar, log_level=0)
        trial = compiled.deep_copy()
        if not trial.is_error():
            trial.compute_logit_bias()  # what no token can begin is told now, and not in the middle of a stream
        if trial.is_error():
            raise ForewordError(
                f"The JSON schema cannot be held to ({_reason(trial)}); leave out what it names, or ask for json_object."
            )
        return JsonGrammar(compiled, self._vocab, self._ends)


def _reason(matcher: Any) -> str:
    """Why a matcher stands still, without the dump of its state."""
    return " ".join(str(matcher.get_error()).partition("<state>")[0].split())
