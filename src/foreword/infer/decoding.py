"""How answers are decoded where they are not simply the likeliest: sampled, or as JSON by a schema; it refuses both where an example has
choices to pick from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.engine import Backbone, JsonGrammar, JsonWriter, Sampling
from foreword.engine.sampling import GREEDY as LIKELIEST
from foreword.util.errors import ForewordError


@dataclass(frozen=True)
class Decoding:
    """sampling: of all answers; each draws by its seed and the example's id, or, where there is one example `alone`, by the seed itself,
    as a server does. schema: of the JSON that every answer is to be; None for text."""

    sampling: Sampling = LIKELIEST
    schema: Mapping[str, Any] | None = None
    alone: bool = False

    def sampling_of(self, example: Example) -> Sampling:
        """How this example's answer is drawn."""
        if self.alone or self.sampling.greedy:
            return self.sampling
        digest = hashlib.sha256(f"{self.sampling.seed}/{example.id}".encode()).digest()
        return replace(self.sampling, seed=int.from_bytes(digest[:7]))

    def grammar(self, backbone: Backbone, template: Template) -> JsonGrammar | None:
        """Of the JSON, behind the words with which the template opens an answer; None for text. Raises ForewordError."""
        if self.schema is None:
            return None
        return JsonWriter(backbone).grammar(self.schema, template.answer.partition("{target}")[0])

    def reading(self, template: Template) -> Template:
        """The template that reads an answer: of JSON its opening words alone are taken off, for the grammar says where it ends."""
        if self.schema is None:
            return template
        opening = template.answer.partition("{target}")[0]
        return replace(template, answer=f"{opening}{{target}}", stop=(), extract="")

    def refuse_choices(self) -> None:
        """Raises ForewordError where what is asked says nothing to an answer that is one of an example's choices."""
        if self.schema is not None or not self.sampling.greedy:
            what = "a JSON schema" if self.schema is not None else "sampling"
            raise ForewordError(
                f"The answers are the likeliest of given choices, to which {what} says nothing; leave it out, or give --choices none."
            )


GREEDY = Decoding()
