"""Tiny random models of every family the engine must be exact for, and a tokenizer; it refuses to need a file or a network."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from foreword.engine import Backbone, Row, wrap

WORDS = 320
CAUSAL = (
    "gpt2",
    "opt",
    "bloom",
    "llama",
    "qwen2",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "mistral",
    "gpt_neox",
    "gpt_neo",
    "falcon",
    "phi",
)
SEQ2SEQ = ("t5", "bart")


@functools.cache
def tokenizer(bos: bool = False) -> Any:
    """A byte-level BPE of 320 entries with pad, bos and eos; bos stands before every text where asked."""
    rng = random.Random("tokenizer")
    syllables = ["ba", "lo", "ri", "tem", "na", "sho", "ku", "der", "fin", "ost"]
    texts = [" ".join("".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(12)) for _ in range(200)]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([*texts, "Input: Output: \n\n"], trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def _config(family: str) -> Any:
    base = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    llama = base | {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 160,
        "initializer_range": 0.2,
    }
    heads = {"head_dim": 8}
    t = transformers
    configs = {
        "gpt2": lambda: t.GPT2Config(**base, n_embd=32, n_layer=3, n_head=4, n_positions=160, initializer_range=0.2),
        "opt": lambda: t.OPTConfig(
            **base,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=160,
            init_std=0.2,
            word_embed_proj_dim=24,
        ),
        "bloom": lambda: t.BloomConfig(**base, hidden_size=32, n_layer=3, n_head=4, initializer_range=0.2),
        "llama": lambda: t.LlamaConfig(**llama),
        "qwen2": lambda: t.Qwen2Config(**llama),
        "gemma": lambda: t.GemmaConfig(**llama, **heads),
        "gemma2": lambda: t.Gemma2Config(**llama, **heads, sliding_window=20, query_pre_attn_scalar=8),
        "gemma3": lambda: t.Gemma3TextConfig(
            **llama,
            **heads,
            sliding_window=20,
            query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        "gemma3n": lambda: t.Gemma3nTextConfig(
            **(llama | {"num_hidden_layers": 4, "intermediate_size": [48] * 4}),
            **heads,
            vocab_size_per_layer_input=WORDS,
            hidden_size_per_layer_input=8,
            laurel_rank=4,
            num_kv_shared_layers=2,
            sliding_window=20,
            altup_num_inputs=2,
            activation_sparsity_pattern=[0.0] * 4,
            layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        ),
        "mistral": lambda: t.MistralConfig(**llama, sliding_window=20),
        "gpt_neox": lambda: t.GPTNeoXConfig(
            **base,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=160,
            initializer_range=0.2,
        ),
        "gpt_neo": lambda: t.GPTNeoConfig(
            **base,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            attention_types=[[["global", "local"], 1]],
            window_size=20,
            max_position_embeddings=160,
            initializer_range=0.2,
        ),
        "falcon": lambda: t.FalconConfig(
            **base, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, initializer_range=0.2
        ),
        "phi": lambda: t.PhiConfig(**(llama | {"num_key_value_heads": 4})),
        "mamba": lambda: t.MambaConfig(
            **base, hidden_size=32, state_size=8, num_hidden_layers=2, initializer_range=0.6
        ),
        "t5": lambda: t.T5Config(
            vocab_size=WORDS,
            d_model=32,
            d_kv=8,
            d_ff=48,
            num_layers=2,
            num_heads=4,
            pad_token_id=0,
            eos_token_id=2,
            decoder_start_token_id=0,
            initializer_factor=1.5,
            tie_word_embeddings=False,
            feed_forward_proj="gated-gelu",
        ),
        "bart": lambda: t.BartConfig(
            **base,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=160,
            decoder_start_token_id=2,
            init_std=0.2,
            forced_eos_token_id=None,
        ),
    }
    return configs[family]()


@functools.cache
def model(family: str, seed: int = 0) -> Any:
    """A random model; its weights are large enough that positions and context matter."""
    torch.manual_seed(seed)
    config = _config(family)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    random_model = kind.from_config(config).eval()
    with torch.no_grad():  # what starts as nothing or as one (biases, norms, gates) must matter too
        for value in random_model.parameters():
            if value.std() == 0 or value.dim() == 1:
                value.add_(torch.randn(value.shape) * 0.1)
    return random_model


@functools.cache
def backbone(family: str, seed: int = 0, bos: bool = False) -> Backbone:
    """The same, wrapped."""
    return wrap(f"tiny-{family}-{seed}", model(family, seed), tokenizer(bos))


def ids(count: int, seed: object) -> tuple[int, ...]:
    """Random ids that are text, never a special."""
    rng = random.Random(f"{seed}/ids")
    return tuple(rng.randrange(3, WORDS) for _ in range(count))


def rows(count: int, *, seed: object = 0, prefix: Sequence[int] = (), longest: int = 24, answer: int = 5) -> list[Row]:
    """Rows whose questions have 1 to `longest` tokens and whose answers have 1 to `answer`, all behind one prefix."""
    random_rows = []
    for index in range(count):
        rng = random.Random(f"{seed}/rows/{index}")
        own = ids(rng.randint(1, longest), f"{seed}/own/{index}")
        label_ids = ids(rng.randint(1, answer), f"{seed}/answer/{index}") if answer else ()
        random_rows.append(Row(tuple(prefix), own, label_ids))
    return random_rows


def soft(backbone: Backbone, length: int, seed: int = 0) -> torch.Tensor | None:
    """A random soft prompt [P, H] at the scale of the backbone's input vectors; None for no positions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((length, backbone.hidden), generator=generator) * backbone.scale if length else None
