"""Pre-training: a broken-off run goes on to the identical result, and what it exports loads."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from foreword.engine import load_backbone
from foreword.models import reference
from foreword.synthetic import names
from foreword.train import checkpoint
from foreword.train.pretrain import SIZES, TrainingStatus, pretrain
from foreword.train.pretrain.batches import DocumentPlace, batches
from foreword.train.pretrain.init_model import init_llama, init_t5
from foreword.train.pretrain.loop import Recipe
from foreword.train.pretrain.objective import causal, spans_of
from foreword.train.pretrain.spans import corrupted
from foreword.train.pretrain.start import start_of
from foreword.train.pretrain.tokenizer import EOS, EOS_ID, PAD, PAD_ID, SENTINEL_IDS, train_tokenizer
from foreword.util.errors import ForewordError
from foreword.util.files import read_json

MICRO = {
    "size": "micro",
    "tokens": 12_000,
    "budget": 512,
    "drilled": 30,
    "half": False,
    "compiled": False,
    "threads": 1,
    "texts": 600,
    "warm": 3000,
}


@pytest.fixture(scope="module")
def words():  # type: ignore[no-untyped-def]
    return train_tokenizer(1200, seed=0, texts=1500)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainingStatus]]:
    statuses: list[TrainingStatus] = []
    return pretrain(tmp_path_factory.mktemp("whole"), report=statuses.append, report_every=5, **MICRO), statuses


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_loss_falls(pretrained: tuple[Path, list[TrainingStatus]]) -> None:
    _, statuses = pretrained
    assert len(statuses) >= 5
    assert statuses[-1].loss < statuses[0].loss - 0.3
    assert all(status.done == status.tokens < status.goal == MICRO["tokens"] for status in statuses)


def test_a_broken_off_run_goes_on_to_the_identical_result(
    pretrained: tuple[Path, list[TrainingStatus]], tmp_path: Path
) -> None:
    for steps in (7, 9):
        assert pretrain(tmp_path / "run", stop_after=steps, **MICRO) == tmp_path / "run"
    assert weights(pretrain(tmp_path / "run", **MICRO)) == weights(pretrained[0])


LONGER = {**{name: MICRO[name] for name in ("half", "compiled", "threads")}, "tokens": 20_000}


def test_a_model_is_trained_further_on_text_that_it_has_not_read(
    pretrained: tuple[Path, list[TrainingStatus]], tmp_path: Path
) -> None:
    before = read_json(pretrained[0] / "recipe.json", "recipe")
    through = pretrain(tmp_path / "through", stop_after=before["steps"], **{**MICRO, "tokens": 20_000})
    _, state = checkpoint.read(through / "checkpoint.safetensors")
    assert asdict(start_of(pretrained[0]).place(Tokenizer.from_file(str(through / "tokenizer.json")))) == dict(
        zip(("chunk", "batch"), state["place"], strict=True)
    )
    statuses: list[TrainingStatus] = []
    longer = pretrain(tmp_path / "longer", start=pretrained[0], report=statuses.append, report_every=1, **LONGER)
    after = read_json(longer / "recipe.json", "recipe")
    assert statuses[0].step == before["steps"] + 1 and statuses[-1].step == after["steps"]
    assert after["earlier"] == before["tokens"] < statuses[0].tokens < after["tokens"]
    assert after["curve"][: len(before["curve"])] == before["curve"]
    rates = [status.rate for status in statuses]
    highest = rates.index(max(rates))
    assert max(rates) == 1.0 and rates[:highest] == sorted(rates[:highest]) and rates[-1] < 0.2
    assert statuses[0].loss < before["curve"][0][1] - 0.3  # of these weights, and of no new ones


def test_a_longer_training_that_is_broken_off_goes_on_to_the_identical_result(
    pretrained: tuple[Path, list[TrainingStatus]], tmp_path: Path
) -> None:
    whole = pretrain(tmp_path / "whole", start=pretrained[0], **LONGER)
    for steps in (3, 4):
        pretrain(tmp_path / "run", start=pretrained[0], stop_after=steps, **LONGER)
    assert weights(pretrain(tmp_path / "run", start=pretrained[0], **LONGER)) == weights(whole)


def test_a_longer_training_of_other_text_or_of_no_such_model_is_refused(
    pretrained: tuple[Path, list[TrainingStatus]], tmp_path: Path
) -> None:
    start = pretrained[0]
    with pytest.raises(
        ForewordError, match=r"with size small and seed 3 is asked for, and it was made with size micro and"
    ):
        pretrain(tmp_path, start=start, size="small", seed=3, **LONGER)
    with pytest.raises(ForewordError, match=r"has read 12,\d+; give a larger --tokens"):
        pretrain(tmp_path, start=start, **{**LONGER, "tokens": 12_000})
    with pytest.raises(ForewordError, match="holds no model that foreword pretrain made; name the sub-folder 'model'"):
        pretrain(tmp_path, start=start.parent, **LONGER)
    pretrain(tmp_path, start=start, stop_after=1, **LONGER)
    with pytest.raises(ForewordError, match="another recipe, with"):
        pretrain(tmp_path, **{**MICRO, "tokens": 20_000})
    damaged = tmp_path / "damaged"
    shutil.copytree(start, damaged)
    (damaged / "model.safetensors").write_bytes(weights(start)[:-100])
    with pytest.raises(ForewordError, match="holds no whole model of size micro"):
        pretrain(tmp_path / "other", start=damaged, **LONGER)


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    pretrain(tmp_path, stop_after=1, **MICRO)
    with pytest.raises(ForewordError, match="another recipe, with budget 512 and not 256; choose another folder"):
        pretrain(tmp_path, **{**MICRO, "budget": 256})


def test_a_tokenizer_of_another_recipe_is_not_taken_over(tmp_path: Path) -> None:
    recipe = {**MICRO, "texts": 100, "stop_after": 0}
    pretrain(tmp_path / "once", **recipe)
    (tmp_path / "once" / "checkpoint.safetensors").unlink()  # as a kill before the first one leaves it
    pretrain(tmp_path / "once", **{**recipe, "seed": 1})
    pretrain(tmp_path / "anew", **{**recipe, "seed": 1})
    once, anew = ((tmp_path / name / "tokenizer.json").read_bytes() for name in ("once", "anew"))
    assert once == anew


def test_other_tokens_are_refused_once_the_rate_falls_for_them(tmp_path: Path) -> None:
    early = {**MICRO, "tokens": 3000}
    pretrain(tmp_path, stop_after=1, **early)
    pretrain(tmp_path, **{**MICRO, "tokens": 4000})  # one step is well before 2,100 of 3,000
    for tokens in (1000, 12_000):
        with pytest.raises(ForewordError, match=rf"on its way to 4,000, and {tokens:,} are asked for"):
            pretrain(tmp_path, stop_after=1, **{**MICRO, "tokens": tokens})
    with pytest.raises(ForewordError, match="give --tokens 1 or more"):
        pretrain(tmp_path, **{**MICRO, "tokens": 0})


@pytest.mark.parametrize("size", ["small", "medium", "large", "t5"])
def test_a_size_is_trained_as_the_model_of_it_that_ships(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor with units for bfloat16, as that which made them."""
    monkeypatch.setattr("foreword.train.pretrain.loop.slow_on_processor", lambda dtype: False)
    shipped = read_json(reference.folder(size) / "recipe.json", "recipe")
    recipe = asdict(Recipe(size=size, seed=0, peak=SIZES[size].peak))
    here = {"compiled", "half", "start", "earlier"} if shipped.get("start") else {"compiled"}
    assert {name: shipped.get(name) for name in recipe if name not in here} == {
        name: value for name, value in recipe.items() if name not in here
    }


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewordError, match=r"no size 'mediun'; did you mean 'medium'\?"):
        pretrain(tmp_path, size="mediun")


def test_the_export_loads_as_a_model_folder(pretrained: tuple[Path, list[TrainingStatus]]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(pretrained[0])
    model = AutoModelForCausalLM.from_pretrained(pretrained[0], dtype=torch.float32)
    assert tokenizer("Input: a").input_ids == tokenizer("Input: a", add_special_tokens=False).input_ids
    assert tokenizer.eos_token == EOS and tokenizer.pad_token == PAD
    assert model.config.eos_token_id == tokenizer.eos_token_id
    text = "Input: Karo | [in:x] é 1987\n\nOutput: x  y"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_name_is_the_same_tokens_wherever_a_blank_precedes_it(words) -> None:  # type: ignore[no-untyped-def]
    first = [words.encode(f" {name}").ids for name in names.WORDS]
    again = [words.encode(f"Output: said {name}.").ids for name in names.WORDS]
    assert all(",".join(map(str, a)) in ",".join(map(str, b)) for a, b in zip(first, again, strict=True))


def test_batches_hold_a_document_a_row_and_resume_anywhere(words) -> None:  # type: ignore[no-untyped-def]
    def stream(place: DocumentPlace):  # type: ignore[no-untyped-def]
        return batches(words, seed=1, budget=700, share=0.1, drilled=50, place=place)

    whole = [pair for pair, _ in zip(stream(DocumentPlace()), range(12), strict=False)]
    for batch, _ in whole:
        assert batch.ids.size <= 700 or len(batch.ids) == 1
        assert batch.tokens == int((batch.ids != words.token_to_id(PAD)).sum())
        assert ((batch.ids == words.token_to_id(EOS)).sum(axis=1) <= 1).all()  # none in rows that only fill the shape
        assert not batch.counted[batch.ids == words.token_to_id(PAD)].any()
    after = [pair for pair, _ in zip(stream(whole[4][1]), range(7), strict=False)]
    for (whole_batch, _), (resumed_batch, _) in zip(whole[5:], after, strict=True):
        assert np.array_equal(whole_batch.ids, resumed_batch.ids) and np.array_equal(
            whole_batch.counted, resumed_batch.counted
        )


def test_batches_have_one_number_of_rows_for_each_width(words) -> None:  # type: ignore[no-untyped-def]
    stream = batches(words, seed=1, budget=700, share=0.1, drilled=0, place=DocumentPlace())
    shapes = {batch.ids.shape for (batch, _), _ in zip(stream, range(200), strict=False)}
    assert len(shapes) == len({width for _, width in shapes}) > 3


# -- the encoder-decoder ------------------------------------------------------------------------------------------------

BOTH = {**MICRO, "size": "t5-micro", "tokens": 20_000}


def test_the_encoder_decoder_learns_resumes_and_loads(tmp_path: Path) -> None:
    statuses: list[TrainingStatus] = []
    whole = pretrain(tmp_path / "whole", report=statuses.append, report_every=3, **BOTH)
    assert statuses[-1].loss < statuses[0].loss - 0.3
    pretrain(tmp_path / "run", stop_after=5, **BOTH)
    assert weights(pretrain(tmp_path / "run", **BOTH)) == weights(whole)
    backbone = load_backbone(str(whole))
    assert backbone.kind == "seq2seq" and backbone.relative
    assert SENTINEL_IDS[0] in backbone.tokenizer.ids("Karo likes <extra_id_0> .", first=True)


def test_the_loss_of_spans_is_that_of_the_models_own_labels(words) -> None:  # type: ignore[no-untyped-def]
    batch, _ = next(batches(words, seed=0, budget=512, share=0.1, drilled=0, place=DocumentPlace()))
    model = init_t5(1200, 32, 2, 4, 48, eos=EOS_ID, pad=PAD_ID, sentinels=SENTINEL_IDS)
    loss = spans_of(model, half=False, compiled=False)(batch)
    chance, total, count = np.random.default_rng(batch.ids[0].tolist()), 0.0, 0
    for ids in batch.ids:
        text = ids[(ids != PAD_ID) & (ids != EOS_ID)]
        if len(text) < 2:
            continue
        read, labels = (
            torch.from_numpy(np.append(tokens, EOS_ID))[None] for tokens in corrupted(text, SENTINEL_IDS, chance)
        )
        total += float(model(input_ids=read, labels=labels).loss.detach()) * labels.numel()
        count += labels.numel()
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.slow
def test_compiling_changes_no_loss_and_no_gradient(words) -> None:  # type: ignore[no-untyped-def]
    batch, _ = next(batches(words, seed=1, budget=700, share=0.1, drilled=0, place=DocumentPlace()))
    losses_and_grads = []
    for compiled in (False, True):
        model = init_llama(1200, 48, 3, 4, 64, eos=0, pad=1).train()
        loss = causal(model, half=False, compiled=compiled)(batch)
        loss.backward()
        losses_and_grads.append([loss.detach(), *(p.grad for p in model.parameters())])
    plain = init_llama(1200, 48, 3, 4, 64, eos=0, pad=1)
    ids = torch.from_numpy(batch.ids)
    labels = torch.where(torch.from_numpy(batch.counted), ids, -100)
    torch.testing.assert_close(plain(input_ids=ids, labels=labels).loss.detach(), losses_and_grads[0][0])
    torch.testing.assert_close(losses_and_grads[1], losses_and_grads[0], rtol=1e-4, atol=1e-6)


def test_a_fresh_model_looks_back_one_token_and_behind_copies() -> None:
    model = init_llama(600, 192, 4, 4, 64, eos=0, pad=1)
    model.set_attn_implementation("eager")
    line = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:20] + 50
    with torch.no_grad():
        attentions = model(input_ids=torch.cat([line, line])[None], output_attentions=True).attentions
    before = attentions[0][0, :2, range(1, 40), range(39)].mean()
    behind = attentions[1][0, :2, range(20, 39), range(1, 20)].mean()
    assert before > 0.9 and behind > 0.1  # by chance: 0.05 and 0.03


def test_sizes_that_cannot_copy_are_refused() -> None:
    with pytest.raises(ForewordError, match="at least 3 layers and 4 heads"):
        init_llama(600, 48, 2, 4, 64, eos=0, pad=1)


SHIPPED = sorted(path.parent.name for path in Path(reference.__file__).parent.glob("*/config.json"))


def test_the_shipped_models_are_small() -> None:
    files = [path for path in Path(reference.__file__).parent.glob("*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole(name: str) -> None:
    folder = reference.folder(name)
    assert {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "recipe.json",
        "README.md",
    } <= {path.name for path in folder.iterdir()}
    facts = read_json(folder / "recipe.json", "recipe")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{facts['tokens']:,} tokens" in card.replace("\n", " ") and "What it can do" in card


def test_a_model_that_is_not_shipped_is_named() -> None:
    with pytest.raises(ForewordError, match="no reference model 'huge'"):
        reference.folder("huge")
