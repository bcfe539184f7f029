"""A fresh T5 looks up what occurred before any training, and is exported whole: its own head, its tokenizer's end and sentinels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from foreword.engine import Backbone, Row, load_backbone
from foreword.train.pretrain.init_model import init_t5, save, save_tokenizer
from foreword.train.pretrain.spans import SENTINELS, corrupted
from foreword.util.errors import ForewordError

VOCAB, EOS, PAD = 600, 0, 1
MARKS = range(2, 2 + len(SENTINELS))
WORDS = range(MARKS.stop, VOCAB)


@pytest.fixture(scope="module", params=(4, 6))
def model(request: pytest.FixtureRequest) -> Any:
    return init_t5(VOCAB, 192, 3, request.param, 128, eos=EOS, pad=PAD, sentinels=MARKS).eval()


def right(model: Any, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Which tokens of `target` the model foretells, from `source` and the tokens before."""
    ids = torch.from_numpy(np.append(source, EOS))[None]
    decoder_ids = torch.from_numpy(np.append(PAD, target[:-1]))[None]
    with torch.no_grad():
        predicted = model(input_ids=ids, decoder_input_ids=decoder_ids).logits[0].argmax(dim=-1)
    return predicted.numpy() == target


def line(seed: int, length: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).choice(WORDS, length, replace=False)


def test_the_start_and_each_word_are_looked_up_in_the_input(model: Any) -> None:
    """By chance: 0.002."""
    correct_rows = [right(model, np.append(line(seed), line(seed)[:12]), line(seed)[12:24]) for seed in range(12)]
    assert (
        np.mean([correct[0] for correct in correct_rows]) > 0.7
        and np.mean([correct[1:] for correct in correct_rows]) > 0.8
    )


def test_sentinels_are_looked_up_in_the_input(model: Any) -> None:
    firsts, others = [], []
    for seed in range(12):
        source, target = corrupted(np.tile(line(seed), 2), MARKS, np.random.default_rng(seed))
        correct = right(model, source, target)
        mark = np.isin(target, MARKS)
        firsts += correct[1:][mark[:-1] & ~mark[1:]].tolist()
        others += correct[1:][~mark[:-1] & ~mark[1:]].tolist()
    assert np.mean(firsts) > 0.6 and np.mean(others) > 0.7


@pytest.mark.parametrize(("hidden", "layers", "heads"), ((192, 1, 4), (192, 3, 5), (192, 3, 2), (190, 3, 4)))
def test_sizes_that_cannot_look_up_are_refused(hidden: int, layers: int, heads: int) -> None:
    with pytest.raises(ForewordError, match="at least 2 layers and an even number of heads"):
        init_t5(VOCAB, hidden, layers, heads, 64, eos=EOS, pad=PAD, sentinels=MARKS)


def test_the_same_seed_gives_the_same_model() -> None:
    fresh_models = [init_t5(80, 32, 2, 4, 16, eos=EOS, pad=PAD, sentinels=MARKS, seed=seed) for seed in (1, 1, 2)]
    first, same, other = (model.state_dict() for model in fresh_models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["shared.weight"], other["shared.weight"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Backbone]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\s|."), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<e>", "<p>", *SENTINELS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Karo met Lemi and Karo"] * 9, trainer)
    folder: Path = tmp_path_factory.mktemp("t5")
    fresh_model = init_t5(tokenizer.get_vocab_size(), 48, 2, 4, 32, eos=EOS, pad=PAD, sentinels=MARKS)
    save(fresh_model, folder)
    save_tokenizer(tokenizer, folder, eos="<e>", pad="<p>", sentinels=SENTINELS)
    return fresh_model, load_backbone(str(folder))


def test_the_export_is_the_model(loaded: tuple[Any, Backbone]) -> None:
    fresh_model, backbone = loaded
    ids = torch.arange(40, 60)[None]
    half = fresh_model.to(torch.bfloat16).float()
    with torch.no_grad():
        expected, actual = (model(input_ids=ids, decoder_input_ids=ids).logits for model in (half, backbone.model))
    assert torch.allclose(expected, actual, atol=1e-4)
    assert backbone.model.lm_head.weight is not backbone.model.shared.weight
    assert backbone.window is None and backbone.kind == "seq2seq" and backbone.eos == (EOS,)
    answer = backbone.generate(None, [Row((), tuple(range(40, 50)))], 3)[0]
    assert 1 <= len(answer) <= 3


def test_its_tokenizer_reads_as_t5s_do(loaded: tuple[Any, Backbone]) -> None:
    words = loaded[1].tokenizer
    assert (words.start, words.end, words.pad) == ((), (EOS,), PAD)
    assert set(MARKS) | {EOS, PAD} == words.special_ids()
    first, inside = words.ids("Karo", first=True), words.ids(" Karo", first=False)
    assert first == inside != words.ids("Karo", first=False)
    text = "Karo met Lemi.\n\nAnd  é!"
    assert words.text(words.ids(text, first=True)) == text
    assert words.ids("<extra_id_3>", first=True)[-1] == MARKS[3]
