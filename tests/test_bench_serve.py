"""The bench of servers on a small model: it prints one document, whose answers were the same alone."""

from __future__ import annotations

import pytest

import benches


@pytest.mark.slow
def test_a_tiny_run_prints_one_document() -> None:
    more = ["--prompts", "2", "--requests", "4", "--longest", "4", "--prompt-length", "3", "--repeats", "1", "--json"]
    document = benches.document("serve", ["--model", "reference-small", "--peer", "", *more])
    (row,) = document["rows"]
    assert (row["model"], row["prompts"], row["requests"]) == ("reference-small", 2, 4)
    assert min(row[name] for name in ("seconds", "ratio_turns", "ratio_alone", "base_seconds", "first")) > 0
