"""The Python interface gives what the command line gives, on files and on data in memory, and refuses in the same sentences."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chats
import entry
import foreword
from foreword.api.data import path_of, rows_of
from foreword.api.settings import run_of
from foreword.cli import options
from foreword.cli.options import settings_options
from foreword.config.run import load
from foreword.util.files import read_json

QUICK = {"methods": "zero,icl,pt", "seeds": [0], "max_steps": 2, "prompt_length": 3, "max_new_tokens": 4}
ROWS = entry.rows(40, choices=("red", "green"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def loaded(model: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)


@pytest.fixture(scope="module")
def comparison(model: Path, tmp_path_factory: pytest.TempPathFactory) -> foreword.Comparison:
    return foreword.compare(model, ROWS, out=tmp_path_factory.mktemp("runs") / "mine", **QUICK)


def test_the_command_line_finds_the_same_trials_finished(comparison: foreword.Comparison, model: Path) -> None:
    """The keys are made of contents, so what was computed from a list is there for the command on the file that was written of it."""
    out = comparison.report.parent
    result = entry.foreword(
        "compare", "--model", model, "--data", out / "data" / "examples.jsonl", "--out", out, "--methods", "zero,icl,pt",
        "--seeds", "0", "--max-steps", "2", "--prompt-length", "3", "--max-new-tokens", "4",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "trials run 0, found finished 3" in result.out + result.err
    assert {row["method"] for row in comparison.rows} == {"zero", "icl", "pt"}
    assert comparison.as_dict()["rows"] == read_json(out / "compare.json", "comparison")["rows"]


def test_a_comparison_shows_its_table(comparison: foreword.Comparison) -> None:
    page = comparison._repr_html_()
    assert page.count("<tr>") == 4 and "icl" in page
    assert comparison.reason in str(comparison)
    assert comparison.best in (None, "zero", "icl", "pt")
    assert len(comparison.records) == 3 and comparison.report.is_file()
    if importlib.util.find_spec("pandas"):
        assert list(comparison.table["method"]) == ["zero", "icl", "pt"]


def test_a_comparison_tells_its_notes_behind_the_reason(comparison: foreword.Comparison) -> None:
    """They stood in the page alone: that targets were taken as choices, or that test examples stand in train."""
    assert comparison.notes == tuple(comparison.as_dict()["notes"])
    assert any("taken as the choices" in note for note in comparison.notes), comparison.notes
    for text, shown in ((str(comparison), str), (comparison._repr_html_(), html.escape)):
        places = [text.index(shown(sentence)) for sentence in (comparison.reason, *comparison.notes)]
        assert places == sorted(places)


def test_text_of_users_is_no_markup(comparison: foreword.Comparison, model: Path, tmp_path: Path) -> None:
    named = tmp_path / "<b>tiny"
    named.symlink_to(model, target_is_directory=True)
    page = foreword.compare(named, ROWS, out=tmp_path / "run", methods=["zero"], max_new_tokens=2)._repr_html_()
    assert "<b>tiny" not in page and "&lt;b&gt;tiny" in page


def test_a_prompt_made_in_python_answers_as_on_the_command_line(model: Path, tmp_path: Path) -> None:
    prompt = foreword.tune(model, ROWS, out=tmp_path / "prompt", max_steps=2, prompt_length=3)
    again = foreword.load_prompt(tmp_path / "prompt")
    assert again.digest == prompt.digest
    assert [note for note in prompt.notes if "taken as the choices" in note] and not again.notes, prompt.notes
    texts = [row["input"] for row in ROWS[:6]]
    inputs = entry.save_rows(tmp_path / "inputs.jsonl", [{"input": text} for text in texts])
    result = entry.foreword(
        "generate", "--model", model, "--prompt", tmp_path / "prompt", "--data", inputs, "--choices", "red,green", "--json"
    )  # fmt: skip
    with foreword.Predictor(model, tmp_path / "prompt", choices=["red", "green"]) as predictor:
        answers = predictor.generate(texts)
        assert answers == [line["output"] for line in result.lines]
        assert [predictor.generate(text)[0] for text in texts] == answers
        assert predictor.generate(inputs) == answers, "a path is a file of inputs"
    with foreword.Predictor(model, prompt, choices="red,green") as predictor:
        assert predictor.generate([{"input": text} for text in texts]) == answers
    with foreword.Predictor(model, [prompt, tmp_path / "prompt"], choices="red,green") as voters:
        assert voters.generate(texts) == answers


def test_a_predictor_answers_every_input_and_keeps_the_notes(model: Path) -> None:
    """With `limit=2` or `too_long="drop"` three inputs got two answers, and that one was cut or its demonstration dropped was not said."""
    for settings, name in (({"limit": 2}, "limit"), ({"too_long": "drop"}, "too_long='drop'")):
        with pytest.raises(foreword.ForewordError, match=f"one answer for each input, and {name} would leave some out"):
            foreword.Predictor(model, **settings)
    shown = [{"input": "tem 1", "target": "ba " * 600}]
    with foreword.Predictor(model, method="few", demonstrations=shown, max_new_tokens=2) as predictor:
        assert predictor.notes == ()
        assert len(predictor.generate(["tem 2", "tem 3"])) == 2
        assert [note for note in predictor.notes if "were left out, 2 in all" in note], predictor.notes
        assert [note for note in predictor.notes if "by --max-new-tokens 2" in note], predictor.notes
        with pytest.raises(
            foreword.ForewordError,
            match=r"row-2. needs .* has 158 for them; shorten it, or lower --prompt-length or --max-new-tokens\.$",
        ):
            predictor.generate(["tem 2", "ba " * 4000])


def test_evaluate_gives_the_scores_of_the_command(model: Path, tmp_path: Path) -> None:
    evaluation = foreword.evaluate(model, test=ROWS, method="zero", choices="red,green", out=tmp_path / "a")
    file = entry.save_rows(tmp_path / "test.jsonl", ROWS)
    result = entry.foreword(
        "evaluate", "--model", model, "--test", file, "--method", "zero", "--choices", "red,green", "--out", tmp_path / "b", "--json"
    )  # fmt: skip
    assert result.json["metrics"][evaluation.metric]["score"] == evaluation.scores[evaluation.metric]
    assert result.json["metrics"][evaluation.metric]["ci95"] == list(evaluation.ci95)
    assert len(evaluation.record.answers) == len(ROWS)


def test_a_loaded_model_is_taken_and_given_back_as_it_came(loaded: tuple[Any, Any], model: Path) -> None:
    import torch

    whole, tokenizer = loaded
    ids = torch.tensor([[3, 4, 5, 6]])
    before = whole(input_ids=ids).logits
    demonstrations = ROWS[:5]
    with foreword.Predictor(
        whole, tokenizer=tokenizer, method="icl", demonstrations=demonstrations, choices="red,green"
    ) as ours:
        answers = ours.generate(ROWS[5:9])
    with foreword.Predictor(model, method="icl", demonstrations=demonstrations, choices="red,green") as theirs:
        assert theirs.generate(ROWS[5:9]) == answers
    assert torch.equal(whole(input_ids=ids).logits, before)


def test_frames_and_data_sets_are_read(tmp_path: Path) -> None:
    if importlib.util.find_spec("pandas"):
        import pandas

        frame = pandas.DataFrame({"input": ["a", "b"], "target": ["1", None], "n": np.array([1, 2])})
        path = Path(path_of(frame, tmp_path, "frame"))
        assert path.read_text(encoding="utf-8").splitlines() == [
            '{"input": "a", "target": "1", "n": 1}',
            '{"input": "b", "target": null, "n": 2}',
        ]
    if importlib.util.find_spec("datasets"):
        import datasets

        rows = datasets.Dataset.from_list([{"input": "a", "target": "b"}])
        assert rows_of(rows) == [{"input": "a", "target": "b"}]
        both = datasets.DatasetDict({"train": rows, "test": rows})
        folder = Path(path_of(both, tmp_path, "splits"))
        assert sorted(path.name for path in folder.iterdir()) == ["test.jsonl", "train.jsonl"]
    plain = path_of(
        [{"a": date(2026, 1, 2), "b": Decimal("1.50"), "c": float("nan"), "d": ("x", np.float64(0.5))}],
        tmp_path,
        "plain",
    )
    assert Path(plain).read_text(encoding="utf-8") == '{"a": "2026-01-02", "b": "1.50", "c": null, "d": ["x", 0.5]}\n'


def test_splits_of_other_data_are_not_read_with_these(tmp_path: Path) -> None:
    """A dev split that an earlier call left in the run's folder became part of the next data."""
    rows = [{"input": "a", "target": "b"}]
    whole = {"train": rows, "validation": rows, "test": rows}
    first = path_of(whole, tmp_path, "examples")
    assert path_of(whole, tmp_path, "examples") == first
    second = Path(path_of({"train": rows, "test": rows}, tmp_path, "examples"))
    assert sorted(path.name for path in second.iterdir()) == ["test.jsonl", "train.jsonl"]
    assert sorted(path.name for path in Path(first).iterdir()) == ["test.jsonl", "train.jsonl", "validation.jsonl"]


def test_data_that_stand_there_are_kept(tmp_path: Path) -> None:
    """The data of a prompt that was kept were replaced by those of a call that was refused."""
    rows = [[{"input": f"{name} {n}", "target": "b"}] for n, name in enumerate("ab")]
    first, second = (Path(path_of(row, tmp_path, "examples")) for row in rows)
    assert first.name == "examples.jsonl" and re.fullmatch(r"examples-[0-9a-f]{8}\.jsonl", second.name)
    for row, path in zip(rows, (first, second), strict=True):
        assert path.read_text(encoding="utf-8") == json.dumps(row[0]) + "\n"
        assert path_of(row, tmp_path, "examples") == str(path), "the same data have the same place"


def test_class_labels_and_short_numbers_of_data_in_memory(tmp_path: Path) -> None:
    """A hidden answer was the class '-1', and 0.1 in single precision was 0.10000000149011612."""
    array = np.array([0.1, 2.5], dtype=np.float32)
    row = {"a": array[0], "b": array, "c": np.float16(0.1), "d": np.float32("nan"), "e": np.float64(0.1)}
    path = Path(path_of([row], tmp_path, "plain"))
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 0.1, "b": [0.1, 2.5], "c": 0.1, "d": None, "e": 0.1}
    if importlib.util.find_spec("pandas"):
        import pandas

        frame = pandas.DataFrame({"x": array, "y": pandas.array([0.1, None], dtype="Float32")})
        assert [row["x"] for row in rows_of(frame)] == [0.1, 2.5] and rows_of(frame)[0]["y"] == 0.1
    datasets = pytest.importorskip("datasets")
    value = datasets.Value("float32")
    features = {"label": datasets.ClassLabel(names=["bad", "good"]), "x": value, "many": datasets.List(value)}
    columns = {"label": [1, -1, None], "x": [0.1, None, 2.0], "many": [[0.1], [], None]}
    labelled = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    assert rows_of(labelled) == [
        {"label": "good", "x": 0.1, "many": [0.1]},
        {"label": None, "x": None, "many": []},
        {"label": None, "x": 2.0, "many": None},
    ]


def test_choices_are_read_as_the_command_line_reads_them(tmp_path: Path) -> None:
    """The path of a file was a choice, and a JSON list was cut at its commas; so was the path in an override."""
    lines, listed = tmp_path / "labels.txt", tmp_path / "labels.json"
    lines.write_text("yes, it is\nno\n", encoding="utf-8")
    listed.write_text('["yes, it is", "no"]', encoding="utf-8")
    for text in ('["yes, it is", "no"]', str(lines), str(listed)):
        assert options.settings({"choices": text})["choices"] == ["yes, it is", "no"], text
        assert run_of(model="m", choices=text).choices == ["yes, it is", "no"], text
        assert load(None, ["model=m", f"choices={text}"]).choices == ["yes, it is", "no"], text
    assert run_of(model="m", choices=lines).choices == run_of(model="m", choices=listed).choices == ["yes, it is", "no"]
    assert run_of(model="m", choices=["yes, it is", "no"]).choices == ["yes, it is", "no"], "a list is what it says"
    for text in ("red, green", "none"):
        plain = options.settings({"choices": text})["choices"]
        assert run_of(model="m", choices=text).choices == load(None, ["model=m", f"choices={text}"]).choices == plain
    for text, meant in (("[1, 2.50]", ["1", "2.50"]), ('["a\\/b", "c"]', ["a/b", "c"]), ("['x', 'y']", ["x", "y"])):
        assert load(None, ["model=m", f"choices={text}"]).choices == meant, "JSON, else a list as in TOML"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"data": 3}, "an object of the type int"),
        ({"data": [1, 2]}, "give a file's path"),
        (
            {"data": {"train": ROWS, "validaton": ROWS, "holdout": ROWS}},
            "validaton and holdout name no split .known: train",
        ),
        ({"data": {"input": ["a"], "target": ["b"]}}, "input and target name no split .* columns as a DataFrame"),
        ({"data": [{"input": object(), "target": "x"}]}, "an object of the type object"),
        ({"data": ROWS, "prompt_lenght": 3}, "prompt_length"),
        ({"data": ROWS, "methods": "zero,ptt"}, "did you mean"),
        ({"data": [{"input": "a", "target": None}] * 9}, "target"),
        ({"data": [{"input": "\ud83d", "target": "x"}]}, "half of a surrogate pair"),
        ({"data": ROWS, "seeds": 3.5}, "seeds is 3.5"),
        ({"data": ROWS, "metrics": 3}, "metrics is 3"),
        ({"data": ROWS, "tuning": 3}, "tuning is 3"),
        ({"data": ROWS, "choices": 3}, "choices is 3"),
        ({"data": ROWS, "choices": Path("absent.txt")}, "choices is the path absent.txt, where no file is"),
        ({"data": ROWS, "choices": '["a", '}, "choices .* is no JSON list"),
        ({"data": ROWS, "choices": "[1, {}]"}, "choices .* is no list of texts"),
        ({"data": ROWS, "seeds": [0, 1], "seed": 2}, "seeds is given twice, once as seed"),
        ({"data": ROWS, "method": "pt", "methods": "icl"}, "methods is given twice, once as methods"),
        (
            {"data": ROWS, "max_steps": 20, "tuning": {"max_steps": 5}},
            "max_steps is given twice, once as tuning's max_steps",
        ),
        (
            {"data": ROWS, "tuning": foreword.Tuning(max_steps=5), "max_steps": 20},
            "max_steps is given twice, once as max_steps",
        ),
        ({"data": ROWS, "init_text": "ba"}, "init_text is given and tuning.init is 'vocab', which does not read it"),
        (
            {"data": ROWS, "init_prompt": "p", "init": "random"},
            "init_prompt is given and tuning.init is 'random', which does not read it",
        ),
        ({"data": ROWS, "place": "auto", "soft_place": "append"}, "place is given twice, once as soft_place"),
        (
            {"data": ROWS, "train_batch_size": 2, "tuning": {"batch_size": 4}},
            "batch_size is given twice, once as tuning's batch_size",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    arguments: dict[str, Any], sentence: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(foreword.ForewordError, match=sentence):
        foreword.compare(model, out=tmp_path / "run", **arguments)


def test_a_loaded_model_needs_its_tokenizer(loaded: tuple[Any, Any]) -> None:
    with pytest.raises(foreword.ForewordError, match="give tokenizer"):
        foreword.Predictor(loaded[0])


def test_what_says_how_to_load_is_not_dropped_for_a_loaded_model(loaded: tuple[Any, Any], model: Path) -> None:
    """`dtype="bfloat16"` beside a model in float32 answered in float32."""
    whole, tokenizer = loaded
    for call in (foreword.compare, foreword.tune, foreword.evaluate, foreword.Predictor):
        for settings in ({"dtype": "bfloat16"}, {"device": "cpu"}, {"revision": "main"}, {"target_tokenizer": "x"}):
            with pytest.raises(foreword.ForewordError, match=f"{next(iter(settings))} says how a model is loaded"):
                call(whole, tokenizer=tokenizer, **settings)
    with pytest.raises(foreword.ForewordError, match="which has its own"):
        foreword.evaluate(foreword.load_backbone(str(model)), ROWS, tokenizer=tokenizer)


def test_importing_foreword_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys, foreword; foreword.__all__; print(sorted({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_predictor_that_is_refused_gives_a_loaded_model_back(loaded: tuple[Any, Any]) -> None:
    whole, tokenizer = loaded
    before = [sorted(vars(module)) for module in whole.modules()]
    for settings in ({"prompt_lenght": 3}, {"method": "pt"}):
        with pytest.raises(foreword.ForewordError):
            foreword.Predictor(whole, tokenizer=tokenizer, **settings)
        assert [sorted(vars(module)) for module in whole.modules()] == before, settings


def test_a_predictor_speaks_to_a_chat_model_as_its_prompt_was_tuned(tmp_path: Path) -> None:
    """As `foreword generate -p` does: a prompt for running text is used on running text."""
    folder, tokenizer = tmp_path / "chat", chats.tokenizer("qwen2.5")
    chats.llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    quick = {"max_steps": 1, "prompt_length": 3, "choices": "red,green"}
    prompts = {chat: foreword.tune(folder, ROWS, out=tmp_path / chat, chat=chat, **quick) for chat in ("on", "off")}
    inputs = entry.save_rows(tmp_path / "inputs.jsonl", [{"input": row["input"]} for row in ROWS[:6]])
    for chat, prompt in prompts.items():
        assert bool(prompt.provenance.chat) == (chat == "on")
        result = entry.foreword("generate", "--prompt", tmp_path / chat, "--data", inputs, "--json")
        with foreword.Predictor(folder, prompt) as predictor:
            assert predictor.generate(inputs) == [line["output"] for line in result.lines], chat


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"methods": "icl"}, "give method=... here"), ({"seeds": [3, 4]}, "give seed=... here")],
)
def test_what_takes_a_single_method_does_not_drop_several(
    settings: dict[str, Any], sentence: str, model: Path, tmp_path: Path
) -> None:
    """`evaluate(methods="icl")` scored zero, and of several seeds the first."""
    for call in (foreword.evaluate, foreword.tune):
        with pytest.raises(foreword.ForewordError, match=sentence):
            call(model, ROWS, out=tmp_path / "out", **settings)
    with pytest.raises(foreword.ForewordError, match=sentence):
        foreword.Predictor(model, **settings)


def test_every_option_of_the_command_line_has_its_name_in_python() -> None:
    """`soft_place` and `allow_empty` were no settings."""
    run = run_of(model="m", soft_place="system", train_batch_size=3, allow_empty=True, batch_size=5, learning_rate=0.5)
    assert (run.tuning.place, run.tuning.batch_size, run.empty_answers, run.batch_size) == ("system", 3, True, 5)
    for name, option in settings_options().items():
        default = option.field.get_default(call_default_factory=True)
        if not option.field.is_required() and default is not None:
            values = run_of(model="m", **{name: default})
            assert getattr(values.tuning if option.tuning else values, option.key) == default, name


def test_seeds_are_read_in_every_form() -> None:
    for seeds in ("0,2", [0, 2], range(0, 4, 2), np.array([0, 2]), "0, 2,"):
        assert run_of(model="m", seeds=seeds).seeds == [0, 2], seeds
    assert run_of(model="m", seed=np.int64(5)).seeds == [5]
