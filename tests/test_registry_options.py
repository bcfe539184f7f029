"""`foreword registry add` takes no option without effect: what would change no answer is refused, what is not taken up is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import entry
from foreword.prompts import store
from foreword.registry import Registry
from test_registry import added, folder


def test_an_option_that_would_change_no_answer_is_refused(tmp_path: Path) -> None:
    at = tmp_path / "store"
    pool, plain = entry.save_rows(tmp_path / "train.jsonl", entry.rows(4)), folder(tmp_path / "pt")
    words = ("registry", "add", "--name", "w", "-s", at, "--method")
    shown = ("--demonstrations", pool)
    entry.refused(*words, "zero", *shown, says=("Demonstrations are given", "'zero' shows none", "leave them out"))
    entry.refused(*words, "zero", "--encoder", "backbone:last", says=("'zero' reads none", "leave --encoder out"))
    entry.refused(*words, "icl:bm25:2", *shown, "--encoder", "backbone:last", says=("'icl:bm25:2' reads none",))
    entry.refused(*words, "zero", "--input-column", "text", says=("Columns are given", "--demonstrations; leave them"))
    entry.refused(*words, "icl:bm25:2", *shown, "--seed", 1, says=("'icl:bm25:2' draws nothing", "--seed"))
    for longest in (0, -4):
        entry.refused(*words, "zero", "--max-new-tokens", longest, says=(f"--max-new-tokens is {longest}", "1 or more"))
    prompt_words = ("registry", "add", plain, "--name", "p", "-s", at)
    entry.refused(*prompt_words, "--seed", 0, says=("brings its method, wording and seed", "--seed, or the folder"))
    entry.refused(*prompt_words, "--encoder", "backbone:last", says=("'pt', which reads none", "leave --encoder out"))
    entry.refused(*prompt_words, "--max-new-tokens", 0, says=("--max-new-tokens is 0",))
    assert not Registry(at).names()
    for number, more in enumerate((("few:2", "--seed", 5), ("icl:dense:2", "--encoder", "backbone:last")), 1):
        assert entry.foreword(*words, *more, *shown).code == 0
        assert Registry(at).resolve("w")[1].number == number


def test_what_an_added_version_does_not_take_up_is_said(tmp_path: Path) -> None:
    at = tmp_path / "store"
    plain = folder(tmp_path / "a")
    assert added(at, plain, "p", "--note", "first")["notes"] == []
    again = added(at, plain, "p", "--note", "second")
    assert (again["note"], again["notes"]) == (
        "first",
        ["Its note and parents stay as they were, for a version never changes."],
    )
    output = entry.foreword("registry", "add", plain, "--name", "p", "--store", at, "--parent", "p@1").out
    assert "is there already" in output and "stay as they were" in output
    assert added(at, plain)["notes"] == []
    prompt = store.load(plain)
    own = replace(prompt.provenance, settings={"choices_column": "options", "choices": []})
    store.save(replace(prompt, provenance=own), tmp_path / "own")
    (note,) = added(at, tmp_path / "own")["notes"]  # type: ignore[misc]
    assert "(column 'options')" in note and "answers with free text" in note
    assert added(at, tmp_path / "own", "p", "--choices", "a,b")["notes"] == []


def test_demonstrations_have_columns_of_their_own_or_those_of_the_prompt(tmp_path: Path) -> None:
    """They were refused with a hint of flags that the verb did not have, and so was an empty answer."""
    at = tmp_path / "store"
    rows = [{"text": row["input"], "label": row["target"]} for row in entry.rows(4)]
    shown = ("--demonstrations", entry.save_rows(tmp_path / "train.jsonl", rows))
    words = ("registry", "add", "--name", "w", "-s", at, "--method", "icl", *shown)
    entry.refused(*words, says=("give --input-column text --target-column label",))
    result = entry.foreword(*words, "--input-column", "text", "--target-column", "label")
    assert result.code == 0, result.err
    some = entry.save_rows(tmp_path / "some.jsonl", [{"input": "a", "target": ""}, {"input": "b", "target": "c"}])
    empty = ("registry", "add", "--name", "e", "-s", at, "--method", "icl", "--demonstrations", some)
    entry.refused(*empty, says=("'target' in row 1", "give --allow-empty"))
    result = entry.foreword(*empty, "--allow-empty")
    assert result.code == 0, result.err
    prompt = store.load(folder(tmp_path / "kept", label="ipt"))
    own = replace(prompt.provenance, settings={"input_column": "text", "target_column": "label"})
    store.save(replace(prompt, provenance=own), tmp_path / "ipt")
    added(at, tmp_path / "ipt", "i", *shown)
    for name in ("w", "i"):
        index, version = Registry(at).resolve(name)
        pool = Registry(at).load(index.name, version).pool
        assert [example.fields["input"] for example in pool] == [row["text"] for row in rows]
