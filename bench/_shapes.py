"""The models and rows that the benches run on: random weights at real sizes and lengths like those of real tasks, drawn from a seed; or,
where it is asked for, a real model's folder and the rows of E2E."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from foreword.engine import Backbone, Row, wrap
from foreword.tasks import load_task
from foreword.util.allocator import keep_freed

WORDS = 320  # of the tokenizer; the models have more, and the benches draw ids from all of them
SPECIAL = 3  # ids below are <pad>, <s>, </s>

_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _gpt2(**over: Any) -> Any:
    return transformers.GPT2Config(**{"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, **_IDS, **over})


def _opt(**over: Any) -> Any:
    defaults = {
        "hidden_size": 768,
        "ffn_dim": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 50_272,
    }
    return transformers.OPTConfig(
        **{**defaults, "max_position_embeddings": 2048, "word_embed_proj_dim": 768, **_IDS, **over}
    )


def _llama(**over: Any) -> Any:
    defaults = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12}
    return transformers.LlamaConfig(
        **{**defaults, "vocab_size": 32_000, "max_position_embeddings": 2048, **_IDS, **over}
    )


def _bloom(**over: Any) -> Any:
    return transformers.BloomConfig(
        **{"hidden_size": 512, "n_layer": 8, "n_head": 8, "vocab_size": 250_880, **_IDS, **over}
    )


def _t5(**over: Any) -> Any:
    defaults = {"vocab_size": 32_128, "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
    defaults |= {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0}
    return transformers.T5Config(**{**defaults, "pad_token_id": 0, "eos_token_id": 2, **over})


# gpt2, opt: the 124 M and 125 M configurations. t5: T5 1.1 base (LM-adapted models have this shape).
SHAPES: dict[str, Callable[..., Any]] = {
    "small": lambda **over: _gpt2(**{"n_embd": 512, "n_layer": 8, "n_head": 8, **over}),
    "gpt2": _gpt2,
    "opt": _opt,
    "llama": _llama,
    "bloom": _bloom,
    "t5": _t5,
}

# Tokens of the input and of the answer, both drawn evenly between these ends.
LENGTHS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "mtop": ((20, 60), (10, 40)),
    "dart": ((30, 90), (15, 45)),
    "metamathqa": ((60, 200), (80, 160)),
}
REAL = "e2e"  # real rows of that task instead, in the tokens of a real model


def model(shape: str, *, seed: int = 0, **over: Any) -> Any:
    """A model of this shape with random weights in float32, frozen, in eval mode: the same for the same seed. Of a folder: its own."""
    if Path(shape).is_dir():
        return (
            transformers.AutoModelForCausalLM.from_pretrained(shape, dtype=torch.float32).eval().requires_grad_(False)
        )
    torch.manual_seed(seed)
    config = SHAPES[shape](**over)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = kind.from_config(config).eval()
    return model.requires_grad_(False)


def tokenizer() -> Any:
    """A byte-level BPE of 320 words with pad, bos and eos."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    text = random.Random("bench tokenizer")
    lines = [
        " ".join("".join(text.choices("etaoinshrdlu", k=text.randint(2, 8))) for _ in range(12)) for _ in range(200)
    ]
    core.train_from_iterator(lines, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def backbone(shape: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **over: Any) -> Backbone:
    """The same model as foreword holds it."""
    return held(shape, model(shape, seed=seed, **over).to(dtype))


def held(shape: str, model: Any) -> Backbone:
    """A model of this shape as foreword holds it: it is foreword's from now on."""
    keep_freed()  # as the command line does
    if Path(shape).is_dir():
        return wrap(Path(shape).name, model, transformers.AutoTokenizer.from_pretrained(shape))
    return wrap(f"random-{shape}", model, tokenizer())


@functools.cache
def _task() -> Any:
    return load_task(REAL)


def real_rows(
    backbone: Backbone, count: int, *, seed: int = 0, shots: int = 0, prefix: tuple[int, ...] = ()
) -> list[Row]:
    """Rows of E2E's training split, drawn by seed, in the tokens of a real model; its files lie in FOREWORD_DATA."""
    task, rng = _task(), random.Random(f"{seed}/real")
    template, rows = task.template, []
    for _ in range(count):
        *shown, example = rng.sample(task.train, shots + 1)
        text = "".join(template.ask(each) + template.reply(each.targets[0]) + template.separator for each in shown)
        own = backbone.tokenizer.ids(text + template.ask(example), first=not prefix)
        rows.append(Row(prefix, own, backbone.answer_ids(template.reply(example.targets[0]))))
    return rows


def ids(count: int, words: int, seed: object) -> tuple[int, ...]:
    """Token ids drawn evenly, never a special."""
    rng = random.Random(f"{seed}/ids")
    return tuple(rng.randrange(SPECIAL, words) for _ in range(count))


def rows(
    count: int, lengths: str, words: int, *, seed: int = 0, shots: int = 0, prefix: tuple[int, ...] = ()
) -> list[Row]:
    """Rows with lengths like a task's. words: size of the model's vocabulary. shots: demonstrations in each row's own part, each
    drawn like an input and an answer."""
    inputs, answers = LENGTHS[lengths]
    rows = []
    for index in range(count):
        rng = random.Random(f"{seed}/{lengths}/{index}")
        size = rng.randint(*inputs)
        answer_length = rng.randint(*answers)
        shown = sum(rng.randint(*inputs) + rng.randint(*answers) for _ in range(shots))
        own = ids(shown + size, words, f"{seed}/own/{index}")
        rows.append(Row(prefix, own, ids(answer_length, words, f"{seed}/answer/{index}")))
    return rows


def soft(backbone: Backbone, length: int, *, seed: int = 0) -> torch.Tensor:
    """A random soft prompt [P, H] at the scale of the backbone's input vectors."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((length, backbone.hidden), generator=generator).to(backbone.device) * backbone.scale
