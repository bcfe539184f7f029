"""What vectors lie near to, held against random vectors; and prompts that another tool left, brought in with what is not known of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import entry
import serving
import tiny
from foreword.engine import load_backbone
from foreword.prompts import store
from foreword.prompts.inspect import Vocabulary, clusters, inspect, label_ids, likeness
from foreword.report.inspected import inspected_page, sentences
from foreword.util.errors import ForewordError
from test_readme import commands, flags


def words(rows: int = 300, width: int = 24) -> Vocabulary:
    values = np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32)
    return Vocabulary(values, [f"w{n}" for n in range(rows)], [n + 5 for n in range(rows)])


def test_vectors_that_are_items_have_themselves_as_neighbours() -> None:
    table = words()
    inspection = inspect({"p": 3.0 * table.values[[7, 7, 42]]}, table, neighbours=3)
    (prompt,) = inspection.prompts
    assert [row[0].piece for row in prompt.neighbours] == ["w7", "w7", "w42"]
    assert [row[0].id for row in prompt.neighbours] == [12, 12, 47]
    assert prompt.neighbours[0][0].cosine == pytest.approx(1.0, abs=1e-5)
    assert prompt.repeated == 1 and prompt.clusters == [[0, 1]] and prompt.above == 3
    assert prompt.norms[2] == pytest.approx(3 * np.linalg.norm(table.values[42]), rel=1e-5)
    assert prompt.near and prompt.random and prompt.near.nearest > prompt.random.nearest


def test_neighbours_are_those_of_a_plain_sort_across_the_parts_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreword.prompts.inspect.AT_ONCE", 37)
    table, values = words(), np.random.default_rng(1).standard_normal((4, 24)).astype(np.float32)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    items = table.values / np.linalg.norm(table.values, axis=1, keepdims=True)
    order = np.argsort(-(unit @ items.T), axis=1, kind="stable")[:, :5]
    (prompt,) = inspect({"p": values}, table).prompts
    assert [[near.piece for near in row] for row in prompt.neighbours] == [[f"w{n}" for n in row] for row in order]


def test_random_vectors_are_told_from_items() -> None:
    table = words()
    rng = np.random.default_rng(2)
    drawn = rng.standard_normal((200, 24)).astype(np.float32)
    near = table.values[:200] + 0.3 * drawn
    inspected = {prompt.name: prompt for prompt in inspect({"random": drawn, "items": near}, table).prompts}
    assert inspected["random"].above < 30, "about 1 in 20"
    assert inspected["items"].above == 200


def test_labels_are_looked_for_among_the_neighbours() -> None:
    table = words()
    (prompt,) = inspect({"p": table.values[[3, 9, 3]]}, table, labels={"p": {"yes": [8], "no": [200]}}).prompts
    assert prompt.labels["yes"] == [0, 2]
    text = " ".join(sentences(prompt, inspect({"p": table.values[[3]]}, table)))
    assert (
        f"yes (w3): vectors 0, 2 (as many random vectors: {prompt.chance['yes']:.0%})" in text
        and prompt.chance["yes"] > 0
    )


@pytest.mark.parametrize("model", ["reference-small", "reference-t5"])
def test_a_label_is_known_by_a_token_that_is_trained_and_that_no_other_has(model: str) -> None:
    with load_backbone(model) as backbone:
        prompt = serving.soft(backbone, 2, 0)
        known = label_ids(backbone, prompt, ["not_duplicate", "duplicate"])
        assert {label: backbone.tokenizer.pieces(ids) for label, ids in known.items()} == {
            "not_duplicate": ["Ġn"],
            "duplicate": ["Ġd"],
        }
        assert all(known[label][0] in backbone.answer_ids(f" {label}") for label in known)
        whole = next(
            piece[1:] for piece in backbone.tokenizer.pieces(range(400, 900)) if len(piece) > 4 and piece[0] == "Ġ"
        )
        assert not label_ids(backbone, prompt, [whole, f"{whole} too"])[whole], "every token of it is the other's too"


def test_a_label_that_begins_a_text_as_one_token_is_known_by_that_too() -> None:
    """As init `labels` lays it in: without the blank that stands before an answer of a left-to-right model."""
    backbone = tiny.backbone("llama")
    known = label_ids(backbone, serving.soft(backbone, 2, 0), ["ba", "der"])
    assert {label: backbone.tokenizer.pieces(ids) for label, ids in known.items()} == {
        "ba": ["Ġba", "ba"],
        "der": ["Ġder", "der"],
    }


def test_a_label_without_a_token_of_its_own_is_said_to_be_untold() -> None:
    table = words()
    inspection = inspect({"p": table.values[[3]]}, table, labels={"p": {"yes": []}})
    assert "yes: cannot be told" in " ".join(sentences(inspection.prompts[0], inspection))


def test_likeness_of_a_prompt_with_itself_is_whole_and_the_map_holds_every_vector() -> None:
    a, b = words(5).values, words(9, 24).values[5:]
    both = likeness({"a": a, "b": b})
    assert np.diag(both.of_means) == pytest.approx([1, 1], abs=1e-5)
    assert np.diag(both.of_vectors) == pytest.approx([1, 1], abs=1e-5)
    assert both.of_vectors[0][1] == pytest.approx(both.of_vectors[1][0], abs=1e-6)
    assert [len(part) for part in both.places] == [5, 4]
    flat = likeness({"a": a[:3]})
    assert flat.explained == pytest.approx(1.0), "three points lie in a plane"
    assert likeness({"one": a[:1]}).places == [[(0.0, 0.0)]]


def test_clusters_join_what_is_alike() -> None:
    base = np.eye(4, dtype=np.float32)
    rows = np.stack([base[0], base[1], base[0] + 0.1 * base[2], base[3], base[0] * 5])
    assert clusters(rows) == [[0, 2, 4]]
    assert clusters(rows[:1]) == []


def test_widths_that_differ_are_refused() -> None:
    with pytest.raises(ForewordError, match="several widths"):
        inspect({"a": words(3).values, "b": words(3, 8).values}, None)


def test_the_page_shows_hostile_pieces_as_text() -> None:
    table = words(40)
    evil = Vocabulary(table.values, ["<script>alert(1)</script>"] * 40, table.ids)
    html = inspected_page(inspect({"<b>p</b>": table.values[:6], "q": table.values[6:9]}, evil))
    assert "<script>alert" not in html and "<b>p</b>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "http://" not in html and "https://" not in html


def test_the_command_shows_neighbours_and_writes_a_page(tmp_path: Path) -> None:
    folder = entry.save_model(tmp_path / "llama")
    ran = entry.foreword("inspect", _prompt(tmp_path, "a", folder), _prompt(tmp_path, "b", folder, 1), "--model", folder, "--json",
                          "--out", tmp_path / "page.html")  # fmt: skip
    assert ran.code == 0, ran.err
    report = ran.json
    assert [len(prompt["neighbours"]) for prompt in report["prompts"]] == [4, 4]
    assert len(report["likeness"]["of_means"]) == 2 and report["vocabulary"]["mean"] > 0
    assert "Nearest items" in (tmp_path / "page.html").read_text(encoding="utf-8")
    chooser = serving.soft(tiny.backbone("llama"), 4, 0, settings={"choices": ["bana", "lori"]})
    store.save(chooser.unbound(), tmp_path / "chooser")
    shown = entry.foreword("inspect", tmp_path / "chooser", "--model", folder)
    assert (
        shown.code == 0
        and "Labels among the neighbours" in shown.out
        and shown.out.count("as many random vectors") == 2
    )
    shown = entry.foreword("inspect", tmp_path / "a", "--no-vocabulary")
    assert shown.code == 0 and "4 vectors" in shown.out and "cluster" in shown.out
    entry.refused("inspect", tmp_path / "a", "--no-vocabulary", "--model", folder, says=("leave one of them out",))


def _prompt(tmp_path: Path, name: str, model: Path, seed: int = 0) -> Path:
    store.save(serving.soft(tiny.backbone("llama"), 4, seed).unbound(), tmp_path / name)
    return tmp_path / name


def test_arrays_come_in_with_what_is_not_known_of_them(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    there = tmp_path / "model" / "numpy_checkpoints" / "checkpoint_1150000"
    there.mkdir(parents=True)
    with (there / "encoder.prompt.prompt.prompt").open("wb") as file:
        np.save(file, values)
    ran = entry.foreword(
        "import", tmp_path / "model", "--model", "google/t5-base-lm-adapt", "--out", tmp_path / "p", "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.json["length"] == 6 and "its seed" in ran.json["not_recorded"] and "its task" in ran.json["not_recorded"]
    prompt = store.load(tmp_path / "p")
    assert (
        (prompt.values.numpy() == values).all()
        and prompt.provenance.kind == "seq2seq"
        and not prompt.provenance.fingerprint
    )
    certificate = json.loads((tmp_path / "p" / "foreword.json").read_text(encoding="utf-8"))
    assert "its wording" in certificate["birth"]["settings"]["not_recorded"]
    card = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    assert "Made by T5X's prompt tuning." in card and "Not recorded" in card
    again = there.parent / "checkpoint_1160000"
    again.mkdir()
    np.save(again / "prompt.npy", values)
    entry.refused(
        "import", tmp_path / "model", "--model", "m", "--out", tmp_path / "q", says=("2 arrays", "name the one")
    )
    entry.refused("import", tmp_path / "none", "--model", "m", "--out", tmp_path / "q", says=("no file or folder",))
    entry.refused("import", tmp_path / "model", "--model", "m", "--out", tmp_path / "p", says=("not empty",))
    (tmp_path / "empty").mkdir()
    entry.refused("import", tmp_path / "empty", "--model", "m", "--out", tmp_path / "q", says=("no array",))
    entry.refused(
        "import", again, "--model", "m", "--kind", "encoder", "--out", tmp_path / "q", says=("'encoder'", "seq2seq")
    )


def test_the_three_published_prompts_are_brought_in_and_inspected(shared: Path, tmp_path: Path) -> None:
    """Row norms of 868 to 1,385 in the mean, as the prompts were published."""
    for task in ("sst2", "mrpc", "rte"):
        array = shared / "prompts" / f"t5_1_1_lm100k_base-{task}.npy"
        ran = entry.foreword(
            "import", array, "--model", "google/t5-base-lm-adapt", "--task", task, "--out", tmp_path / task
        )
        assert ran.code == 0, ran.err
    shown = entry.foreword("inspect", *(tmp_path / task for task in ("sst2", "mrpc", "rte")), "--no-vocabulary", "--json",
                          "--out", tmp_path / "page.html")  # fmt: skip
    assert shown.code == 0, shown.err
    assert [prompt["length"] for prompt in shown.json["prompts"]] == [100, 100, 100]
    means = [prompt["spread"]["mean"] for prompt in shown.json["prompts"]]
    assert all(800 < mean < 1450 for mean in means)
    assert means[0] == pytest.approx(1385, abs=1)
    assert shown.json["vocabulary"] is None and shown.json["prompts"][0]["neighbours"] == []
    off = [shown.json["likeness"]["of_means"][a][b] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert all(-1 <= prompt < 0.999 for prompt in off), "three prompts, not one"


def test_every_command_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "docs" / "inspect.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for line in commands(text):
        words_ = ["reference-small" if word == "reference" else "2" if word == "40" else word for word in line[1:]]
        shown = entry.foreword(*words_, *(("--train-limit", "8") if words_[0] == "tune" else ()))
        assert shown.code == 0, f"{' '.join(line)}\n{shown.err}"
        ran += 1
    assert ran == 4 and (tmp_path / "inspected.html").is_file()
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert spoken <= set().union(*flags().values())
