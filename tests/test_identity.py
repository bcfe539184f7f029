"""Fingerprints: what changes an answer changes them, the dtype of loading and shards do not; old prompts are refused, no sample taken."""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import entry
import tiny
from changed_models import CHANGES, SAME, UP, edit_json, measure, one_number, outcome, resharded, small, weights, write
from foreword.config.run import Run
from foreword.engine import Backbone, encoder_fingerprint, load_backbone, stored, wrap
from foreword.engine.identity import GENERATION
from foreword.engine.numbers import combined, digests, state
from foreword.engine.stored import weight_files
from foreword.models import reference
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.study.plan import plan
from foreword.util.errors import ForewordError
from foreword.util.files import cache_folder

# -- one change at a time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_an_answer_changes_the_fingerprint(change: str) -> None:
    kind = CHANGES[change][0]
    (before, old_fingerprint), (after, new_fingerprint) = measure(kind), measure(kind, change)
    assert after != before, "a change that changes nothing shows nothing"
    assert new_fingerprint != old_fingerprint


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_answer_does_not(change: str) -> None:
    kind = SAME[change][0]
    assert measure(kind, change) == measure(kind)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("change", ["", "tables below bfloat16's resolution", "shards of the weight files"])
def test_the_dtype_of_loading_does_not_change_it(change: str, dtype: str) -> None:
    assert measure("llama", change, dtype)[1] == measure("llama", change)[1]
    assert measure("llama", change, dtype)[0] != measure("llama", change)[0]
    assert measure("llama", "tables below bfloat16's resolution", dtype)[1] != measure("llama", "", dtype)[1]


def test_the_reference_models_in_bfloat16_files_are_the_same_in_every_dtype() -> None:
    prints = {load_backbone("reference-small", dtype=dtype).fingerprint for dtype in ("float32", "bfloat16", "float16")}
    assert len(prints) == 1


@pytest.mark.parametrize("family", (*tiny.CAUSAL, "mamba", *tiny.SEQ2SEQ))
def test_a_model_in_memory_is_the_one_that_its_folder_gives_back(family: str, tmp_path: Path) -> None:
    backbone = tiny.backbone(family)
    backbone.model.save_pretrained(tmp_path, max_shard_size="40KB")
    tiny.tokenizer().save_pretrained(tmp_path)
    for dtype in ("float32", "bfloat16"):
        again = load_backbone(str(tmp_path), dtype=dtype)
        tokenizer = again.tokenizer.hf  # some families have a tokenizer class of their own, with other rules
        assert wrap("x", backbone.model, tokenizer).fingerprint == again.fingerprint, dtype


def test_a_call_that_pads_or_cuts_does_not_change_the_tokenizer() -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    before = wrap("x", copy.deepcopy(tiny.model("gpt2")), tokenizer).fingerprint
    tokenizer(["ba", "ba lo ri tem"], padding=True, truncation=True, max_length=3)
    assert wrap("x", copy.deepcopy(tiny.model("gpt2")), tokenizer).fingerprint == before


def test_all_that_foreword_reads_of_a_generation_config_counts() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(stored.__file__).parent.glob("*.py")]
    read = {name for text in texts for name in re.findall(r"generation_config(?:, \"|\.)(\w+)", text)}
    assert read - {"json"} <= set(GENERATION)


def test_what_is_committed_names_the_models_by_todays_fingerprints() -> None:
    page = (Path(__file__).parents[1] / "docs" / "findings.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(reference[-\w]*) \((v\w:\w+)\)", page))
    assert len(named) == 5
    for name, start in named:
        assert load_backbone(name.replace("-medium", "")).fingerprint.startswith(start), name
    adapted = Path(reference.folder("t5-adapted"))
    base = load_backbone("reference-t5").fingerprint
    assert json.loads((adapted / "recipe.json").read_text(encoding="utf-8"))["base"] == base
    assert f"fingerprint `{base[:19]}`" in (adapted / "README.md").read_text(encoding="utf-8")


# -- code that a model brings ---------------------------------------------------------------------------------------------

OWN = """
import transformers
from .ops import scaled
class OwnConfig(transformers.LlamaConfig):
    model_type = "own"
class OwnModel(transformers.LlamaForCausalLM):
    config_class = OwnConfig
    def forward(self, *args, **options):
        out = super().forward(*args, **options)
        out.logits = scaled(out.logits)
        return out
class OwnTokenizer(transformers.PreTrainedTokenizerFast):
    pass
"""


def own_code(folder: Path, by: float) -> Backbone:
    """A model and a tokenizer whose code imports from a file beside it, in which a number stands."""
    write(folder, "llama")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    (folder / "ops.py").write_text(f"def scaled(x):\n    return x * {by}\n", encoding="utf-8")
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    edit_json("config.json", lambda c: c.update(auto_map=own, model_type="own"))(folder)
    own = {"AutoTokenizer": [None, "own.OwnTokenizer"]}
    edit_json("tokenizer_config.json", lambda c: c.update(auto_map=own, tokenizer_class="OwnTokenizer"))(folder)
    return load_backbone(str(folder), trust_remote_code=True)


def test_what_a_models_own_code_imports_from_beside_it_counts(tmp_path: Path) -> None:
    first, same, other = (own_code(tmp_path / name, by) for name, by in (("one", 1.0), ("same", 1.0), ("other", 2.0)))
    assert first.model.config.model_type == "own" and type(first.tokenizer.hf).__name__ == "OwnTokenizer"
    assert first.fingerprint == same.fingerprint
    parts = zip(first.fingerprint.split("."), other.fingerprint.split("."), strict=True)
    assert [a != b for a, b in parts] == [False, True, True], "weights, config with code, tokenizer"
    prints = [encoder_fingerprint(backbone.model) for backbone in (first, same, other)]
    assert prints[0] == prints[1] != prints[2]


# -- weights that are no parameters ---------------------------------------------------------------------------------------


class Packed(torch.nn.Module):
    """A linear layer as GPTQ and AWQ keep it: integers and scales in buffers."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        scales = linear.weight.detach().abs().amax(dim=1) / 127
        self.register_buffer("qweight", (linear.weight.detach() / scales[:, None]).round().to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden @ (self.qweight.float() * self.scales[:, None]).T


def test_weights_held_in_buffers_count() -> None:
    prints, answers = [], []
    for change in (None, "qweight", "scales"):
        model = copy.deepcopy(tiny.model("llama"))
        part = model.model.layers[1].mlp
        part.down_proj = Packed(part.down_proj)
        if change:
            getattr(part.down_proj, change)[-1] += 1
        backbone = wrap("x", model, tiny.tokenizer())
        prints.append(backbone.fingerprint)
        answers.append(outcome(backbone))
    assert len(set(prints)) == len(set(answers)) == 3


def test_the_inner_tensors_of_a_quantised_weight_count() -> None:
    quantisation = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    prints = []
    for change in (0.0, 0.0, 0.5):
        model = copy.deepcopy(tiny.model("llama"))
        with torch.no_grad():
            model.model.layers[0].mlp.up_proj.weight[3, 7] += change
        quantisation.quantize_(model, quantisation.Int8WeightOnlyConfig())
        prints.append(combined(digests(state(model))))
    assert prints[0] == prints[1] != prints[2]


def test_plain_values_among_the_weights_count_and_others_are_refused() -> None:
    first = digests({"x": {"bits": 4, "zero": torch.ones(2), "shape": [1, 2]}})
    assert first == digests({"x": {"shape": [1, 2], "zero": torch.ones(2), "bits": 4}})
    assert first != digests({"x": {"bits": 8, "zero": torch.ones(2), "shape": [1, 2]}})
    with pytest.raises(ForewordError, match="keeps a value of type object among its weights"):
        digests({"x": object()})
    with pytest.raises(ForewordError, match="weights are not in memory"):
        digests({"x": torch.ones(2, device="meta")})


# -- files and the cache --------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of this test's own, used for files of any size and age."""
    monkeypatch.setenv("FOREWORD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stored, "WORTH_KEEPING", 0)
    monkeypatch.setattr(stored, "SETTLED", 0)
    return tmp_path / "cache"


def listing(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_digest_is_kept_in_the_cache_and_never_beside_the_model(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model", "llama")
    before = listing(folder)
    first = load_backbone(str(folder), dtype="bfloat16").fingerprint
    (entry,) = cache.rglob("*.json")
    assert listing(folder) == before
    monkeypatch.setattr(stored.Stored, "_digests", None)  # nothing is read again
    assert load_backbone(str(folder), dtype="float32").fingerprint == first
    monkeypatch.undo()
    monkeypatch.setenv("FOREWORD_CACHE", str(cache))
    monkeypatch.setattr(stored, "WORTH_KEEPING", 0)
    entry.write_text("{", encoding="utf-8")
    assert load_backbone(str(folder), dtype="float32").fingerprint == first, "a damaged entry is made anew"


def test_a_kept_digest_is_of_these_very_files(cache: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    first = load_backbone(str(folder)).fingerprint
    stat = (folder / "model.safetensors").stat()
    weights(UP, one_number)(folder)
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (folder / "model.safetensors").stat().st_size == stat.st_size
    assert load_backbone(str(folder)).fingerprint != first, "the same path, size and mtime"


def test_a_model_that_was_written_to_is_read_in_memory(cache: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    first = load_backbone(str(folder)).fingerprint
    other = load_backbone(str(folder))
    with torch.no_grad():
        other.model.model.norm.weight[3] += 1
    assert other.fingerprint != first


def test_files_that_change_after_loading_are_refused_where_they_are_needed(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    backbone = load_backbone(str(folder), dtype="bfloat16")
    weights(UP, one_number)(folder)
    with pytest.raises(ForewordError, match="weight files were changed after it was loaded; load it again"):
        _ = backbone.fingerprint


def test_small_and_young_files_leave_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOREWORD_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    assert load_backbone(str(write(tmp_path / "model", "llama"))).fingerprint
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_changes_nothing(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where the folder would be", encoding="utf-8")
    folder = write(tmp_path / "model", "llama")
    assert load_backbone(str(folder)).fingerprint == measure("llama")[1]


def test_names_of_files_that_are_not_the_models_are_looked_up_by_loading_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.removeprefix("model."): value for name, value in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_backbone(str(folder), dtype="bfloat16").fingerprint == measure("llama")[1]
    loaded = load_backbone(str(folder), dtype="bfloat16")
    assert loaded.stored is not None
    assert combined(digests(state(loaded.stored.anew()))) == combined(digests(state(small("llama"))))


def test_shards_are_named_by_their_index(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    assert weight_files(str(folder), None) == (folder / "model.safetensors",)
    resharded(folder)
    assert set(weight_files(str(folder), None)) == set(folder.glob("*.safetensors"))


def test_files_of_a_hub_model_are_those_of_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers.utils.hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit, home = "a" * 40, tmp_path / "models--me--tiny"
    snapshot = write(home / "snapshots" / commit, "llama")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit, encoding="utf-8")
    assert weight_files("me/tiny", None) == (snapshot / "model.safetensors",)
    assert weight_files("me/tiny", commit) == (snapshot / "model.safetensors",)
    assert weight_files("me/other", None) == ()


def test_a_model_of_540_mb_takes_seconds() -> None:
    values = {str(place): torch.ones(1 << 22) for place in range(32)}
    began = time.perf_counter()
    digests(values)
    assert time.perf_counter() - began < 10, "half a second on two idle cores"


# -- prompts of other backbones -------------------------------------------------------------------------------------------


def prompt(fingerprint: str) -> SoftPrompt:
    return SoftPrompt(torch.ones(2, 8), Provenance(backbone="mine", fingerprint=fingerprint))


@pytest.mark.parametrize(
    ("fingerprint", "what"),
    [("v3:a.c.t", "weights"), ("v3:w.a.t", "configuration"), ("v3:w.c.a", "tokenizer"), ("v3:a.c.a", "weights, tokenizer")],
)  # fmt: skip
def test_a_refused_prompt_hears_what_differs(fingerprint: str, what: str) -> None:
    with pytest.raises(
        ForewordError, match=rf"was tuned on mine, and y is another model \(what differs: {what}\); use"
    ):
        prompt(fingerprint).fits(name="y", fingerprint="v3:w.c.t", hidden=8)


@pytest.mark.parametrize("old", ["a" * 64, "v2:a.b.c", "v4:w.c.t"])
def test_a_prompt_with_a_fingerprint_of_another_kind_is_refused_as_such(old: str) -> None:
    with pytest.raises(ForewordError, match=r"made by another version of foreword.*tune it again, or") as refusal:
        prompt(old).fits(name="y", fingerprint="v3:w.c.t", hidden=8)
    assert '"fingerprint": ""' in str(refusal.value) and str(refusal.value).count(". ") == 0
    prompt("").fits(name="y", fingerprint="v3:w.c.t", hidden=8)


# -- the encoder of dense retrieval ---------------------------------------------------------------------------------------


def sentence_model(folder: Path) -> Any:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    parts = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=tiny.WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(shape).save_pretrained(folder / "bert")
    tiny.tokenizer().save_pretrained(folder / "bert")
    words = parts.Transformer(str(folder / "bert"), max_seq_length=64)
    return library.SentenceTransformer(modules=[words, parts.Pooling(16)], device="cpu")


def test_a_sentence_encoder_is_known_by_its_contents(tmp_path: Path) -> None:
    encoder = sentence_model(tmp_path)
    first = encoder_fingerprint(encoder)
    encoder.save(str(tmp_path / "here"))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    library = importlib.import_module("sentence_transformers")
    read = [library.SentenceTransformer(str(tmp_path / name), device="cpu") for name in ("here", "there")]
    assert encoder_fingerprint(read[0]) == encoder_fingerprint(read[1]), "a copy in another folder is the same"
    prints = {first}
    with torch.no_grad():
        next(encoder.parameters())[5] += 1
    prints.add(encoder_fingerprint(encoder))
    encoder.max_seq_length = 8
    prints.add(encoder_fingerprint(encoder))
    encoder.prompts, encoder.default_prompt_name = {"q": "Input: "}, "q"
    prints.add(encoder_fingerprint(encoder))
    assert len(prints) == 4


def test_two_copies_of_an_encoder_are_one_and_another_in_its_place_is_not(tmp_path: Path) -> None:
    encoder = sentence_model(tmp_path)
    data = str(entry.save_rows(tmp_path / "own.jsonl", entry.rows(20)))
    for name in ("one", "two"):
        encoder.save(str(tmp_path / name))

    def key(name: str) -> str:
        run = Run(
            model="tiny", data=data, methods=["icl:dense"], encoder=str(tmp_path / name), out=str(tmp_path / "out")
        )
        return plan(run, backbone=tiny.backbone("gpt2")).trials[0].key

    before = key("one")
    assert key("two") == before
    with torch.no_grad():
        next(encoder.parameters())[5] += 1
    encoder.save(str(tmp_path / "one"))
    assert key("one") != before


if __name__ == "__main__":  # the table, for the log
    for change, (kind, _) in (CHANGES | SAME).items():
        (before, old_fingerprint), (after, new_fingerprint) = measure(kind), measure(kind, change)
        apart = max((abs(a - b) for a, b in zip(before.logits, after.logits, strict=True)), default=0.0)
        says = "text" if before.text != after.text else "logits" if apart else "nothing"
        print(f"| {change} | {says} | {apart:.2g} | {'yes' if old_fingerprint != new_fingerprint else 'no'} |")
