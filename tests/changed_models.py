"""Models with a change of one thing in each, what they answer, and their fingerprints; it refuses to change two."""

from __future__ import annotations

import copy
import functools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

import tiny
from foreword.engine import Backbone, Row, load_backbone

TEXT = "Input: Balori Temna sho 12ku der\nOutput:"


def small(kind: str) -> Any:
    """llama: one layer whose feed-forward tables have over a million numbers each. bart: a model with a persistent buffer."""
    torch.manual_seed(0)
    if kind == "bart":
        return copy.deepcopy(tiny.model("bart"))
    config = transformers.LlamaConfig(
        vocab_size=tiny.WORDS, hidden_size=128, intermediate_size=8200, num_hidden_layers=1, num_attention_heads=4, head_dim=32,
        max_position_embeddings=160, initializer_range=0.2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(0.05)
    return model


def write(folder: Path, kind: str) -> Path:
    """The folder of an unchanged model."""
    small(kind).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def edit_json(name: str, edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A change of a JSON file of a model's folder."""

    def change(folder: Path) -> None:
        contents = json.loads((folder / name).read_text(encoding="utf-8"))
        edit(contents)
        (folder / name).write_text(json.dumps(contents), encoding="utf-8")

    return change


config, generation, tokenizer = (
    functools.partial(edit_json, name) for name in ("config.json", "generation_config.json", "tokenizer.json")
)


def weights(name: str, edit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """A change of one table of weights."""

    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors[name] = edit(tensors[name].clone()).contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def bumped(place: tuple[int, ...], by: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Something added at one place of a table."""

    def edit(values: torch.Tensor) -> torch.Tensor:
        values[place] += by
        return values

    return edit


def one_number(values: torch.Tensor) -> torch.Tensor:
    """The table with another number at one place."""
    values[4711 % len(values), 5] *= -3
    return values


def resharded(folder: Path) -> None:
    """The same weights in several files."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="3MB")
    assert len(list(folder.glob("*.safetensors"))) > 2


def tied(folder: Path) -> None:
    """The output reads the input's table."""
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config(lambda c: c.update(tie_word_embeddings=True))(folder)


def known_as_one(rules: dict[str, Any]) -> None:
    """Two letters of TEXT become a token of their own."""
    word, number = next((word, i) for word, i in rules["model"]["vocab"].items() if len(word) == 2 and word in TEXT)
    rules["added_tokens"].append(
        {"id": number, "content": word, "single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True}
    )  # fmt: skip


def one_merge_less(rules: dict[str, Any]) -> None:
    """A merge that TEXT needs is left out."""
    ids = tiny.tokenizer()(TEXT).input_ids
    used = next(tiny.tokenizer().convert_ids_to_tokens([i])[0] for i in ids if i > 262)
    rules["model"]["merges"] = [pair for pair in rules["model"]["merges"] if "".join(pair) != used]


DOWN = "model.layers.0.mlp.down_proj.weight"
UP = "model.layers.0.mlp.up_proj.weight"
# What is changed, the model it is changed in, how; each changes what the model answers to TEXT.
CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "rope_theta": ("llama", config(lambda c: c["rope_parameters"].update(rope_theta=500.0))),
    "number of heads": ("llama", config(lambda c: c.update(num_attention_heads=8, num_key_value_heads=8, head_dim=16))),
    "activation": ("llama", config(lambda c: c.update(hidden_act="gelu"))),
    "epsilon of the norms": ("llama", config(lambda c: c.update(rms_norm_eps=1e-2))),
    "tied tables": ("llama", tied),
    "end ids of the config": ("llama", config(lambda c: c.update(eos_token_id=[2, *range(3, 300)]))),
    "end ids of the generation config": ("llama", generation(lambda c: c.update(eos_token_id=[2, *range(3, 300)]))),
    "first forced id": ("bart", generation(lambda c: c.update(forced_bos_token_id=77))),
    "decoder's start": ("bart", config(lambda c: c.update(decoder_start_token_id=9))),
    "persistent buffer": ("bart", weights("final_logits_bias", bumped((0, 5), 3.0))),
    "one number of a table of a million": ("llama", weights(UP, one_number)),
    "columns of a table of a million shifted": ("llama", weights(UP, lambda values: values.roll(1, dims=1))),
    "one row of the input vectors": ("llama", weights("model.embed_tokens.weight", bumped((43,), 0.5))),
    "a norm below bfloat16's resolution": ("llama", weights("model.norm.weight", lambda values: values + 2**-12)),
    "tables below bfloat16's resolution": ("llama", weights(DOWN, lambda values: values * (1 + 2**-20))),
    "tokenizer: normaliser": ("llama", tokenizer(lambda r: r.update(normalizer={"type": "Lowercase"}))),
    "tokenizer: pre-tokenizer": ("llama", tokenizer(lambda r: r["pre_tokenizer"].update(add_prefix_space=True))),
    "tokenizer: merge rule": ("llama", tokenizer(one_merge_less)),
    "tokenizer: decoder": ("llama", tokenizer(lambda r: r.update(decoder={"type": "Fuse"}))),
    "tokenizer: added token": ("llama", tokenizer(known_as_one)),
    "tokenizer: post-processor": (
        "llama",
        tokenizer(
            lambda r: r.update(
                post_processor={
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
                }
            )
        ),
    ),
}
# What changes no number.
SAME: dict[str, tuple[str, Callable[[Path], None]]] = {
    "shards of the weight files": ("llama", resharded),
    "library's version, stated dtype": ("llama", config(lambda c: c.update(transformers_version="5.0.0", dtype="float16"))),
    "chat template": ("llama", edit_json("tokenizer_config.json", lambda c: c.update(chat_template="{{ messages }}"))),
    "sampling settings": ("llama", generation(lambda c: c.update(do_sample=True, temperature=0.7))),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Everything a backbone says to TEXT: its tokens, log-probabilities of an answer, greedy tokens and their text."""

    ids: tuple[int, ...]
    score: float
    logits: tuple[float, ...]
    generated: tuple[int, ...]
    text: str


def outcome(backbone: Backbone) -> Outcome:
    """What a backbone says to TEXT."""
    ids = backbone.tokenizer.start + backbone.tokenizer.ids(TEXT, first=True)
    row = Row((), backbone.tokenizer.ids(TEXT, first=True), (40, 41))
    generated = tuple(backbone.generate(None, [row], 5)[0])
    logits = backbone.engine.answer_logits(None, [row])[0][0].detach()  # type: ignore[attr-defined]
    score = backbone.score(None, [row])[0]
    return Outcome(ids, score, tuple(logits.tolist()), generated, backbone.tokenizer.text(generated + ids))


@functools.cache
def measure(kind: str, change: str = "", dtype: str = "float32") -> tuple[Outcome, str]:
    """What a changed model answers, and its fingerprint."""
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name), kind)
        if change:
            (CHANGES | SAME)[change][1](folder)
        backbone = load_backbone(name, dtype=dtype, device="cpu")
        return outcome(backbone), backbone.fingerprint
