"""The example data sets: sizes, kinds and form, no message twice or nearly twice, and that foreword reads them; prose is not tested."""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

import entry
from foreword.config.run import load
from foreword.data.readers import read_rows
from foreword.metrics import METRICS
from foreword.models import MODELS

EXAMPLES = Path(__file__).parents[1] / "examples"
DAYS = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "today", "tomorrow", None}
KINDS = {"account", "billing", "delivery", "product", "returns", "technical"}


@pytest.fixture(scope="module")
def tickets() -> list[dict[str, str]]:
    with (EXAMPLES / "tickets.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def orders() -> list[dict[str, str]]:
    lines = (EXAMPLES / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def near(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of texts that share most of their words in their order."""
    known = [words(text) for text in texts]
    pairs = []
    for place, tokens in enumerate(known):
        for other in range(place):
            matcher = difflib.SequenceMatcher(None, tokens, known[other], autojunk=False)
            if matcher.real_quick_ratio() > 0.75 and matcher.quick_ratio() > 0.75 and matcher.ratio() > 0.75:
                pairs.append((texts[place], texts[other]))
    return pairs


def test_nearness_is_seen() -> None:
    assert near(["Where is my parcel, please?", "where is MY parcel please", "What a lamp!"])


def test_the_tickets_are_what_they_are_said_to_be(tickets: list[dict[str, str]]) -> None:
    assert len(tickets) == 400 and Counter(row["language"] for row in tickets) == {"en": 240, "de": 160}
    assert set(Counter(row["target"] for row in tickets).values()) == {66, 67}
    assert {row["target"] for row in tickets} == KINDS
    for language in ("en", "de"):
        assert {row["target"] for row in tickets if row["language"] == language} == KINDS
    texts = [row["input"] for row in tickets]
    assert not near(texts)
    assert len({len(words(text)) for text in texts}) > 20, "short ones and long ones"
    first = Counter(words(text)[:2] for text in texts)
    assert max(first.values()) <= 0.04 * len(texts), first.most_common(3)


def test_the_kind_cannot_be_told_by_one_word(tickets: list[dict[str, str]]) -> None:
    """Near misses: the word that tells most of a kind stands in other kinds too."""
    for kind, word in {"billing": "paid", "delivery": "parcel", "returns": "return", "account": "password"}.items():
        kinds = Counter(row["target"] for row in tickets if any(each.startswith(word) for each in words(row["input"])))
        assert kinds[kind] and len(kinds) > 1, (kind, word, kinds)


def test_the_orders_are_what_they_are_said_to_be(orders: list[dict[str, str]]) -> None:
    assert len(orders) == 300
    for row in orders:
        fields = json.loads(row["target"])
        assert list(fields) == ["item", "quantity", "day", "name"], row
        assert isinstance(fields["quantity"], int) and fields["quantity"] > 0 and fields["day"] in DAYS, row
        assert fields["item"] == fields["item"].lower() and fields["item"], row
        assert fields["name"] in row["input"], row
        assert row["target"] == json.dumps(fields, ensure_ascii=False), row
    assert not near([row["input"] for row in orders])
    days = Counter(json.loads(row["target"])["day"] for row in orders)
    assert set(days) == DAYS and max(days.values()) < 0.2 * len(orders)


def test_the_metrics_of_the_orders_take_them(orders: list[dict[str, str]]) -> None:
    targets = [row["target"] for row in orders]
    for name in ("json_valid", "json_fields", "json_exact"):
        assert METRICS[name].score(targets, [[target] for target in targets]) == 100.0
    shifted = [*targets[1:], targets[0]]
    assert METRICS["json_valid"].score(shifted, [[target] for target in targets]) == 100.0
    assert METRICS["json_exact"].score(shifted, [[target] for target in targets]) == 0.0
    assert 0 < METRICS["json_fields"].score(shifted, [[target] for target in targets]) < 25


@pytest.mark.parametrize(("name", "count"), [("tickets.csv", 400), ("orders.jsonl", 300)])
def test_foreword_reads_them(name: str, count: int) -> None:
    rows = read_rows(EXAMPLES / name)
    assert len(rows) == count and {"input", "target"} <= set(rows[0])


def test_the_settings_of_the_demo_run_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo-llm` with a small model in the place of SmolLM2 and fewer steps: every method, every JSON metric."""
    monkeypatch.chdir(EXAMPLES.parent)
    small = ("-m", "reference-small", "--limit", 4, "--max-steps", 2, "--max-new-tokens", 6, "--too-long", "drop")
    result = entry.foreword("compare", "--config", "examples/orders.toml", *small, "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    assert {row["method"] for row in result.json["rows"]} == {"zero", "few", "icl", "pt", "ipt"}
    assert result.json["metric"] == "json_fields"
    settings = load(EXAMPLES / "orders.toml")
    assert settings.model in MODELS and settings.metrics == ["json_fields", "json_exact", "json_valid"]
