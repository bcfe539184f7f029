"""Writes tiny GGUF files as llama.cpp's converter would: a model that is known, quantised or not; it refuses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

import tiny

TEMPLATE = "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write(
    path: Path,
    *,
    kind: str = "F32",
    architecture: str = "llama",
    eot: int | None = None,
    bos: bool = False,
    without: str = "",
    factors: bool = False,
) -> Any:
    """A GGUF file of the tiny Llama, its matrices of this kind (F32, F16, BF16, Q8_0, Q4_1); gives the model. bos: whether texts begin
    with it. without: a tensor to leave out. factors: add those of stretched positions."""
    model = tiny.model("llama")
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _words(writer, eot, bos)
    stored = gguf.GGMLQuantizationType[kind]
    for name, values in model.state_dict().items():
        numbers = values.float().numpy()
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            base = NAMES[rest.removesuffix(".weight")]
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(base)
            numbers = _interleaved(numbers, heads) if heads else numbers
            new = f"blk.{layer}.{base}.weight"
        else:
            new = OUTSIDE[name]
        if new == without:
            continue
        if numbers.ndim == 1:
            writer.add_tensor(new, numbers)
        else:
            fits = kind in ("F32", "F16", "BF16") or numbers.shape[1] % 32 == 0  # blocks hold 32 numbers
            written = stored if fits else gguf.GGMLQuantizationType.F16
            writer.add_tensor(new, gguf.quants.quantize(numbers, written), raw_dtype=written)
    if factors:
        writer.add_tensor("rope_freqs.weight", np.linspace(1, 8, 4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _words(writer: Any, eot: int | None, bos: bool) -> None:
    core = json.loads(tiny.tokenizer().backend_tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(core["vocab"].items(), key=lambda item: item[1])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if place < 3 else 1 for place in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in core["merges"]])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(bos)
    writer.add_chat_template(TEMPLATE)
    if eot is not None:
        writer.add_eot_token_id(eot)


def _interleaved(numbers: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The rows of q and k as llama.cpp turns them for its rotary embedding."""
    rows, width = numbers.shape
    return numbers.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)
