"""LM adaptation: a killed run goes on to the identical result, what it writes loads, and what cannot be adapted is refused."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import entry
import tiny
from entry import foreword, refused
from foreword.engine import load_backbone
from foreword.train.pretrain.adapt import Adaptation
from foreword.train.pretrain.checkpoint import keep, put_back
from foreword.train.pretrain.pairs import TextPlace, pairs
from foreword.train.pretrain.texts import Generated, Mark, Written
from foreword.util.errors import ForewordError

SMALL: dict[str, Any] = {"steps": 16, "batch": 512, "length": 48, "learning_rate": 0.02, "seed": 3}
FLAGS = ("--steps", 4, "--batch", 256, "--length", 32, "--threads", 1)
OUTPUT = ("README.md", "recipe.json", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines that say a few syllables again and again."""
    rng = random.Random("adapt")
    lines = [" ".join(rng.choices(("ba", "lo", "ri", "tem", "na"), k=3) * 4) for _ in range(60)]
    path = tmp_path_factory.mktemp("data") / "own.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {family: entry.save_model(folder / family, family) for family in ("t5", "bart", "llama")}


@pytest.fixture(scope="module")
def whole(models: dict[str, Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An unbroken run of each family."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    return {
        family: Adaptation(str(models[family]), data=data, **SMALL).train(out / family, report_every=4)
        for family in ("t5", "bart")
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- training -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ("t5", "bart"))
def test_the_loss_falls_and_the_result_loads(whole: dict[str, Path], models: dict[str, Path], family: str) -> None:
    base, adapted = load_backbone(str(models[family])), load_backbone(str(whole[family]))
    facts = json.loads((whole[family] / "recipe.json").read_text())
    curve = [loss for _, loss in facts["curve"]]
    assert (len(curve), facts["steps"]) == (4, 16) and curve[-1] < 0.8 * curve[0]
    assert facts["base"] == base.fingerprint != adapted.fingerprint
    assert adapted.tokenizer.digest_text() == base.tokenizer.digest_text()
    assert set(OUTPUT) <= set(contents(whole[family]))
    card = (whole[family] / "README.md").read_text()
    assert base.fingerprint in card and f"{facts['tokens']:,}" in card and str(whole[family].parent) not in card


def test_a_broken_off_run_goes_on_to_the_identical_result(
    whole: dict[str, Path], models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    for steps in (3, 6):
        run = Adaptation(str(models["bart"]), data=data, **SMALL)
        assert run.train(tmp_path, report_every=4, stop_after=steps) == tmp_path
    again = Adaptation(str(models["bart"]), data=data, **SMALL).train(tmp_path, report_every=4)
    assert contents(again) == contents(whole["bart"])


def _keeping_all(model: Path, data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    Adaptation(str(model), data=data, **SMALL).train(out, report_every=4, save_every=0.0)


def test_kill_9_loses_nothing_that_a_checkpoint_holds(
    whole: dict[str, Path], models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    kind = multiprocessing.get_context("forkserver")
    kind.set_forkserver_preload(entry.PRELOAD)
    child = kind.Process(target=_keeping_all, args=(models["t5"], data, tmp_path))
    child.start()
    while child.is_alive() and not (tmp_path / "checkpoint.safetensors").exists():
        time.sleep(0.01)
    child.kill()
    child.join()
    assert (tmp_path / "checkpoint.safetensors").exists()
    run = Adaptation(str(models["t5"]), data=data, **SMALL)
    assert contents(run.train(tmp_path, report_every=4)) == contents(whole["t5"])


def test_a_finished_run_may_go_on(whole: dict[str, Path], models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    shorter = {**SMALL, "steps": 8}
    Adaptation(str(models["t5"]), data=data, **shorter).train(tmp_path, report_every=4)
    longer = Adaptation(str(models["t5"]), data=data, **SMALL).train(tmp_path, report_every=4)
    assert contents(longer) == contents(whole["t5"])


@pytest.mark.parametrize("family", ("t5", "bart"))
def test_every_weight_learns_and_parts_of_a_batch_change_no_gradient(
    models: dict[str, Path], data: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    run = Adaptation(str(models[family]), data=data, dtype="float32", **SMALL)
    monkeypatch.setattr(run.optimiser, "step", lambda: None)
    monkeypatch.setattr(run.optimiser, "zero_grad", lambda set_to_none: None)
    rows, place = next(run._stream())
    gradients = []
    for at_once in (4096, 40):
        monkeypatch.setattr("foreword.train.pretrain.adapt.AT_ONCE", at_once)
        assert (len(list(run._parts(rows))) > 1) == (at_once == 40)
        run.backbone.model.zero_grad()
        run._step(rows, place)
        gradients.append({name: value.grad for name, value in run.backbone.model.named_parameters()})
    assert all(grad is not None for grads in gradients for grad in grads.values())
    largest = max(float(grad.abs().max()) for grad in gradients[0].values())
    for name, grad in gradients[0].items():
        assert torch.allclose(grad, gradients[1][name], rtol=1e-4, atol=1e-6 * largest), name


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_a_decoder_only_model_is_refused(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    refused("adapt", models["llama"], "--data", data, "--out", tmp_path, says=("encoder-decoder", "decoder-only"))
    assert not list(tmp_path.iterdir())


def test_another_recipe_is_refused(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    Adaptation(str(models["t5"]), data=data, **SMALL).train(tmp_path, stop_after=1)
    with pytest.raises(ForewordError, match=r"another recipe \(it differs in seed\)"):
        Adaptation(str(models["t5"]), data=data, **{**SMALL, "seed": 4}).train(tmp_path)


def test_less_than_was_made_is_refused(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    def adapted(**goal: int) -> Path:
        return Adaptation(str(models["t5"]), data=data, **{**SMALL, "steps": None, **goal}).train(tmp_path)

    first = contents(adapted(steps=3))
    tokens = json.loads(first["recipe.json"])["tokens"]
    with pytest.raises(ForewordError, match=r"adaptation of 3 steps and 2 are asked for; give --steps 3 or more, or"):
        adapted(steps=2)
    with pytest.raises(
        ForewordError, match=rf"{tokens:,} tokens and 100 are asked for; give --tokens {tokens} or more"
    ):
        adapted(tokens=100)
    for goal in (tokens, tokens - 1):  # the last batch passes a goal in tokens
        assert contents(adapted(tokens=goal)) == first
    assert contents(adapted(steps=3)) == first


@pytest.mark.parametrize(
    ("flags", "says"),
    (
        (("--steps", 3, "--tokens", 100), ("--steps or --tokens",)),
        (("--length", 400), ("160", "--length")),
        (("--length", 1), ("--length", "at least 2")),
        (("--learning-rate", 0), ("--learning-rate", "above 0")),
        (("--dtype", "float16"), ("float16", "bfloat16")),
        (("--data", "absent.txt"), ("absent.txt", "No such file")),
        (("--data", "table.csv"), ("table.csv", ".jsonl")),
    ),
)
def test_what_means_nothing_is_refused(
    models: dict[str, Path], tmp_path: Path, flags: tuple[object, ...], says: tuple[str, ...]
) -> None:
    refused("adapt", models["bart"], "--out", tmp_path, *flags, says=says)


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    (
        ("bad.jsonl", b'{"text": "a b"}\n{"text": 3}\n', "Line 2 of"),
        ("bad.jsonl", b'{"text": "a b"}\n\n["text"]\n', "Line 3 of"),
        ("bad.jsonl", b'{"text": "a b"}\n{"text": "a', "Line 2 of"),
        ("bad.txt", b"a\n\xff\n", "Line 2 of .* is not UTF-8"),
        ("bad.txt", b" \n\n", "holds no text"),
        ("bad.jsonl", b"", "holds no text"),
    ),
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, raw: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(ForewordError, match=says):
        list(islice(Written(path).read(Mark()), 5))


def test_texts_that_cannot_be_parted_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("x")
    run = Adaptation(str(models["t5"]), data=tmp_path / "short.txt", **SMALL)
    with pytest.raises(ForewordError, match="no text of 2 tokens"):
        run.train(tmp_path / "out")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    def model_and_optimiser(width: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        model = torch.nn.Linear(width, 2)
        optimiser = torch.optim.AdamW(model.parameters())
        model(torch.ones(width)).sum().backward()
        optimiser.step()
        return model, optimiser

    path = tmp_path / "checkpoint.safetensors"
    keep(path, *model_and_optimiser(3), {"steps": 7})
    assert put_back(path, *model_and_optimiser(3)) == {"steps": 7}
    with pytest.raises(ForewordError, match="another model's parameters"):
        put_back(path, *model_and_optimiser(4))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ForewordError, match="is damaged"):
        put_back(path, *model_and_optimiser(3))


# -- text -----------------------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=30)
@given(lines=st.lists(words, min_size=1, max_size=12), plain=st.booleans(), ends=st.sampled_from(("\n", "\r\n")))
def test_a_stream_can_be_entered_anywhere(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], plain: bool, ends: str
) -> None:
    path = tmp_path_factory.mktemp("stream") / ("own.txt" if plain else "own.jsonl")
    file_lines = lines if plain else [json.dumps({"text": line}) for line in lines]
    path.write_bytes("".join(line + ends for line in file_lines).encode())
    source = Written(path)
    marked_texts = list(islice(source.read(Mark()), 2 * len(lines) + 1))
    texts = [text for text, _ in marked_texts]
    assert texts[0] == "\n".join(lines) if plain else texts[: len(lines)] == lines
    for place, (_, mark) in enumerate(marked_texts[:-1]):
        assert [text for text, _ in islice(source.read(mark), len(marked_texts) - place - 1)] == texts[place + 1 :]


def test_a_long_file_comes_in_blocks_of_paragraphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreword.train.pretrain.texts.BLOCK", 20)
    path = tmp_path / "own.txt"
    path.write_text(
        "\ufeffone two\nthree\n\n\nfour five six\nseven eight\n\nnine " + "x" * 60 + "\nten", encoding="utf-8"
    )
    read = [text for text, _ in islice(Written(path).read(Mark()), 4)]
    assert read[:3] == ["one two\nthree\n\n\nfour five six\nseven eight", "nine " + "x" * 60, "ten"]
    assert read[3] == read[0]


def test_rows_are_the_text_and_resume_anywhere(data: Path) -> None:
    backbone = tiny.backbone("t5")

    def stream(place: TextPlace) -> Any:
        return pairs(backbone, Written(data), seed=1, length=16, budget=200, place=place)

    known = {
        tuple(backbone.tokenizer.ids(json.loads(line)["text"], first=True)) for line in data.read_text().splitlines()
    }
    pieces = {ids[start : start + 16] for ids in known for start in range(0, len(ids), 16)}
    batches = list(islice(stream(TextPlace()), 150))
    assert {place.chunk for _, place in batches} >= {0, 1}
    for rows, _ in batches:
        assert all((*row.own, *row.answer[: len(row.answer) - len(backbone.tokenizer.end)]) in pieces for row in rows)
        assert len(rows) * (max(len(row.own) for row in rows) + max(len(row.answer) for row in rows)) <= 200
    for at in (0, 20, 120):
        assert list(islice(stream(batches[at][1]), 10)) == batches[at + 1 : at + 11]


def test_generated_text_can_be_entered_anywhere() -> None:
    marked_texts = list(islice(Generated(5).read(Mark()), 6))
    assert list(islice(Generated(5).read(marked_texts[2][1]), 3)) == marked_texts[3:]


# -- the verb ---------------------------------------------------------------------------------------------------------------


def test_the_verb_adapts_on_generated_text_and_its_model_answers(models: dict[str, Path], tmp_path: Path) -> None:
    result = foreword("adapt", models["t5"], "--out", tmp_path / "run", *FLAGS, "--json")
    assert (result.code, result.err) == (0, ""), result.err
    document = result.json
    assert (document["steps"], document["learning_rate"]) == (4, 0.001) and document["tokens"] > 600
    used = foreword("generate", "--model", document["folder"], "--data", entry.save_rows(tmp_path / "own.jsonl", entry.rows(4)),
                    "--method", "zero", "--max-new-tokens", 3)  # fmt: skip
    assert used.code == 0, used.err


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    command = ("adapt", models["t5"], "--data", data, "--out", tmp_path / "run", "--tokens", 5000, "--dry-run")
    plan = foreword(*command, "--json").json
    assert (plan["tokens"], plan["steps"], plan["text"], plan["batch"]) == (5000, None, "own.jsonl", 8192)
    result = foreword(*command)
    assert result.code == 0 and "tokens: 5000" in result.out and "steps" not in result.out
    assert not list(tmp_path.iterdir())
