"""Examples that go together count as one unit: the statistics, the records, the tasks, the command line; no score and no key changes."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import entry
from foreword.data.examples import Columns, Example, examples, merged, shared, shared_kind
from foreword.metrics import metric
from foreword.report.measured import measured
from foreword.report.table import render
from foreword.results import stats
from foreword.results.cells import Cell, Coordinates
from foreword.results.clusters import Clusters, as_in, clusters_of, described, shared_out
from foreword.results.record import ENGINE, Record
from foreword.results.scored import scored
from foreword.results.summary import as_json, summarise
from foreword.study.measure import difference_of
from foreword.study.measure import entry as entry_of
from foreword.tasks import load
from foreword.util.errors import ForewordError
from foreword.util.files import canonical, write_json
from test_summary import hits, record_of
from test_tasks_lookalike import root

Numbers = Any
BLEU = metric("bleu").from_sums


def ratio(sums: Numbers) -> Numbers:
    return 100.0 * sums[..., 0] / sums[..., 1]


def right(values: Numbers) -> Numbers:
    """Right or wrong [J, N] as statistics [J, N, 2]."""
    values = np.asarray(values, float)
    return np.stack([values, np.ones_like(values)], axis=-1)


@st.composite
def studies(draw: st.DrawFn) -> tuple[Numbers, Numbers]:
    """The statistics of two methods, three seeds each, on the same few examples."""
    N = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return right(rng.random((3, N)) < 0.6), right(rng.random((3, N)) < 0.4)


def judged(methods: tuple[Numbers, ...], clusters: list[str] | tuple[str, ...]) -> list[float]:
    """Every number that is said of two methods."""
    a, b = stats.samples(methods, ratio, [False, False], clusters)
    gap = stats.difference(a, b)
    parts = stats.components(a)
    return [
        *(a.score, b.score),
        *(stats.interval(a, highest=100.0)),
        *(gap.observed, gap.p, *gap.interval(), gap.df, stats.detectable(gap)),
        *stats.chances_of_best([a, b], draws=200),
        *(parts.seeds, parts.items, parts.error),
        float(stats.units_needed(gap, 5.0) or 0),
    ]


@given(studies(), st.booleans())
def test_clusters_of_one_are_no_clusters(study: tuple[Numbers, ...], named: bool) -> None:
    N = study[0].shape[1]
    names = [f"passage: {n}" if named or n % 2 else "" for n in range(N)]
    assert judged(study, names) == judged(study, ())


@given(studies(), st.integers(2, 4))
def test_copies_of_an_example_tell_no_more_than_it_alone(study: tuple[Numbers, ...], copies: int) -> None:
    N = study[0].shape[1]
    names = [f"passage: {n}" for n in range(N) for _ in range(copies)]
    repeated = tuple(np.repeat(each, copies, axis=1) for each in study)
    assert judged(repeated, names) == pytest.approx(judged(study, ()), rel=1e-9, abs=1e-9)


@given(studies(), st.integers(1, 5), st.randoms())
def test_the_order_of_examples_decides_nothing_and_no_score_changes(study: Any, clusters: int, rng: Any) -> None:
    N = study[0].shape[1]
    names = [f"table: {rng.randrange(clusters)}" for _ in range(N)]
    order = rng.sample(range(N), N)
    mixed = tuple(each[:, order] for each in study)
    assert judged(mixed, [names[place] for place in order]) == judged(study, names)
    assert judged(study, names)[:2] == pytest.approx(judged(study, ())[:2])


def test_copies_of_translations_tell_no_more_either() -> None:
    """BLEU is no mean of examples: a whole cluster is left out of it, not a part of one."""
    rng = np.random.default_rng(0)
    length = rng.integers(6, 20, size=30)
    counts = np.stack([length - n for n in range(4)], axis=-1)
    matches = rng.binomial(counts, 0.5)
    once = np.concatenate([np.stack([length, length], axis=-1), matches, counts], axis=-1)[None].astype(float)
    (alone,) = stats.samples([once], BLEU, [True], ())
    names = [str(n) for n in range(30) for _ in range(5)]
    (copied,) = stats.samples([np.repeat(once, 5, axis=1)], BLEU, [True], names)
    assert copied.clustered and not alone.clustered
    assert stats.interval(copied, highest=100.0) == pytest.approx(stats.interval(alone, highest=100.0))


def test_a_cluster_counts_by_its_size_and_sizes_alone_are_no_spread() -> None:
    """The error is that of a ratio: where all clusters score alike, however large, none lies apart from the others."""
    sizes = [1, 2, 30, 4, 8]
    names = [str(n) for n, size in enumerate(sizes) for _ in range(size)]
    (even,) = stats.samples([right(np.full((1, 45), 0.8))], ratio, [True], names)
    assert even.score == pytest.approx(80.0) and stats.components(even).error == pytest.approx(0.0, abs=1e-9)
    (uneven,) = stats.samples([right([[1, 1, 1, 0]])], ratio, [True], ["a", "a", "a", "b"])
    assert uneven.score == pytest.approx(75.0)


@pytest.mark.parametrize("units", [1, 2, 3])
def test_few_clusters_are_no_proof(units: int) -> None:
    names = [f"data base: {n % units}" for n in range(300)]
    better, worse = right(np.ones((3, 300))), right(np.zeros((3, 300)))
    gap = stats.difference(*stats.samples([better, worse], ratio, [False, False], names))
    assert gap.units == units and gap.clustered and gap.p > 0.05, "the exact test of so few signs could not tell it"
    apart = stats.difference(*stats.samples([better, worse], ratio, [False, False], ()))
    assert apart.p < 1e-6
    (sample,) = stats.samples([worse], ratio, [False], names)
    low, high = stats.interval(sample, highest=100.0)
    assert low == 0.0 and high > 60 and (units > 1 or high == 100.0)


def test_one_unit_of_an_endless_scale_has_no_empty_interval() -> None:
    low, high = stats.interval(stats.Sample(np.array([[5.0]]), True))
    assert low == 0.0 and high > 60


def test_trends_draw_whole_clusters() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(rng.random(20), 10)
    y = 2 * x + np.repeat(rng.normal(size=20), 10)
    names = [f"page: {n}" for n in range(20) for _ in range(10)]
    plain, clustered = stats.slope(x, y), stats.slope(x, y, clusters=names)
    assert plain is not None and clustered is not None and plain[0] == clustered[0]
    assert clustered[2] - clustered[1] > 2 * (plain[2] - plain[1])
    assert stats.slope(x, y, clusters=["one"] * 200) is None
    for narrow, wide in zip(stats.bins(x, y), stats.bins(x, y, clusters=names), strict=True):
        assert narrow.mean == wide.mean and narrow.count == wide.count
        if wide.lo is not None and wide.hi is not None and narrow.lo is not None and narrow.hi is not None:
            assert wide.hi - wide.lo > narrow.hi - narrow.lo
    assert stats.bins(x, y, edges=1, clusters=["one"] * 200)[0].lo is None


def test_there_is_a_name_for_each() -> None:
    with pytest.raises(ForewordError, match="3 examples and there are 4"):
        stats.samples([right(np.ones((1, 4)))], ratio, [True], ["a", "b", "c"])


# Examples and tasks


def test_a_cluster_is_no_part_of_what_an_example_is() -> None:
    plain = Example("a", {"input": "x"}, ("y",))
    assert replace(plain, cluster="passage: 1").digest() == plain.digest() and plain.cluster == ""
    assert Example("a", {"input": "x"}, ("y",), facts={"group": "3.1"}).cluster == "group: 3.1"
    assert Example("a", {"input": "x"}, ("y",), facts={"group": "3.1"}, cluster="text: 3").cluster == "text: 3"
    task = load("mini-spider")
    bare = replace(task, test=tuple(replace(example, cluster="") for example in task.test))
    assert bare.fingerprint == task.fingerprint and any(example.cluster for example in task.test)


def test_a_cluster_s_name_is_short_and_says_its_kind() -> None:
    long = shared("passage", "word " * 100)
    assert long.startswith("passage: ") and len(long) < 30 and long != shared("passage", "word " * 99)
    assert shared("data base", "") == "" and shared("page", "a", "b") == "page: a / b"
    assert shared_kind([long, "passage: 2"]) == "passage" and shared_kind([long, "page: 2"]) == ""


def test_a_column_of_a_table_names_clusters() -> None:
    rows = [{"input": f"q{n}", "target": "a", "doc": doc} for n, doc in enumerate(["x", "x", "", None, 7])]
    names = [example.cluster for example in examples(rows, Columns(cluster="doc"))]
    assert names == ["doc: x", "doc: x", "", "", "doc: 7"]
    with pytest.raises(ForewordError, match="no column 'dok' in row 1 of the data; did you mean 'doc'"):
        examples(rows, Columns(cluster="dok"))
    (joined,) = merged(examples([rows[0], rows[0] | {"target": "b"}], Columns(cluster="doc")))
    assert joined.cluster == "doc: x" and joined.targets == ("a", "b")
    (first,) = merged(examples([rows[0] | {"doc": ""}, rows[0] | {"target": "b"}], Columns(cluster="doc")))
    assert first.cluster == "doc: x" and first.id == "row-1", "the first that is named"


KINDS = {
    "spider": "data base",
    "squad": "passage",
    "multirc": "paragraph",
    "record": "passage",
    "boolq": "passage",
    "rte": "premise",
    "totto": "page",
    "logic2text": "table",
    "wsc": "text",
}


@pytest.mark.parametrize("name", KINDS)
def test_tasks_say_what_their_test_examples_share(name: str) -> None:
    task = load(name, root())
    assert shared_kind(example.cluster for example in task.test) == KINDS[name]
    if name == "spider":
        assert all(example.cluster == f"data base: {example.facts['db_id']}" for example in task.test)
    bare = replace(task, test=tuple(replace(example, cluster="none") for example in task.test))
    assert bare.fingerprint == task.fingerprint


def test_generated_examples_of_one_data_base_go_together() -> None:
    task = load("mini-spider")
    names = [example.cluster for example in task.test if example.cluster]
    schemas: dict[str, set[str]] = {}
    for example in task.test:
        if example.cluster:
            schemas.setdefault(example.cluster, set()).add(example.fields["input"].partition(" | ")[2])
    assert len(set(names)) < len(names) and shared_kind(names) == "data base"
    assert all(len(own) == 1 for own in schemas.values()), "one schema a data base"


# Records


def clustered(record: Record, *names: str) -> Record:
    """The record with these clusters of its answers, over and over."""
    answers = [replace(answer, cluster=names[n % len(names)]) for n, answer in enumerate(record.answers)]
    return replace(record, answers=tuple(answers))


DOCS = [f"doc: {n}" for n in range(6)]


def test_an_old_record_is_read_and_its_clusters_are_those_of_today(tmp_path: Path) -> None:
    record = replace(record_of("pt", hits(30, 60)), key="0" * 24 + f"-v{ENGINE}")
    contents = json.loads(canonical(asdict(record)))
    for answer in contents["answers"]:
        del answer["cluster"]
    path = tmp_path / f"{record.key}.json"
    write_json(path, contents | {"digest": hashlib.sha256(canonical(contents).encode()).hexdigest()})
    before = path.read_bytes()
    old = Record.read(path)
    assert {answer.cluster for answer in old.answers} == {""}
    of_today = [Example(answer.id, {}, ("yes",), cluster=DOCS[n % 6]) for n, answer in enumerate(old.answers)]
    filled = as_in(old, of_today)
    assert filled == clustered(old, *DOCS) and filled.key == old.key and path.read_bytes() == before
    assert as_in(filled, [replace(example, cluster="") for example in of_today]) == old, "what is said today holds"


def test_records_of_one_task_share_what_any_of_them_says() -> None:
    new, old = clustered(record_of("pt", hits(30, 60)), *DOCS), record_of("icl", hits(20, 60))
    assert clusters_of([old, new], ["q7", "q0", "elsewhere"]) == ("doc: 1", "doc: 0", "")
    assert shared_out([old, new]) == [clustered(old, *DOCS), new]
    other = replace(old, fingerprints={"task": "another"})
    assert shared_out([other, new]) == [other, new], "of another task, whose ids mean nothing here"
    with pytest.raises(
        ForewordError, match=r"'q0' is of the cluster 'doc: 0' in one record and of 'doc: 5' .*--cluster-column"
    ):
        clusters_of([new, clustered(old, *DOCS[::-1])], ["q0"])


def test_a_comparison_says_that_it_rests_on_clusters() -> None:
    names = [f"data base: {n}" for n in range(20)]
    pair = [record_of("icl", hits(100, 200), same=True), record_of("few", hits(104, 200), same=True)]
    plain, wide = (summarise(records, metric) for records in (pair, [clustered(pair[0], *sorted(names * 10)), pair[1]]))
    assert [row.mean for row in wide.rows] == [row.mean for row in plain.rows]
    for narrow, row in zip(plain.rows, wide.rows, strict=True):
        assert row.ci95[1] - row.ci95[0] > 2 * (narrow.ci95[1] - narrow.ci95[0])
        assert (narrow.clusters, row.clusters) == (0, 20)
    assert as_json(wide, "")["clusters"] == {"count": 20, "by": "data base"} and as_json(plain, "")["clusters"] is None
    assert "Intervals and tests are over 20 clusters (by data base) with 200 test examples" in wide.notes[0]
    assert "these 20 clusters tell" in wide.recommendation.reason
    assert "more clusters of test examples would tell" in wide.recommendation.reason
    assert "rests on 20 clusters of 200 examples only" in wide.recommendation.reason
    assert "cluster" not in plain.recommendation.reason and not any("cluster" in note for note in plain.notes)
    console = Console(width=200, file=io.StringIO())
    console.print(render(wide))
    assert "Intervals are 95%, over 20 clusters (by data base) and seeds" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "over 20 clusters (by data base) with 200 test examples" in measured(wide, pair)


def test_one_cluster_and_few_are_said_to_be_so() -> None:
    record = record_of("icl", hits(60, 80), same=True)
    single = scored(clustered(record, "page: a"))
    assert single["metrics"]["exact_match"]["ci95"] == [0.0, 100.0]
    assert "All 80 test examples are of one page, which says nothing of others" in single["notes"][0]
    few = scored(clustered(record, "page: a", "page: b", "page: c"))
    assert "so few clusters say little of others" in few["notes"][0] and few["clusters"] == {"count": 3, "by": "page"}
    assert scored(record)["clusters"] is None
    assert described(["", "", "a"]) is None
    assert str(described(["page: a", "page: a", "text: b"])) == "2 clusters"
    assert str(Clusters(1, 9, "page")) == "1 cluster (by page)"


def test_a_study_s_numbers_rest_on_clusters() -> None:
    a, b = (
        clustered(record_of(label, hits(n, 120), seed=0), *sorted(DOCS * 20)) for label, n in (("pt", 60), ("ipt", 80))
    )
    plain_a, plain_b = clustered(a, ""), clustered(b, "")
    narrow, wide = difference_of([plain_b], [plain_a]), difference_of([b], [plain_a])
    assert wide.points == pytest.approx(narrow.points) and wide.p > narrow.p and wide.reach > narrow.reach
    at = Coordinates("main", "m", "t", "pt", 0)
    numbers = [entry_of([Cell("c", at, {}, "done", record)]) for record in (plain_a, a)]
    assert [number.clusters for number in numbers] == [0, 6] and numbers[0].score == numbers[1].score
    low, high = numbers[1].ci95 or (0.0, 0.0)
    assert high - low > 2 * (numbers[0].ci95[1] - numbers[0].ci95[0])  # type: ignore[index]


# The command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny model, and a table of 48 rows, 16 of each of three documents."""
    folder = tmp_path_factory.mktemp("clusters")
    rows = [row | {"doc": f"d{n // 4}"} for n, row in enumerate(entry.rows(48, choices=("ba", "lo")))]
    return entry.save_model(folder / "model"), entry.save_rows(folder / "own.jsonl", rows)


def ran(place: tuple[Path, Path], out: Path, *more: object) -> Any:
    """A comparison that is scored on the table, whose examples are shown from another that names no documents."""
    train = entry.save_rows(out.parent / "train.jsonl", entry.rows(78, choices=("ba", "lo"))[48:])
    argv = ("compare", "--model", place[0], "--data", train, "--test", place[1], "--out", out, "--methods", "zero,icl")
    return entry.foreword(*argv, "--max-new-tokens", 4, "--json", *more)


def test_a_cluster_column_from_the_command_line_to_the_report(place: tuple[Path, Path], tmp_path: Path) -> None:
    """Records of a run without the column are taken as they are, under the same keys, and then judged by it."""
    plain = ran(place, tmp_path / "out").json
    recorded = {path.name: path.read_bytes() for path in (tmp_path / "out" / "records").iterdir()}
    wide = ran(place, tmp_path / "out", "--cluster-column", "doc").json
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "records").iterdir()} == recorded
    assert (plain["clusters"], wide["clusters"]["by"]) == (None, "doc") and wide["clusters"]["count"] == 12
    assert [row["mean"] for row in wide["rows"]] == [row["mean"] for row in plain["rows"]]
    assert [row["ci95"] for row in wide["rows"]] != [row["ci95"] for row in plain["rows"]]
    assert "clusters (by doc)" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    fresh = ran(place, tmp_path / "fresh", "--cluster-column", "doc").json
    assert [row["ci95"] for row in fresh["rows"]] == [row["ci95"] for row in wide["rows"]]
    assert {path.name for path in (tmp_path / "fresh" / "records").iterdir()} == set(recorded), "the same keys"
    again = ran(place, tmp_path / "fresh").json
    assert [row["ci95"] for row in again["rows"]] == [row["ci95"] for row in plain["rows"]], "what is said today holds"


def test_a_column_that_is_not_there_is_one_sentence(place: tuple[Path, Path], tmp_path: Path) -> None:
    argv = ("compare", "--model", place[0], "--data", place[1], "--out", tmp_path / "out", "--cluster-column", "dok")
    entry.refused(*argv, says=("no column 'dok'", "row 1", "did you mean 'doc'"))
    entry.refused(
        *("compare", "--model", place[0], "--task", "mini-dart", "--out", tmp_path / "out", "--cluster-column", "doc"),
        says=("has its own columns",),
    )


def test_evaluate_says_it_too(place: tuple[Path, Path], tmp_path: Path) -> None:
    argv = (
        "evaluate",
        "--model",
        place[0],
        "--test",
        place[1],
        "--method",
        "zero",
        "--out",
        tmp_path,
        "--cluster-column",
        "doc",
    )
    result = entry.foreword(*argv, "--max-new-tokens", 4)
    assert result.code == 0 and "12 clusters (by doc) with 48 test examples" in " ".join(result.out.split()), result


def test_blanks_around_a_cluster_and_a_colon_in_its_column_say_nothing() -> None:
    rows = [{"input": f"q{n}", "target": "a", "page: of": name} for n, name in enumerate(["x", "x ", " x", "  ", "y"])]
    names = [example.cluster for example in examples(rows, Columns(cluster="page: of"))]
    assert [name == names[0] for name in names] == [True, True, True, False, False] and names[3] == ""
    assert described(names) == Clusters(3, 5, "page of")


@pytest.mark.parametrize("copy", ["as it is", "in capitals"])
def test_copies_of_a_row_are_no_more_evidence_than_one(copy: str, tmp_path: Path) -> None:
    """Twenty copies of 20 questions with choices made a tie a proof (p below 0.001), without a word."""
    once = entry.rows(12, choices=("yes", "no"))
    other = [row | {"input": str(row["input"]).upper()} for row in once] if copy == "in capitals" else once
    run = ("evaluate", "--model", "reference-small", "--method", "zero", "--choices", "yes,no", "--json")
    results = []
    for name, rows in (("once", once), ("often", [*once, *other, *once])):
        test = entry.save_rows(tmp_path / f"{name}.jsonl", rows)
        result = entry.foreword(*run, "--test", test, "--out", tmp_path / name)
        assert result.code == 0, result.err
        results.append(result.json)
    plain, copied = results
    assert copied["examples"] == 36 and plain["examples"] == 12
    if copy == "as it is":
        assert copied["metrics"]["accuracy"]["ci95"] == pytest.approx(plain["metrics"]["accuracy"]["ci95"])
    assert any("12 clusters (by question) with 36 test examples" in note for note in copied["notes"])
