"""A model's generation config: what of it would change a greedy answer is named in one note, and everything in it is known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import entry
import tiny
from foreword.engine import Row, wrap
from foreword.engine.identity import GENERATION
from foreword.engine.unused import CHANGING, FORCED, unused_settings

# Entries that change no greedy answer: limits and ends that foreword sets or reads itself, sampling, speed, what a call gives back, and
# what only counts beside beams.
HARMLESS = """
    assistant_confidence_threshold assistant_early_exit assistant_ensemble_weight assistant_lookbehind cache_config
    cache_implementation compile_config continuous_batching_config disable_compile diversity_penalty do_sample early_stopping
    epsilon_cutoff eta_cutoff is_assistant length_penalty low_memory max_cache_len max_length max_matching_ngram_size max_new_tokens
    max_time min_p num_assistant_tokens num_assistant_tokens_schedule num_beam_groups num_return_sequences output_attentions
    output_hidden_states output_logits output_scores pad_token_id prefill_chunk_size prompt_lookup_num_tokens remove_invalid_values
    renormalize_logits return_dict_in_generate speculation_type target_lookbehind temperature top_h top_k top_p transformers_version
    typical_p use_cache use_mtp
"""


def test_every_entry_of_a_generation_config_is_known() -> None:
    entries = {name for name in vars(transformers.GenerationConfig()) if not name.startswith("_")}
    assert entries <= set(HARMLESS.split()) | set(CHANGING) | set(GENERATION) | {FORCED}
    assert not set(CHANGING) & set(HARMLESS.split())


def model_with(**settings: Any) -> Any:
    model = copy.deepcopy(tiny.model("llama"))
    for name, value in settings.items():
        setattr(model.generation_config, name, value)
    return model


def library_answer(model: Any, row: Row) -> list[int]:
    ids = torch.tensor([row.own])
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
    return out[0, len(row.own) :].tolist()  # type: ignore[no-any-return]


ROW = Row((), tiny.ids(9, "generation config"))
FIRST = 6  # tokens of the greedy answer


def greedy() -> list[int]:
    return tiny.backbone("llama").generate(None, [ROW], FIRST)[0]


def changes() -> dict[str, Any]:
    answer = greedy()
    return {
        "repetition_penalty": 9.0,
        "no_repeat_ngram_size": 1,
        "bad_words_ids": [[answer[0]]],
        "suppress_tokens": [answer[0]],
        "begin_suppress_tokens": [answer[0]],
        "sequence_bias": [[[answer[0]], -1e4]],
    }


@pytest.mark.parametrize("name", changes())
def test_what_would_change_an_answer_is_named(name: str) -> None:
    value, answer = changes()[name], greedy()
    assert library_answer(model_with(), ROW) == answer
    assert library_answer(model_with(**{name: value}), ROW) != answer
    with wrap("asking", model_with(**{name: value}), tiny.tokenizer()) as backbone:
        assert backbone.generate(None, [ROW], FIRST)[0] == answer, "the default answer stays the likeliest tokens"
        (note,) = [note for note in backbone.notes if "generation config" in note]
        assert f"{name} {value}"[:40] in note and "not used" in note


def test_several_are_named_in_one_note_and_none_in_none() -> None:
    model = model_with(no_repeat_ngram_size=3, num_beams=4, min_length=56, forced_bos_token_id=5, stop_strings=["x"])
    (note,) = unused_settings(model)
    assert "forced_bos_token_id 5, min_length 56, no_repeat_ngram_size 3, num_beams 4, stop_strings ['x']" in note
    neutral = {"repetition_penalty": 1.0, "num_beams": 1, "suppress_tokens": [], "do_sample": True, "temperature": 0.6}
    assert unused_settings(model_with(**neutral, no_repeat_ngram_size=0, min_length=0)) == ()
    bart = copy.deepcopy(tiny.model("bart"))
    bart.generation_config.forced_bos_token_id = 7
    assert unused_settings(bart) == (), "an encoder-decoder's answers do begin with it"


def test_the_note_is_printed_and_recorded(tmp_path: Path) -> None:
    model = entry.save_model(tmp_path / "model")
    path = model / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 1.3}), encoding="utf-8")
    data = entry.save_rows(tmp_path / "in.jsonl", entry.rows(3))
    flags = ("--model", model, "--method", "zero", "--max-new-tokens", 6)
    assert entry.foreword("generate", *flags, "--data", data).err.count("repetition_penalty 1.3") == 1
    result = entry.foreword("evaluate", *flags, "--test", data, "--out", tmp_path / "out", "--json")
    notes = json.loads(Path(result.json["record"]).read_text(encoding="utf-8"))["notes"]
    for reported in (notes, result.json["notes"]):
        assert len([note for note in reported if "repetition_penalty 1.3" in note]) == 1
