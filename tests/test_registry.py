"""The registry: versions by content, aliases that move, damage refused; two writers and kill -9 lose and halve nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from random import Random

import pytest
import torch

import entry
from foreword.prompts import store
from foreword.prompts.methods import parse
from foreword.prompts.retrieve import RETRIEVERS
from foreword.prompts.soft_prompt import Provenance, SoftPrompt
from foreword.registry import Registry, Version, parse_reference
from foreword.util.errors import ForewordError


def folder(where: Path, seed: int = 0, label: str = "pt") -> Path:
    """A prompt folder of random numbers."""
    row = parse(label, shots=1, retriever="bm25", retrievers=list(RETRIEVERS))
    values = torch.randn((4, 8), generator=torch.Generator().manual_seed(seed))
    provenance = Provenance(
        "a-model", label=label, method=row.as_dict(), seed=seed, scores={"bleu": 10.0 + seed}, task="t"
    )
    store.save(SoftPrompt(values, provenance), where)
    return where


def added(at: Path, source: Path, name: str = "p", *more: object) -> dict[str, object]:
    result = entry.foreword("registry", "add", source, "--name", name, "--store", at, "--json", *more)
    assert result.code == 0, result.err
    return result.json  # type: ignore[no-any-return]


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_the_same_contents_are_the_same_version_and_others_the_next(at: Path, tmp_path: Path) -> None:
    first = added(at, folder(tmp_path / "a"))
    again = added(at, folder(tmp_path / "copy"))
    second = added(at, folder(tmp_path / "b", 1))
    assert (first["version"], again["version"], second["version"]) == (1, 1, 2)
    assert (first["new"], again["new"]) == (True, False) and first["digest"] == again["digest"] != second["digest"]
    (tmp_path / "a" / "README.md").write_text("another card\n", encoding="utf-8")
    assert added(at, tmp_path / "a")["version"] == 1, "a card changes no answer"
    index, version = Registry(at).resolve("p")
    assert version.number == 2 and torch.equal(
        Registry(at).load(index.name, version).prompt.values,  # type: ignore[union-attr]
        store.load(tmp_path / "b").values,
    )


def test_aliases_move_and_roll_back_and_a_bare_name_is_production(at: Path, tmp_path: Path) -> None:
    for seed in range(3):
        added(at, folder(tmp_path / str(seed), seed))
    registry = Registry(at)

    def number(reference: str) -> int:
        return registry.resolve(reference)[1].number

    assert number("p") == 3
    for which in ("p@1", "p@2", "p@2"):
        assert entry.foreword("registry", "tag", "-s", at, which, "production").code == 0
    assert number("p") == number("p@production") == 2
    digest = registry.resolve("p@1")[1].digest
    assert number(f"p@{digest[:8]}") == number("p@v1") == 1
    entry.refused("registry", "rm", "-s", at, "p@2", says=("p@2", "production", "move or untag"))
    result = entry.foreword("registry", "rollback", "-s", at, "p", "--json")
    assert result.json["version"] == 1 and number("p") == 1
    entry.refused("registry", "rollback", "-s", at, "p", says=("p@production", "no other version"))
    assert entry.foreword("registry", "untag", "-s", at, "p", "production").code == 0
    assert number("p") == 3
    assert entry.foreword("registry", "rm", "-s", at, "p@3").code == 0 and number("p") == 2
    assert added(at, tmp_path / "2")["version"] == 4, "a number is never given twice"


def test_a_rollback_never_ends_where_it_began(at: Path, tmp_path: Path) -> None:
    """The version between is gone: before and behind it the alias pointed to the same."""
    for seed in range(2):
        added(at, folder(tmp_path / str(seed), seed))
    for which in ("p@1", "p@2", "p@1"):
        assert entry.foreword("registry", "tag", "-s", at, which, "production").code == 0
    assert entry.foreword("registry", "rm", "-s", at, "p@2").code == 0
    entry.refused("registry", "rollback", "-s", at, "p", says=("p@production", "no other version"))


@pytest.mark.parametrize("way", ["copied", "renamed"])
def test_a_copied_or_renamed_folder_is_a_name_of_its_own(way: str, at: Path, tmp_path: Path) -> None:
    """Its index kept the old name: what was asked of the copy was looked for in, or done to, the first."""
    first = added(at, folder(tmp_path / "a"))
    added(at, folder(tmp_path / "b", 1), "p", "--alias", "production")
    if way == "copied":
        shutil.copytree(at / "p", at / "q")
    else:
        (at / "p").rename(at / "q")
    registry = Registry(at)
    index, version = registry.resolve("q@1")
    assert (index.name, version.digest) == ("q", first["digest"])
    whole = entry.foreword("registry", "show", "q@1", "--store", at, "--json").json
    assert (whole["name"], whole["folder"]) == ("q", str(registry.place("q", version)))
    assert entry.foreword("registry", "export", "q@1", "--store", at, "--out", tmp_path / "out").code == 0
    entry.refused("registry", "untag", "q", "newest", "--store", at, says=("The prompt 'q' has no alias 'newest'",))
    child = added(at, folder(tmp_path / "c", 2), "child", "--parent", "q@1")
    assert child["parents"] == [f"q@{first['digest']}"]
    url = f"file://{tmp_path / 'elsewhere'}"
    assert entry.foreword("registry", "push", "q@1", url, "--store", at).code == 0
    assert (tmp_path / "elsewhere" / "q" / "versions" / str(first["digest"])).is_dir()
    registry.tag("q@1", "production")
    assert json.loads((at / "q" / "index.json").read_text())["name"] == "q", "and so for versions that read it there"
    assert registry.resolve("q")[1].number == 1
    if way == "copied":
        assert registry.resolve("p")[1].number == 2, "what is done to the copy is not done to the first"


def test_list_show_diff_and_export(at: Path, tmp_path: Path) -> None:
    added(at, folder(tmp_path / "a"), "p", "--alias", "production", "--note", "the first")
    added(at, folder(tmp_path / "b", 1), "p", "--parent", "p@1")
    rows = entry.foreword("registry", "list", "-s", at, "--json").json
    assert [(row["version"], row["aliases"], row["scores"]) for row in rows] == [
        (1, ["production"], {"bleu": 10.0}),
        (2, [], {"bleu": 11.0}),
    ]
    assert rows[1]["parents"] == [f"p@{rows[0]['digest']}"]
    assert "p@1" in entry.foreword("registry", "list", "-s", at).out
    shown = entry.foreword("registry", "show", "-s", at, "p@1", "--json").json
    assert shown["virtual_tokens"] == 4 and shown["note"] == "the first" and shown["backbone"] == "a-model"
    assert entry.foreword("registry", "show", "-s", at, "p").code == 0
    difference = entry.foreword("registry", "diff", "-s", at, "p@1", "p@2", "--json").json
    assert difference["settings"] == {"scores.bleu": [10.0, 11.0], "seed": [0, 1]}
    first, second = (store.load(tmp_path / name).values for name in "ab")
    assert difference["numbers"]["relative_distance"] == pytest.approx(
        float((first - second).norm() / first.norm()), rel=1e-6
    )
    assert "cosine" in entry.foreword("registry", "diff", "-s", at, "p@1", "p@2").out
    out = tmp_path / "out"
    assert entry.foreword("registry", "export", "-s", at, "p@2", "--out", out).code == 0
    assert torch.equal(store.load(out).values, second)
    entry.refused("registry", "export", "-s", at, "p@2", "--out", out, says=("not empty", "--out"))


def test_words_only_are_a_version_with_their_pool(at: Path, tmp_path: Path) -> None:
    pool = entry.save_rows(tmp_path / "train.jsonl", entry.rows(5))
    command = ("registry", "add", "--name", "w", "-s", at, "--method", "icl:bm25:2", "--demonstrations", pool)
    assert entry.foreword(*command, "--choices", "none", "--max-new-tokens", 9).code == 0
    index, version = Registry(at).resolve("w")
    stored = Registry(at).load("w", version)
    assert stored.prompt is None and stored.method.k == 2 and len(stored.pool) == 5 and stored.max_new_tokens == 9
    assert index.name == "w"
    entry.refused("registry", "add", "--name", "w", "-s", at, "--method", "icl", says=("icl", "--demonstrations FILE"))
    entry.refused("registry", "add", "--name", "w", "-s", at, "--method", "pt", says=("pt", "trains", "tune"))
    entry.refused("registry", "add", "--name", "w", "-s", at, says=("nothing to add", "--method"))


def test_a_prompt_that_shows_demonstrations_is_refused_without_them(at: Path, tmp_path: Path) -> None:
    prompt_folder = folder(tmp_path / "ipt", label="ipt")
    entry.refused("registry", "add", prompt_folder, "--name", "i", "-s", at, says=("'ipt'", "--demonstrations FILE"))
    assert not Registry(at).names()
    pool = entry.save_rows(tmp_path / "train.jsonl", entry.rows(4))
    assert added(at, prompt_folder, "i", "--demonstrations", pool)["version"] == 1
    plain = folder(tmp_path / "pt")
    says = ("'pt'", "shows none")
    entry.refused("registry", "add", plain, "--name", "x", "-s", at, "--demonstrations", pool, says=says)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a@b", ".hidden", "ä", "a b", "-x", "x" * 101, "a\n"])
def test_names_that_lead_elsewhere_are_refused(at: Path, tmp_path: Path, name: str) -> None:
    entry.refused("registry", "add", folder(tmp_path / "a"), f"--name={name}", "-s", at, says=("no name for a prompt",))
    assert not list(tmp_path.glob("**/index.json"))


@pytest.mark.parametrize("alias", ["1", "v2", "deadbeef", "Production", "a/b", ""])
def test_aliases_that_read_as_versions_are_refused(at: Path, tmp_path: Path, alias: str) -> None:
    added(at, folder(tmp_path / "a"))
    entry.refused("registry", "tag", "-s", at, "p@1", alias, says=("is no alias",))


def test_what_is_not_there_is_said_with_what_is(at: Path, tmp_path: Path) -> None:
    entry.refused("registry", "show", "-s", at, "p", says=("no prompt 'p'", "store is empty"))
    added(at, folder(tmp_path / "a"), "reviews")
    entry.refused("registry", "show", "-s", at, "review", says=("did you mean 'reviews'",))
    entry.refused("registry", "show", "-s", at, "reviews@7", says=("reviews@7", "versions: 1"))
    entry.refused("registry", "show", "-s", at, "reviews@staging", says=("no alias 'staging'",))
    entry.refused("registry", "rm", "-s", at, "reviews", says=("Which version",))
    other = folder(tmp_path / "b", 1)
    entry.refused("registry", "add", other, "-n", "Reviews", "-s", at, says=("'reviews'", "use that name"))


@pytest.mark.parametrize("damage", ["flip", "lose", "more", "gone"])
def test_a_changed_byte_is_refused_at_load(at: Path, tmp_path: Path, damage: str) -> None:
    added(at, folder(tmp_path / "a"))
    registry = Registry(at)
    index, version = registry.resolve("p")
    place = registry.place("p", version)
    weights = place / store.WEIGHTS
    if damage == "flip":
        whole = bytearray(weights.read_bytes())
        whole[-1] ^= 1
        weights.write_bytes(whole)
    elif damage == "lose":
        (place / store.CERTIFICATE).unlink()
    elif damage == "more":
        (place / "extra.json").write_text("{}", encoding="utf-8")
    else:
        shutil.rmtree(place)
    with pytest.raises(ForewordError, match=r"files of p@1 .* restore them from a copy"):
        registry.load(index.name, version)


@pytest.mark.parametrize("damage", ["byte", "file", "folder"])
def test_adding_the_same_prompt_again_mends_a_damaged_version(at: Path, tmp_path: Path, damage: str) -> None:
    registry = Registry(at)
    added(at, folder(tmp_path / "a"))
    place = registry.place("p", registry.resolve("p")[1])
    weights = place / store.WEIGHTS
    if damage == "byte":
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    elif damage == "file":
        weights.unlink()
    else:
        shutil.rmtree(place)
    entry.refused("registry", "show", "-s", at, "p", says=("p@1", "add the same prompt again"))
    again = added(at, folder(tmp_path / "copy"))
    assert (again["version"], again["new"]) == (1, False)
    assert torch.equal(registry.load(*resolved(registry, "p")).prompt.values, store.load(tmp_path / "a").values)


def resolved(registry: Registry, reference: str) -> tuple[str, Version]:
    index, version = registry.resolve(reference)
    return index.name, version


def test_pickles_links_and_folders_are_refused(at: Path, tmp_path: Path) -> None:
    for number, extra in enumerate(("adapter_model.bin", "code.py", "inner/x.json", "link.json", ".hidden.json")):
        prompt_folder = folder(tmp_path / str(number))
        (prompt_folder / extra).parent.mkdir(exist_ok=True)
        if extra.startswith("link"):
            (prompt_folder / extra).symlink_to(prompt_folder / store.CONFIG)
        else:
            (prompt_folder / extra).write_bytes(b"{}")
        name = Path(extra).parts[0]
        entry.refused("registry", "add", prompt_folder, "--name", "p", "-s", at, says=(name, "remove it"))
    assert not Registry(at).names()


def test_damaged_indexes_are_one_sentence(at: Path, tmp_path: Path) -> None:
    added(at, folder(tmp_path / "a"))
    path = at / "p" / "index.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    for damaged in ("{", "[]", "{}", json.dumps(whole | {"layout": 2}), json.dumps(whole | {"versions": 3})):
        path.write_text(damaged, encoding="utf-8")
        entry.refused("registry", "show", "-s", at, "p", says=("index",))
    path.write_text(json.dumps(whole | {"aliases": {"production": ["0" * 64]}}), encoding="utf-8")
    entry.refused("registry", "show", "-s", at, "p", says=("points to no version",))


def test_references_are_read_in_one_way() -> None:
    for text in ("a", "a@3", "a@0123abcd", "a@production", "A.b-c_d@x-1"):
        assert str(parse_reference(text)) == text
    for text in ("a@", "@", "a@b@c", "a@0", "a@1234567890123"):
        if text == "a@1234567890123":
            assert parse_reference(text).digest
            continue
        with pytest.raises(ForewordError):
            parse_reference(text)


def test_versions_are_pushed_and_pulled_as_they_are(at: Path, tmp_path: Path) -> None:
    added(at, folder(tmp_path / "a"))
    added(at, folder(tmp_path / "b", 1), "p", "--parent", "p@1")
    url = f"file://{tmp_path}/there"
    for alias in ("3", "Bad Alias", ""):
        entry.refused("registry", "push", "-s", at, "p@2", url, "-a", alias, says=("is no alias",))
    result = entry.foreword("registry", "push", "-s", at, "p@2", url, "-a", "production", "--json")
    assert (result.json["version"], result.json["new"]) == (1, True), result.err
    assert Registry(tmp_path / "there").resolve("p@production")[1].digest == Registry(at).resolve("p@2")[1].digest
    assert entry.foreword("registry", "push", "-s", at, "p@1", url, "--json").json["version"] == 2
    assert entry.foreword("registry", "push", "-s", at, "p@2", url, "--json").json["new"] is False
    other = tmp_path / "other"
    other.mkdir()
    result = entry.foreword("registry", "pull", "-s", other, url, "p", "-a", "here", "--json")
    assert result.json["new"] and Registry(other).resolve("p@here")[1].digest == Registry(at).resolve("p@2")[1].digest
    assert result.json["parents"] == [f"p@{Registry(at).resolve('p@1')[1].digest}"], "which was not pulled"
    assert torch.equal(
        store.load(Registry(other).place("p", Registry(other).resolve("p")[1])).values,
        store.load(tmp_path / "b").values,
    )
    entry.refused("registry", "pull", "-s", other, url, "q", says=("no prompt 'q'", "check the name"))
    entry.refused("registry", "pull", "-s", other, "nowhere://x", "q", says=("nowhere://x",))
    there = Registry(tmp_path / "there")
    weights = there.place("p", there.resolve("p@2")[1]) / store.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    entry.refused("registry", "pull", "-s", other, url, "p@2", says=("is not p@2", "pull it again"))
    index = json.loads((tmp_path / "there" / "p" / "index.json").read_text(encoding="utf-8"))
    for elsewhere in ("../../../evil.json", "..", ".", "..\\..\\evil.json", ""):
        index["versions"][0]["files"] = {elsewhere: "0" * 64}
        (tmp_path / "there" / "p" / "index.json").write_text(json.dumps(index), encoding="utf-8")
        entry.refused("registry", "pull", "-s", other, url, "p@1", says=("damaged", "lies elsewhere"))


@pytest.mark.parametrize("damage", ["byte", "file"])
def test_a_second_push_says_so_and_mends_what_is_damaged_there(at: Path, tmp_path: Path, damage: str) -> None:
    added(at, folder(tmp_path / "a"))
    url, there = tmp_path / "there", Registry(tmp_path / "there")
    run_push = ("registry", "push", "-s", at, "p", url, "--json")
    assert [entry.foreword(*run_push).json["new"] for _ in range(2)] == [True, False], "the newest is there already too"
    weights = there.place(*resolved(there, "p")) / store.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x") if damage == "byte" else weights.unlink()
    entry.refused("registry", "pull", "-s", tmp_path / "other", url, "p", says=("push",))
    again = entry.foreword(*run_push).json
    assert (again["version"], again["new"]) == (1, False)
    assert entry.foreword("registry", "pull", "-s", tmp_path / "other", url, "p").code == 0


def test_writers_at_once_lose_nothing(at: Path, tmp_path: Path) -> None:
    folders = [folder(tmp_path / f"f{seed}", seed) for seed in range(6)]
    children = [
        entry.Process(["registry", "add", source, "-n", "p", "-s", at, "-a", f"a-{number}"], tmp_path / f"s{number}")
        for number, source in enumerate(folders)
    ]
    assert [child.wait() for child in children] == [0] * 6, [child.err.read_text() for child in children]
    index = Registry(at).index("p")
    assert sorted(version.number for version in index.versions) == [1, 2, 3, 4, 5, 6]
    assert len(index.aliases) == 6
    for number, source in enumerate(folders):
        _, version = Registry(at).resolve(f"p@a-{number}")
        stored_prompt = Registry(at).load("p", version).prompt
        assert stored_prompt is not None and torch.equal(stored_prompt.values, store.load(source).values)


def killed(at: Path, tmp_path: Path, times: int, seed: str) -> None:
    rng = Random(seed)
    sources = [folder(tmp_path / f"k{number}", number) for number in range(times)]
    started = time.monotonic()
    whole = entry.Process(["registry", "add", sources[0], "-n", "p", "-s", at], tmp_path / "whole")
    assert whole.wait() == 0
    usual = time.monotonic() - started
    for number, source in enumerate(sources[1:], 1):
        child = entry.Process(["registry", "add", source, "-n", "p", "-s", at, "-a", "x"], tmp_path / f"s{number}")
        time.sleep(rng.uniform(0.3, 1.05) * usual)
        child.kill()
        assert child.wait() in (0, -signal.SIGKILL)
        registry = Registry(at)
        for version in registry.index("p").versions:
            assert registry.load("p", version).prompt is not None
    assert entry.foreword("registry", "add", sources[-1], "-n", "p", "-s", at).code == 0, "a dead writer's lock is free"
    for path in at.rglob(".*"):
        os.utime(path, (1, 1))
    assert entry.foreword("registry", "gc", "-s", at).code == 0
    known = {version.digest for version in Registry(at).index("p").versions}
    assert {path.name for path in (at / "p" / "versions").iterdir()} == known
    assert sorted(path.name for path in (at / "p").iterdir()) == [".lock", "index.json", "versions"]


def test_killed_writers_leave_whole_versions(at: Path, tmp_path: Path) -> None:
    killed(at, tmp_path, 6, "registry")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_killed_writers(at: Path, tmp_path: Path, seed: int) -> None:
    killed(at, tmp_path, 30, f"registry/{seed}")
