"""Tiny random models of the families that the model library knows, made from its own config classes; it refuses a shape that is not
tiny."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models
from transformers.models.auto import configuration_auto

WORDS = 320  # ids of the vocabulary
LARGEST = 2_500_000  # numbers of a tiny model, at most

# What a config is given where it has a setting of this name.
SMALL: dict[str, Any] = {
    "vocab_size": WORDS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "initializer_range": 0.2,
    "init_std": 0.2,
    # width
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embedding_size", "attention_hidden_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("head_dim", "kv_lora_rank", "q_lora_rank", "v_head_dim", "state_size"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim"), 4),
    # depth, heads, experts
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 3),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    "num_key_value_heads": 2,
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "num_experts_per_tok": 2,
    # reach
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 160),
    "sliding_window": 20,
}

_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
_DELTA = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
_GEMMA = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
_T5 = {"d_kv": 8, "tie_word_embeddings": False, "initializer_factor": 1.5, "decoder_start_token_id": 0}

# model_type: what its config is given besides; None for a setting that it is not given.
CAUSAL: dict[str, dict[str, Any]] = {
    "afmoe": {},
    "apertus": {},
    "arcee": {},
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "biogpt": {},
    "bitnet": {},
    "bloom": {},
    "codegen": {"rotary_dim": 4},
    "cohere": {},
    "cohere2": {},
    "ctrl": {"dff": 48},
    "deepseek_v2": {"num_key_value_heads": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    "deepseek_v3": {"num_key_value_heads": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    "diffllama": {},
    "doge": {},
    "ernie4_5": {},
    "ernie4_5_moe": {},
    "exaone4": {},
    "falcon": {"head_dim": None},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64, "mamba_rms_norm": True},
    "falcon_mamba": {"initializer_range": 0.6},
    "flex_olmo": {},
    "gemma": {},
    "gemma2": {"query_pre_attn_scalar": 8},
    "gemma3_text": {**_GEMMA, "query_pre_attn_scalar": 8},
    "gemma4_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_hidden_layers": 4,
        "hidden_size_per_layer_input": 0,
        "global_head_dim": 8,
    },
    "glm": {},
    "glm4": {},
    "glm4_moe": {"first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 20},
    "gpt_neox": {},
    "gpt_neox_japanese": {},
    "gpt_oss": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "gptj": {"rotary_dim": 4},
    "granite": {"embedding_multiplier": 2.0, "logits_scaling": 2.0, "residual_multiplier": 0.5},
    "granitemoe": {},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention", "mamba"], "shared_intermediate_size": 16},
    "granitemoeshared": {"shared_intermediate_size": 16},
    "helium": {},
    "hunyuan_v1_dense": {},
    "jamba": {
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "jetmoe": {"kv_channels": 8},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "llama": {},
    "llama4_text": {"intermediate_size_mlp": 48, "attention_chunk_size": 20},
    "mamba": {"initializer_range": 0.6},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 16, "initializer_range": 0.6},
    "minicpm3": {"num_key_value_heads": 4},
    "minimax": {"layer_types": ["linear_attention", "full_attention", "linear_attention"], "block_size": 16},
    "ministral": {},
    "mistral": {},
    "mixtral": {},
    "modernbert-decoder": {"local_attention": 20},
    "mpt": {},
    "nanochat": {},
    "nemotron": {},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mlp", "mamba"],
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 16,
        "num_hidden_layers": None,
        "moe_shared_expert_intermediate_size": 16,
    },
    "olmo": {},
    "olmo2": {},
    "olmo3": {},
    "olmoe": {},
    "openai-gpt": {},
    "opt": {"word_embed_proj_dim": 24},
    "persimmon": {},
    "phi": {"num_key_value_heads": 4},
    "phi3": {},
    "phimoe": {},
    "qwen2": {},
    "qwen2_moe": {},
    "qwen3": {},
    "qwen3_5_text": _DELTA,
    "qwen3_moe": {},
    "qwen3_next": _DELTA,
    "recurrent_gemma": {
        "lru_width": 32,
        "attention_window_size": 20,
        "block_types": ["recurrent", "recurrent", "attention"],
    },
    "rwkv": {"attention_hidden_size": 32, "context_length": 160},
    "seed_oss": {},
    "smollm3": {},
    "stablelm": {},
    "starcoder2": {},
    "vaultgemma": {"query_pre_attn_scalar": 8},
    "xglm": {},
    "zamba": {
        **_MAMBA,
        "attention_hidden_size": None,
        "num_key_value_heads": 4,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "n_mamba_heads": 2,
        "num_hidden_layers": 6,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
    },
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "num_hidden_layers": 4,
        "n_mamba_heads": 8,
        "mamba_d_state": 8,
        "mamba_headdim": 8,
        "chunk_size": 16,
        "adapter_rank": 4,
    },
}
SEQ2SEQ: dict[str, dict[str, Any]] = {
    "bart": {"forced_eos_token_id": None},
    "blenderbot": {"forced_eos_token_id": None},
    "blenderbot-small": {"forced_eos_token_id": None},
    "led": {"attention_window": 8, "max_encoder_position_embeddings": 160, "max_decoder_position_embeddings": 160},
    "longt5": _T5,
    "m2m_100": {},
    "marian": {},
    "mbart": {"forced_eos_token_id": None},
    "mt5": _T5,
    "mvp": {"forced_eos_token_id": None},
    "nllb-moe": {},
    "pegasus": {"scale_embedding": True},
    "pegasus_x": {"scale_embedding": True},
    "plbart": {"forced_eos_token_id": None},
    "switch_transformers": {
        **_T5,
        "tie_word_embeddings": None,
        "num_sparse_encoder_layers": 1,
        "num_sparse_decoder_layers": 1,
    },
    "t5": _T5,
    "t5gemma": {},
    "umt5": _T5,
}
FAMILIES = {**CAUSAL, **SEQ2SEQ}


@functools.cache
def tokenizer() -> Any:
    """A tokenizer of as many ids: pad, bos, eos, and a letter each."""
    marks = {"<pad>": 0, "<s>": 1, "</s>": 2}
    letters = {chr(0x100 + at): at for at in range(3, WORDS - 2)} | {"a": WORDS - 2, "\n": WORDS - 1}
    core = Tokenizer(models.BPE(vocab=marks | letters, merges=[]))
    core.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def config(family: str) -> Any:
    """The config of a tiny model of this family."""
    kind = configuration_auto.CONFIG_MAPPING[family]
    settings = inspect.signature(kind.__init__).parameters
    arguments = {name: value for name, value in SMALL.items() if name in settings or hasattr(kind, name)}
    arguments |= FAMILIES[family]
    if family == "t5gemma":
        module = transformers.T5GemmaModuleConfig
        inner = {name: value for name, value in SMALL.items() if hasattr(module, name) and name != "initializer_range"}
        inner |= {
            "num_hidden_layers": 2,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
        }
        arguments |= {"encoder": module(**inner), "decoder": module(**inner, is_decoder=True)}
    return kind(**{name: value for name, value in arguments.items() if value is not None})


def model(family: str, seed: int = 0) -> Any:
    """A random model; its weights are large enough that positions and context matter. Raises ValueError where it is not tiny."""
    shape = config(family)
    kind = transformers.AutoModelForSeq2SeqLM if shape.is_encoder_decoder else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        size = sum(value.numel() for value in kind.from_config(shape).parameters())
    if size > LARGEST:
        raise ValueError(f"{family} has {size:,} numbers")
    torch.manual_seed(seed)
    drawn = kind.from_config(config(family)).eval()
    with torch.no_grad():  # what starts as nothing or as one (biases, norms, gates) must matter too
        for value in drawn.parameters():
            if value.dim() == 1 or value.std() == 0:
                value.add_(torch.randn(value.shape) * 0.1)
    return drawn
