"""`foreword chat`: lines from a pipe are answered as `generate` and the server do, turns are kept where there are turns, and what
is wrong is one sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
import transformers

import chats
import entry
import serving
from foreword.api.predictor import Predictor
from foreword.engine import load_backbone
from foreword.prompts import store


def talked(monkeypatch: pytest.MonkeyPatch, text: str, *argv: object) -> entry.CommandResult:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return entry.foreword("chat", *argv)


def test_lines_are_answered_as_generate_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = entry.save_model(tmp_path / "model")
    with load_backbone(str(folder)) as backbone:
        store.save(serving.soft(backbone, 4, 1), tmp_path / "p")
        with Predictor(backbone, tmp_path / "p", max_new_tokens=9) as predictor:
            expected = predictor.generate(["bana 1 lo", "x"])
    result = talked(monkeypatch, "\ufeffbana 1 lo\n\nx\n", "-m", folder, "-p", tmp_path / "p", "--max-new-tokens", 9)
    assert (result.code, result.out) == (0, "".join(f"{answer}\n" for answer in expected)), result.err
    text = " ".join(entry.foreword("chat", "--help").out.split())
    assert "a blank line asks nothing, also in a pipe" in text, "and so it was above: two answers to three lines"
    drawn = [
        talked(monkeypatch, "x", "-m", folder, "--temperature", 2, "--seed", seed, "--max-new-tokens", 5).out
        for seed in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2] != drawn[1]
    for argv, words in (
        (("--top-p", 0), ("top_p",)),
        (("--system", "Be brief."), ("not spoken to in turns",)),
        (("-p", tmp_path / "nothing"), ("nothing",)),
    ):
        arguments = ("-p", tmp_path / "p", *argv) if argv[0] != "-p" else argv
        result = talked(monkeypatch, "x\n", "-m", folder, *arguments)
        entry.one_sentence(result.code, result.err, words)


def test_a_system_message_that_nothing_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = talked(monkeypatch, "x\n", "-m", entry.save_model(tmp_path / "model"), "--system", "Be brief.")
    entry.one_sentence(result.code, result.err, ("--system", "no chat template", "leave it out"))


def test_turns_are_remembered_until_a_new_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = chats.tokenizer("smollm2")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=400, initializer_range=0.2, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    more = ("-m", tmp_path / "m", "--max-new-tokens", 6, "--system", "Be brief.")
    lines = talked(monkeypatch, "bana\nlo\n/new\nlo\nbana\n/quit\nno\n", *more).out.split("\n")
    alone = [talked(monkeypatch, text, *more).out for text in ("bana\n", "lo\n")]
    text = "\n".join(lines)
    assert text.startswith(alone[0]) and alone[1] in text
    again = talked(monkeypatch, "bana\nlo\n", *more).out
    assert text.startswith(again) and again != "".join(alone), "what was said before is read too"
