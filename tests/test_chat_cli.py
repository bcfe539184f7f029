"""Chat models from the command line: the template is used unless turned off, a prompt remembers how it was tuned, and no instruction is
dropped without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

import chats
import entry
from entry import foreword, refused

SMALL = ("--max-new-tokens", 4, "--prompt-length", 3, "--max-steps", 2, "--seeds", 0)
TUNE = ("--max-new-tokens", 4, "--prompt-length", 3, "--max-steps", 2)
INSTRUCTION = "Say the thing and the name."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama with the template of SmolLM2."""
    tokenizer = chats.tokenizer("smollm2")
    folder = tmp_path_factory.mktemp("chat-model")
    chats.llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tuned(model: Path, data: Path, out: Path, *more: object) -> Path:
    result = foreword("tune", "-m", model, "-d", data, "--out", out, *TUNE, *more)
    assert (result.code, result.err) == (0, ""), result.err
    return out


@pytest.fixture(scope="module")
def prompt(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuned(model, data, tmp_path_factory.mktemp("prompts") / "chat")


def certificate(prompt: Path) -> dict[str, Any]:
    return json.loads((prompt / "foreword.json").read_text())["birth"]


def shown(*argv: object) -> Any:
    result = foreword("show", *argv, "--json")
    assert result.code == 0, result.err
    return result.json


# -- turns --------------------------------------------------------------------------------------------------------------


def test_show_prints_the_turns_and_marks_the_control_tokens(model: Path, data: Path) -> None:
    wording = ("-m", model, "-d", data, "--method", "icl:2", "--instruction", INSTRUCTION)
    pieces = shown(*wording)["pieces"]
    assert [(piece["role"], piece["kind"]) for piece in pieces] == [
        ("system", "words"),
        ("user", "demonstration"),
        ("assistant", "demonstration"),
        ("user", "demonstration"),
        ("assistant", "demonstration"),
        ("user", "question"),
        ("assistant", "answer"),
    ]
    assert pieces[0]["text"] == f"<|im_start|>system\n{INSTRUCTION}<|im_end|>\n"
    assert pieces[-1]["text"] == "<|im_start|>assistant\n"
    whole = shown(*wording)
    assert sum(piece["tokens"] for piece in pieces) == whole["tokens"] == len(whole["ids"])
    assert "<|im_end|>" in whole["specials"]
    result = foreword("show", *wording)
    assert result.code == 0 and "system turn: words" in result.out and "assistant turn: answer" in result.out
    bare = shown("-m", model, "-d", data, "--method", "zero")["pieces"][-2]["text"]
    assert "Input:" not in bare, "turns tell question from answer: nobody's words are put around them"


@pytest.mark.parametrize("place", ["front", "system"])
@pytest.mark.parametrize("method", ["pt", "pt+instruction", "ipt", "ipt+instruction:2"])
def test_show_puts_the_soft_prompt_where_it_stands(model: Path, data: Path, place: str, method: str) -> None:
    instructed = ("--instruction", INSTRUCTION) if "+" in method else ()
    document = shown(
        "-m", model, "-d", data, "--method", method, "--soft-place", place, "--prompt-length", 3, *instructed,
    )  # fmt: skip
    kinds = [piece["kind"] for piece in document["pieces"]]
    at = kinds.index("soft prompt")
    assert at == (1 if place == "system" else 0)
    if place == "system":
        assert document["pieces"][0]["text"] == "<|im_start|>system\n"
        assert document["pieces"][2]["text"] == f"{INSTRUCTION if instructed else ''}<|im_end|>\n"
    assert sum(piece["tokens"] for piece in document["pieces"]) == document["tokens"] == len(document["ids"]) + 3


# -- comparing ----------------------------------------------------------------------------------------------------------


def test_a_comparison_uses_the_template_and_its_records_are_its_own(model: Path, data: Path, tmp_path: Path) -> None:
    methods = "zero,few,icl,pt,pt+instruction,ipt+instruction"
    result = foreword(
        "compare", "-m", model, "-d", data, "--methods", methods, "--out", tmp_path / "on", "--instruction", INSTRUCTION, *SMALL, "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert [row["method"] for row in result.json["rows"]] == methods.split(",")
    assert any("said by zero, few, icl" in note and "not by pt;" in note for note in result.json["notes"])
    assert any("through its chat template" in note for note in result.json["notes"])
    keys = {path.stem for path in (tmp_path / "on" / "records").iterdir()}
    plain = foreword(
        "compare", "-m", model, "-d", data, "--methods", methods, "--out", tmp_path / "off", "--chat", "off", "--instruction",
        INSTRUCTION, *SMALL, "--json",
    )  # fmt: skip
    assert plain.code == 0, plain.err
    assert not keys & {path.stem for path in (tmp_path / "off" / "records").iterdir()}


def test_choices_are_compared_behind_the_template(model: Path, tmp_path: Path) -> None:
    rows = entry.save_rows(tmp_path / "rows.jsonl", entry.rows(20, choices=("ba", "bana lori")))
    result = foreword(
        "compare", "-m", model, "-d", rows, "--methods", "zero,pt", "--choices", "ba,bana lori", "--out", tmp_path, *SMALL, "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.json["rows"][0]["method"] == "zero"


def test_model_tuning_answers_behind_the_template(model: Path, data: Path, tmp_path: Path) -> None:
    result = foreword("compare", "-m", model, "-d", data, "--methods", "full-ft", "--out", tmp_path, *SMALL, "--json")
    assert result.code == 0, result.err


# -- prompts ------------------------------------------------------------------------------------------------------------


def test_a_prompt_is_used_as_it_was_tuned(model: Path, data: Path, prompt: Path, tmp_path: Path) -> None:
    provenance = certificate(prompt)
    assert (len(provenance["chat"]), provenance["place"]) == (64, "front")
    result = foreword("generate", "-m", model, "-p", prompt, "-d", data, "--limit", 2, "--max-new-tokens", 3, "--json")
    assert result.code == 0, result.err
    refused(
        "generate", "-m", model, "-p", prompt, "-d", data, "--chat", "off",
        says=("tuned with a chat template", "use --chat on, or leave --chat out"),
    )  # fmt: skip
    plain = tuned(model, data, tmp_path / "plain", "--chat", "off")
    assert certificate(plain)["chat"] == ""
    pieces = shown("-m", model, "-p", plain, "-d", data)["pieces"]
    assert not any(piece["role"] for piece in pieces), "a prompt of running text is used in running text"
    refused(
        "evaluate",
        "-m",
        model,
        "-p",
        plain,
        "-d",
        data,
        "--chat",
        "on",
        "--out",
        tmp_path / "e",
        says=("use --chat off",),
    )


def test_a_prompt_of_another_template_is_refused(model: Path, data: Path, prompt: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    transformers.AutoModelForCausalLM.from_pretrained(model).save_pretrained(twin)
    tokenizer = chats.copied("smollm2")
    tokenizer.chat_template = chats.SMOLLM2.replace("helpful", "blunt")
    tokenizer.save_pretrained(twin)
    refused("generate", "-m", twin, "-p", prompt, "-d", data, says=("another chat template", "tune the prompt again"))


def test_a_prompt_inside_the_system_message_stays_there(model: Path, data: Path, tmp_path: Path) -> None:
    prompt = tuned(model, data, tmp_path / "inside", "--soft-place", "system")
    assert certificate(prompt)["place"] == "system"
    assert "system message" in (prompt / "README.md").read_text()
    assert "PEFT would put it" in json.loads((prompt / "adapter_config.json").read_text())["foreword_place"]
    pieces = shown("-m", model, "-p", prompt, "-d", data)["pieces"]
    assert [piece["kind"] for piece in pieces][:2] == ["words", "soft prompt"]
    result = foreword("generate", "-m", model, "-p", prompt, "-d", data, "--limit", 3, "--max-new-tokens", 3, "--json")
    assert result.code == 0, result.err


# -- refusals -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("bare"))


def test_a_chat_without_a_template_is_refused(bare: Path, data: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    refused(
        "compare", "-m", bare, "-d", data, "--chat", "on", *out, says=("has no chat template", "leave out --chat on")
    )
    refused("compare", "-m", bare, "-d", data, "--chat", "always", *out, says=("one of 'auto', 'on', 'off'",))
    refused(
        "tune",
        "-m",
        bare,
        "-d",
        data,
        "--soft-place",
        "system",
        *TUNE,
        *out,
        says=("needs a chat template", "leave out --soft-place"),
    )


@pytest.mark.parametrize("verb", ["compare", "tune", "show", "generate", "evaluate"])
def test_an_instruction_that_nobody_says_is_refused(
    verb: str, model: Path, data: Path, prompt: Path, tmp_path: Path
) -> None:
    how: dict[str, tuple[object, ...]] = {
        "compare": ("--methods", "pt,ipt:2", "--out", tmp_path / "out"),
        "tune": ("--method", "ipt:2", "--out", tmp_path / "out"),
        "show": ("--method", "pt"),
        "generate": ("-p", prompt),
        "evaluate": ("-p", prompt, "--out", tmp_path / "out"),
    }
    label = "ipt+instruction:2" if verb == "tune" else "pt+instruction"
    message = refused(
        verb, "-m", model, "-d", data, "--instruction", INSTRUCTION, *how[verb], says=("would not say it", label)
    )
    assert "--instruction out" in message


# -- data ---------------------------------------------------------------------------------------------------------------


def test_conversations_are_read(model: Path, tmp_path: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "system", "content": INSTRUCTION},
                {"role": "user", "content": row["input"]},
                {"role": "assistant", "content": row["target"]},
            ]
        }
        for row in entry.rows(20)
    ]
    path = entry.save_rows(tmp_path / "talks.jsonl", rows)
    pieces = shown("-m", model, "-d", path, "--method", "few:1")["pieces"]
    assert INSTRUCTION in pieces[0]["text"] and pieces[0]["role"] == "system"
    result = foreword(
        "compare", "-m", model, "-d", path, "--methods", "pt", "--out", tmp_path / "out", *SMALL, "--json"
    )
    assert result.code == 0, result.err
    assert any("The instruction is not said by pt; a label" in note for note in result.json["notes"])


def test_an_instruction_that_a_prompt_only_keeps_is_not_missed(model: Path, prompt: Path, tmp_path: Path) -> None:
    """It was noted as said by nobody where the user gave none, for a prompt that was tuned without its being said."""
    rows = [
        {"prompt": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": row["input"]}]}
        | {"completion": row["target"]}
        for row in entry.rows(20)
    ]
    path = entry.save_rows(tmp_path / "talks.jsonl", rows)
    keeps_it = tuned(model, path, tmp_path / "keeps-it")
    plain = entry.save_rows(tmp_path / "plain.jsonl", entry.rows(30)[20:])
    assert certificate(keeps_it)["template"]["instruction"] == INSTRUCTION
    for used, data, noted in (
        (keeps_it, ("-d", path), False),
        (keeps_it, ("--test", plain), False),
        (prompt, ("--test", path), True),
    ):
        result = foreword("evaluate", "-m", model, "-p", used, *data, "--out", tmp_path / "out", "--json")
        assert result.code == 0, result.err
        assert any("instruction is not said by pt" in note for note in result.json["notes"]) is noted
