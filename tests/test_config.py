"""The configuration: what is set is what is read, the later wins, and every refusal is one exact sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.config.run import Run, load
from foreword.config.settings import Settings
from foreword.config.tuning import Tuning
from foreword.util.errors import ForewordError, visible

PATHS = ("tiny", "hub/model", "folder with blank", "5", "3.5", "true", "none", "a=b", "a,b", "[x]")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None, overrides: Sequence[str] = ()) -> str:
    with pytest.raises(ForewordError) as caught:
        load(path, overrides)
    return str(caught.value)


# what is read


def test_no_file_gives_the_defaults() -> None:
    run = load(None, ["model=tiny"])
    assert run == Run(model="tiny")
    assert run.methods == ["zero", "icl", "pt", "ipt"]
    assert run.seeds == [0, 1, 2]
    assert (run.tuning.prompt_length, run.tuning.init, run.tuning.learning_rate) == (20, "vocab", 0.3)
    assert (run.limit, run.instruction, run.too_long) == (None, None, "auto")


def test_a_file_is_read_and_overrides_win_the_later_over_the_earlier(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'model = "tiny"\nseeds = [4]\nlimit = 10\nchoices = ["a, b", "c"]\nstop = "\\n\\n"\n'
        '[tuning]\nlearning_rate = 1\ninit = "text"\ninit_text = "Say it:"\n',
    )
    run = load(path, ["seeds=7", "seeds=8,9", "limit=none", "tuning.max_steps=3", "tuning.learning_rate=.5"])
    assert (run.seeds, run.limit, run.choices, run.stop) == ([8, 9], None, ["a, b", "c"], "\n\n")
    assert (run.tuning.learning_rate, run.tuning.max_steps, run.tuning.init_text) == (0.5, 3, "Say it:")
    assert load(path, []).tuning.learning_rate == 1.0


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("instruction=Answer, with 5 = five.", "instruction", "Answer, with 5 = five."),
        ('stop="\\n"', "stop", "\n"),
        ("separator=' '", "separator", " "),
        ("instruction=", "instruction", ""),
        ("instruction=none", "instruction", None),
        ("task=2024", "task", "2024"),
        ("methods=icl:bm25:3, pt", "methods", ["icl:bm25:3", "pt"]),
        ("choices='a, b', 'c'", "choices", ["a, b", "c"]),
        ('choices=["a, b", "c"]', "choices", ["a, b", "c"]),
        ("choices=1,2", "choices", ["1", "2"]),
        ("seeds=[3, 5]", "seeds", [3, 5]),
        ("seeds=3", "seeds", [3]),
        ("  limit = 1_000 ", "limit", 1000),
    ],
)
def test_what_an_override_means(override: str, key: str, value: Any) -> None:
    assert getattr(load(None, ["model=tiny", override]), key) == value


NAMES = {model.prefix + name: field for model in (Run, Tuning) for name, field in model.model_fields.items()}
PLAIN = st.one_of(st.sampled_from(PATHS), st.text(alphabet="ab c=,[]{}#\\.:5é", min_size=1).map(str.strip).filter(bool))


@given(model=PLAIN, seeds=st.lists(st.integers(0, 99), min_size=1, unique=True), rate=st.floats(1e-9, 1e9))
def test_any_text_and_number_comes_back_as_given(model: str, seeds: list[int], rate: float) -> None:
    overrides = [f"model={model}", f"seeds={','.join(map(str, seeds))}", f"tuning.learning_rate={rate}"]
    run = load(None, overrides)
    assert (run.model, run.seeds, run.tuning.learning_rate) == (model, seeds, rate)
    quoted = load(None, [f"model={json.dumps(model, ensure_ascii=False)}", f"seeds={seeds}"])
    assert (quoted.model, quoted.seeds) == (model, seeds)
    assert Run.model_validate(run.model_dump()) == run


@given(key=st.sampled_from(sorted(NAMES)), text=st.text(max_size=12))
def test_any_override_is_read_or_refused_in_a_sentence_that_names_its_key(key: str, text: str) -> None:
    try:
        load(None, ["model=tiny", f"{key}={text}"])
    except ForewordError as error:
        assert visible(key.split(".")[0]) in str(error)
        assert str(error).endswith(".")


@given(key=st.text(max_size=20).filter(lambda key: "=" not in key and key.strip() not in NAMES))
def test_any_other_key_is_refused(key: str) -> None:
    assert visible(key.strip()) in refusal(None, ["model=tiny", f"{key}=1"])


def test_a_table_of_settings_refuses_alone_as_it_does_within_a_run() -> None:
    """Whatever was imported before: the known keys do not depend on it."""
    code = "from foreword.config.tuning import Tuning; Tuning(lerning_rate=0.1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "There is no setting 'tuning.lerning_rate'; did you mean 'tuning.learning_rate'?" in done.stderr


def test_settings_do_not_change_after_they_are_read() -> None:
    run = Run(model="tiny")
    with pytest.raises(Exception, match="frozen"):
        run.shots = 3  # type: ignore[misc]


def test_every_setting_is_explained() -> None:
    for model in (Run, Tuning):
        missing = [name for name, field in model.model_fields.items() if not field.description]
        assert set(missing) <= {"tuning"}


# what is refused


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["shots=0"], "shots is 0, but must be a whole number of at least 1."),
        (["shots=2.0"], "shots is 2.0, but must be a whole number of at least 1."),
        (["shots=two"], "shots is 'two' (text), but must be a whole number of at least 1."),
        (["shots=true"], "shots is true (a truth value), but must be a whole number of at least 1."),
        (["shots="], "shots is empty, but must be a whole number of at least 1."),
        (["limit=0"], "limit is 0, but must be a whole number of at least 1 or none."),
        (["limit=all"], "limit is 'all' (text), but must be a whole number of at least 1 or none."),
        (["batch_size=-1"], "batch_size is -1, but must be a whole number of at least 1."),
        (["out="], "out is empty, but must be text that is not empty."),
        (["model="], "model is empty, but must be text that is not empty."),
        (["too_long=cut"], "too_long is 'cut' (text), but must be one of 'auto', 'refuse', 'drop'."),
        (["seeds="], "seeds is [], but must be a list of one or more, each a whole number of at least 0."),
        (
            ["seeds=1,x"],
            "seeds holds 'x' (text), but must be a list of one or more, each a whole number of at least 0.",
        ),
        (["seeds=0,-1"], "seeds holds -1, but must be a list of one or more, each a whole number of at least 0."),
        (["seeds=1,2,1"], "seeds holds 1 twice; name each once."),
        (["methods=pt,pt"], "methods holds 'pt' twice; name each once."),
        (["methods=[1]"], "methods holds 1, but must be a list of one or more, each text."),
        (["metrics=[1]"], "metrics holds 1, but must be a list, each text."),
        (["task=e2e", "data=x.csv"], "Both task ('e2e') and data ('x.csv') are given; keep the one you mean."),
        (["tuning.prompt_length=0"], "tuning.prompt_length is 0, but must be a whole number of at least 1."),
        (["tuning.learning_rate=0"], "tuning.learning_rate is 0, but must be a number above 0."),
        (["tuning.learning_rate=fast"], "tuning.learning_rate is 'fast' (text), but must be a number above 0."),
        (["tuning.learning_rate=nan"], "tuning.learning_rate is nan, but must be a number above 0."),
        (["tuning.learning_rate=inf"], "tuning.learning_rate is inf, but must be a number above 0."),
        (["tuning.weight_decay=-0.1"], "tuning.weight_decay is -0.1, but must be a number of at least 0."),
        (["tuning.init=text"], "tuning.init is 'text' and tuning.init_text is empty; give the words to start from."),
        (
            ["tuning.init=carried"],
            "tuning.init is 'warm_start' and tuning.init_prompt is empty; give the folder of a prompt to start from.",
        ),
        (
            ["tuning.gradient_checkpointing=yes"],
            "tuning.gradient_checkpointing is 'yes' (text), but must be true or false.",
        ),
        (["empty_answers=1"], "empty_answers is 1, but must be true or false or none."),
        (
            ["tuning.init_text=Say it:"],
            "tuning.init_text is given and tuning.init is 'vocab', which does not read it; set tuning.init to 'text' (--init text), or "
            "leave init_text empty.",
        ),
        (["tuning=5"], "'tuning' is a table of settings; set one of them, e.g. tuning.learning_rate=0.3."),
        (["shots"], "The override 'shots' is not key=value; write e.g. tuning.learning_rate=0.3."),
        (["=3"], "The override '=3' is not key=value; write e.g. tuning.learning_rate=0.3."),
    ],
)
def test_the_sentence_of_each_refusal(overrides: list[str], sentence: str) -> None:
    assert refusal(None, ["model=tiny", *overrides]) == sentence


def test_a_text_to_start_from_is_read_or_refused_and_what_comes_later_may_start_otherwise(tmp_path: Path) -> None:
    """Without `init`, it was dropped for the default. A later layer that says another init means it."""
    for start in ("", 'init = "random"\n'):
        sentence = refusal(written(tmp_path, f'model = "tiny"\n[tuning]\n{start}init_text = "Say it:"\n'))
        assert sentence.startswith("tuning.init_text is given and tuning.init is "), sentence
    both = written(tmp_path, 'model = "tiny"\n[tuning]\ninit = "text"\ninit_text = "Say it:"\n')
    assert load(both, ["tuning.init=random"]).tuning.init == "random"
    bare = written(tmp_path, 'model = "tiny"\n[tuning]\ninit_text = "Say it:"\n')
    assert load(bare, flags={"tuning": {"init": "text"}}).tuning.init == "text"


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("false", False), ("False", False)])
def test_a_truth_value_is_written_as_in_toml_or_in_python(text: str, value: bool) -> None:
    run = load(None, ["model=tiny", f"tuning.gradient_checkpointing={text}", f"empty_answers={text}"])
    assert (run.tuning.gradient_checkpointing, run.empty_answers) == (value, value)


def test_a_run_without_a_model_says_how_to_name_one() -> None:
    sentence = (
        "There is no model, and it must be text that is not empty; give it with --model or model = ... in the file."
    )
    assert refusal(None) == sentence


@pytest.mark.parametrize(
    ("key", "start"),
    [
        ("shot", "There is no setting 'shot'; did you mean 'shots'? Known: allow_other_base, amortize_over, answer, batch_size, "),
        ("tuning.learing_rate", "There is no setting 'tuning.learing_rate'; did you mean 'tuning.learning_rate'? Known: tuning.b"),
        ("prompt_length", "There is no setting 'prompt_length'; did you mean 'tuning.prompt_length'? Known: tuning.b"),
        ("tunings.init", "There is no setting 'tunings.init'; did you mean 'tuning.init'? Known: tuning.b"),
        ("xyzzy", "There is no setting 'xyzzy'. Known: allow_other_base, amortize_over, answer, batch_size, "),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_the_nearest_wherever_it_stands(key: str, start: str, tmp_path: Path) -> None:
    from_override = refusal(None, ["model=tiny", f"{key}=1"])
    assert from_override.startswith(start)
    if key.count(".") == 0 or key.startswith("tuning."):
        assert refusal(written(tmp_path, f'model = "tiny"\n{key} = 1\n')) == from_override


def test_an_unknown_key_is_named_before_what_it_may_have_caused(tmp_path: Path) -> None:
    path = written(tmp_path, 'modle = "tiny"\nshots = 0\n')
    assert refusal(path).startswith("There is no setting 'modle'; did you mean 'model'?")


def test_the_same_sentences_come_without_a_file() -> None:
    with pytest.raises(ForewordError, match=r"^shots is 0, but must be a whole number of at least 1\.$"):
        Run(model="tiny", shots=0)
    with pytest.raises(ForewordError, match=r"^There is no setting 'tuning\.lerning_rate'; did you mean"):
        Tuning(lerning_rate=0.1)  # type: ignore[call-arg]
    with pytest.raises(ForewordError, match=r"^The configuration is 5, but must be a table of settings\.$"):
        Run.model_validate(5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('model = "tiny"\ntuning = 5\n', "tuning is 5, but must be a table of settings."),
        ('model = ["tiny"]\n', "model is ['tiny'], but must be text that is not empty."),
        ("model = 5\n", "model is 5, but must be text that is not empty."),
        ("model = {}\n", "model is a table, but must be text that is not empty."),
        (
            'model = "tiny"\nseeds = 3\n',
            "seeds is 3, but must be a list of one or more, each a whole number of at least 0.",
        ),
        ('model = "tiny"\nshots = 2020-01-02\n', "shots is 2020-01-02, but must be a whole number of at least 1."),
        ('model = "tiny"\nshots = "3"\n', "shots is '3' (text), but must be a whole number of at least 1."),
    ],
)
def test_a_wrong_value_in_a_file_is_not_bent_to_fit(text: str, sentence: str, tmp_path: Path) -> None:
    assert refusal(written(tmp_path, text)) == sentence
    if "tuning" in text:
        assert refusal(written(tmp_path, text), ["tuning.max_steps=1"]) == sentence


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'model = "tiny"\nshots 3\n')
    assert refusal(path).startswith(f"The configuration {path} is not valid TOML: ")
    assert "(at line 2, column 7); mend that line." in refusal(path)
    path = written(tmp_path, 'model = "tiny"\nseeds = [1,\n')
    assert "(at line 3, the end of the file); mend that line." in refusal(path)
    path.write_bytes(b'model = "\xff"\n')
    assert refusal(path) == f"The configuration {path} is not UTF-8 text; save it as UTF-8."


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.toml") == f"There is no configuration at {tmp_path / 'no.toml'}; check the path."
    assert refusal(tmp_path) == f"Cannot read the configuration {tmp_path}: Is a directory; give a TOML file."


def test_every_default_is_accepted_where_it_is_given_outright() -> None:
    for model in (Run, Tuning):
        assert issubclass(model, Settings)
        given = {"model": "tiny"} if model is Run else {}
        assert model.model_validate(model(**given).model_dump()) == model(**given)


def test_words_of_earlier_versions_are_read_and_kept_on_disk(tmp_path: Path) -> None:
    old = load(None, ["model=tiny", "answers=7", "tuning.place=behind", "tuning.init=carried", "tuning.init_prompt=p"])
    new = ["model=tiny", "amortize_over=7", "tuning.place=append", "tuning.init=warm_start", "tuning.init_prompt=p"]
    assert load(None, new) == old
    assert (old.amortize_over, old.tuning.place, old.tuning.init) == (7, "append", "warm_start")
    assert (old.tuning.stored()["place"], old.tuning.stored()["init"]) == ("behind", "carried")
    assert Tuning.model_validate(old.tuning.stored()) == old.tuning
    path = tmp_path / "run.toml"
    path.write_text('model = "tiny"\nanswers = 7\n', encoding="utf-8")
    assert load(path).amortize_over == 7 and load(path, flags={"amortize_over": 9}).amortize_over == 9
    assert load(path, ["amortize_over=9"]).amortize_over == 9
    path.write_text('model = "tiny"\nanswers = 7\namortize_over = 8\n', encoding="utf-8")
    assert "given twice, once under its former name answers" in refusal(path)
