"""Every task on made-up files in its original layout: read whole, worded as the page shows, scored at the top by its own references."""

from __future__ import annotations

import functools
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import lookalike
from foreword import tasks
from foreword.data.examples import Example
from foreword.data.task import SPLITS, Task
from foreword.metrics import metric
from foreword.metrics.totto import reference_lines
from foreword.tasks._page import page

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
FILED = [name for name in tasks.names() if hasattr(tasks.module(name), "PLACE")]
FLOOR = {"bleu": 45, "bleu_mteval": 45, "totto_bleu": 45, "chrf": 70, "rouge_l": 75, "rouge_l_coco": 75, "token_f1": 40}
FLOOR |= {"dart_bleu": 45, "webnlg_bleu": 45, "mtop_template": 10, "spider_match": 5}  # anything else: 0
NOT_FULL = {
    "parent": 60,
    "blec": 60,
}  # they compare with a table or a logical form, which a reference need not tell whole
REAL = 200  # examples of a real file that are scored


@functools.cache
def root() -> Path:
    return lookalike.write(Path(tempfile.mkdtemp(prefix="lookalike-")))


@functools.cache
def loaded(name: str) -> Task:
    return tasks.load(name, root())


@pytest.mark.parametrize("name", FILED)
def test_the_official_layout_of_every_task_is_read(name: str) -> None:
    task = loaded(name)
    assert tasks.about(name, root()).ready
    ids = [example.id for split in SPLITS for example in task.split(split)]
    assert len(set(ids)) == len(ids) and all(task.split(split) for split in SPLITS)
    assert all(
        example.targets and all(target.strip() for target in example.targets)
        for split in SPLITS
        for example in task.split(split)
    )
    assert task.metrics == tuple(tasks.module(name).METRICS) and tasks.module(name).LICENCE
    assert not any("absent" in note for note in task.notes), "the look-alikes have the official files"
    assert {example.question for example in task.train}.isdisjoint(
        example.question for split in SPLITS[1:] for example in task.split(split)
    )


def other(examples: tuple[Example, ...], place: int) -> str:
    """The answer of the next example that answers otherwise."""
    mine = examples[place]
    for step in range(1, len(examples)):
        theirs = examples[(place + step) % len(examples)]
        if set(theirs.targets).isdisjoint(mine.targets):
            return theirs.targets[0]
    raise AssertionError("all examples answer alike")


def scored(task: Task, name: str) -> tuple[float, float]:
    """(the references against themselves, the references of others)."""
    examples, best = task.test, [example.targets[0] for example in task.test]
    worst = [other(examples, k) for k in range(len(examples))]
    if name == "wsc":  # where the referent is not the one meant, naming nobody is right
        best, worst = (
            [example.targets[0] if example.facts["label"] == which else "nobody" for example in examples]
            for which in (1, 0)
        )
    references, facts = [example.targets for example in examples], [example.facts for example in examples]
    return metric(name).score(best, references, facts), metric(name).score(worst, references, facts)


def holds(task: Task) -> None:
    """By every metric of the task, its references score the best value and shuffled ones the floor."""
    for which in task.metrics:
        if "meteor" in which or metric(which).absence():
            continue  # METEOR starts a Java program: tests/test_meteor.py
        top, floor = scored(task, which)
        if metric(which).of_set:
            assert floor < 0.6 * top, f"{which} {floor} {top}"
        elif which in NOT_FULL:
            assert floor < NOT_FULL[which] < top, f"{which} {floor} {top}"
        else:
            assert top == pytest.approx(metric(which).best, abs=1e-6), which
            assert floor <= FLOOR.get(which, 0), f"{which} {floor}"


@pytest.mark.parametrize("name", tasks.names())
def test_references_score_the_maximum_and_shuffled_ones_the_floor(name: str) -> None:
    holds(loaded(name))


@pytest.mark.parametrize("name", FILED)
def test_the_same_on_real_files(name: str) -> None:
    if not DATA.is_dir() or tasks.place(name, DATA) is None or not tasks.about(name, DATA).ready:
        pytest.skip("the real files are not here")
    holds(tasks.load(name, DATA).limited({"test": REAL, "train": 0, "dev": 0}))


def test_the_page_of_tasks_is_current() -> None:
    generated = page(tasks.names(), root())
    written = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert generated == written, "docs/tasks.md is not current: python tests/lookalike.py"
    for name in tasks.names():
        part = generated.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for example in loaded(name).test[:3]:
            assert loaded(name).template.ask(example) + loaded(name).template.reply(example.targets[0]) in part


def by_id(name: str, split: str, which: int = 0) -> Example:
    return loaded(name).split(split)[which]


def test_totto_shows_highlighted_cells_with_the_headers_over_and_left_of_them() -> None:
    example = by_id("totto", "test")
    year, work, place = "1900", *[cell.split()[0] for cell in example.fields["table"].split("<cell> ")[1:]]
    page_title = example.facts["table_page_title"]
    head = "<col_header> Work </col_header> <row_header> 1900 </row_header> </cell>"
    assert example.fields["table"] == (
        f"<page_title> {page_title} </page_title> <section_title> Works </section_title> <table> "
        f"<cell> {work} {head} <cell> {place} {head} </table>"
    )
    assert len(example.targets) == 2 and year in example.targets[0]
    assert all(len(row.targets) == 1 and not row.facts for row in loaded("totto").train)
    assert Counter(example.subset for example in loaded("totto").test) == {"overlap": 4, "nonoverlap": 4}


def test_totto_keeps_a_sentence_that_two_annotators_wrote(tmp_path: Path) -> None:
    """The official script has three slots for references: one written twice takes two of them, and no `<null>` is put there."""
    path = lookalike.write(tmp_path, "totto") / "totto" / "totto_dev_data.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["sentence_annotations"].append(rows[0]["sentence_annotations"][0])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = tasks.load("totto", tmp_path).test[0]
    assert len(first.targets) == 3 and first.targets[0] == first.targets[2]
    assert "<null>" not in reference_lines(first.targets) and "<null>" in reference_lines(first.targets[:2])


def test_webnlg_tells_seen_categories_from_unseen_ones() -> None:
    assert Counter(example.subset for example in loaded("webnlg").test) == {"seen": 6, "unseen": 2}
    assert not any(example.facts for split in ("train", "dev") for example in loaded("webnlg").split(split))


def test_totto_headers_are_found_by_columns_not_by_places() -> None:
    """A header that spans two columns stands over both; a cell that spans none of its columns is not over it."""
    from foreword.tasks.totto import linear

    def cell(value: str, header: bool = False, span: int = 1) -> dict[str, object]:
        return {"value": value, "is_header": header, "column_span": span, "row_span": 1}

    grid = [
        [cell("A", True, 2), cell("B", True)],
        [cell("x", True), cell("y"), cell("z")],
        [cell("wide", False, 2), cell("end")],
    ]
    row = {
        "table": grid,
        "table_page_title": "",
        "table_section_title": "S",
        "highlighted_cells": [[1, 1], [1, 2], [2, 1]],
    }
    assert linear(row, Path("f"), 1) == (
        "<section_title> S </section_title> <table> <cell> y <col_header> A </col_header> <row_header> x </row_header> </cell> "
        "<cell> z <col_header> B </col_header> <row_header> x </row_header> </cell> <cell> end <col_header> B </col_header> "
        "</cell> </table>"
    )


def test_dart_reads_xml_as_json(tmp_path: Path) -> None:
    lookalike.write(tmp_path, "dart")
    folder = tmp_path / "dart"
    from_xml = tasks.load("dart", tmp_path).test
    whole = [
        {
            "tripleset": [cells.split(" : ") for cells in example.fields["input"].split(" | ")],
            "annotations": [{"text": t} for t in example.targets],
        }
        for example in from_xml
    ]
    (folder / "dart-v1.1.1-full-test.xml").unlink()
    (folder / "dart-v1.1.1-full-test.json").write_text(json.dumps(whole))
    assert tasks.load("dart", tmp_path).test == from_xml


def test_logic2text_in_both_layouts(tmp_path: Path) -> None:
    example = by_id("logic2text", "test")
    assert example.fields["logic"].startswith("eq { count {") and example.facts["logic_str"] == example.fields["logic"]
    assert example.fields["table"].startswith("Caption: ") and example.fields["table"].endswith(" | place, sold")
    assert " ; structured knowledge: Caption: " in loaded("logic2text").template.ask(example)
    folder = tmp_path / "logic2text"
    (folder / "all_csv").mkdir(parents=True)
    (folder / "all_csv" / "t.csv").write_text("place#sold#year\nArden#3#1900\nKelso#5#1901\n")
    for split in ("train", "valid", "test"):
        rows = {
            "t.csv": [
                ["Kelso sold more .", [0, 1], f"{split} sales", "None"],
                ["five is most .", [0, 1], f"{split} sales", "None"],
            ]
        }
        (folder / f"{split}_lm.json").write_text(json.dumps(rows))
    task = tasks.load("logic2text", tmp_path)
    assert len(task.train) == 2 and task.test[0].targets == ("Kelso sold more .", "five is most .")
    assert task.test[0].fields == {"table": "Caption: test sales | place, sold | Arden, 3 | Kelso, 5"}
    assert "lacks the logical forms" in task.notes[0] and "without logical forms" in task.source
    relogic = {
        "question": "Kelso sold more .",
        "logic_str": "only { x }",
        "table": {"caption": "c", "header": ["h", "i"]},
    }
    for split in ("train", "dev", "test"):
        (folder / f"{split}.json").write_text(json.dumps([relogic | {"logic_str": f"only {{ {split} }}"}]))
    task = tasks.load("logic2text", tmp_path)
    assert task.dev[0].fields == {"logic": "only { dev }", "table": "Caption: c | h, i"} and task.notes == ()


def test_spider_with_and_without_cell_values() -> None:
    plain, shown = by_id("spider", "test"), by_id("spider-with-cells", "test")
    assert plain.fields["schema"] == "shop | seller : name , town | item : kind , price"
    town = plain.fields["question"].split(" in ")[1].split(",")[0].lower()
    assert shown.fields["schema"] == f"shop | seller : name , town ( {town} ) | item : kind , price"
    assert plain.targets == shown.targets and plain.facts["db_id"] == "shop"
    assert by_id("spider", "test", 1).targets[0].startswith("select count(*), max(price) from item")


def test_spider_gives_each_level_of_hardness_its_score() -> None:
    assert {example.subset for example in loaded("spider").test} <= {"easy", "medium", "hard", "extra"}
    if not DATA.is_dir():
        pytest.skip("the real files are not here")
    counts = Counter(example.subset for example in tasks.load("spider", DATA).test)
    assert counts == {"easy": 248, "medium": 446, "hard": 174, "extra": 166}


def test_cell_values_are_whole_words_and_never_common_ones() -> None:
    from foreword.tasks._spider import likeness

    assert likeness("who lives in new york today", "new york") == 1.0
    assert 0.85 <= likeness("songs of the beetles", "beatles") < 1.0
    assert likeness("who lives in yorkshire", "york") < 0.85
    assert likeness("show the name of all", "name") == 0.0 and likeness("more than 30 of them", "30") == 0.0


def test_t5_wording_of_the_reading_tasks() -> None:
    multirc = by_id("multirc", "test")
    question = loaded("multirc").template.ask(multirc)
    assert (
        question.startswith("question: What is told? answer: ")
        and " paragraph: Sent 1: " in question
        and "<" not in question
    )
    assert multirc.choices == ("False", "True") and multirc.group
    assert len({example.group for example in loaded("multirc").test}) * 2 == len(loaded("multirc").test)
    record = by_id("record", "test")
    question = loaded("record").template.ask(record)
    assert question.startswith("query: In case 0 @placeholder began. entities: ") and "@highlight" not in question
    assert record.fields["passage"].endswith("spoke first") and record.targets == tuple(sorted(record.targets))
    assert len(record.targets) == 2 and all(len(example.targets) == 1 for example in loaded("record").train)
    assert any(example.id.endswith(".2") for example in loaded("record").train), "one train row per gold answer"
    wsc = by_id("wsc", "test")
    assert " because *she* asked" in wsc.fields["text"] and len(loaded("wsc").test) == 12
    assert {example.facts["label"] for example in loaded("wsc").test} == {0, 1}
    assert {example.facts["label"] for example in loaded("wsc").train} == {1}, "trained on right referents only"
    squad = by_id("squad", "test")
    assert squad.fields["question"] == "When did it happen ?" and ' left " ' in squad.fields["context"]
    assert by_id("mrqa-race", "test").fields["context"].startswith("[ PAR ] Note 0")
    assert by_id("mrqa-race", "train").id.startswith("train-") and len(by_id("mrqa-race", "test").targets) == 2


def test_highlight_marks_and_padding_as_t5_has_them() -> None:
    from foreword.tasks._qa import padded
    from foreword.tasks.record import flowing
    from foreword.tasks.wsc import starred

    assert (
        flowing('He left.\n@highlight\nShe came\n@highlight\n"Yes"\n@highlight\nEnd') == 'He left. She came. "Yes" End'
    )
    assert padded("it's 3.5_x (naïve)—é!") == "it ' s 3 . 5_x ( naïve ) — é !"
    assert starred("They use it , it works", "it", 1) == "They use *it* , it works", (
        "the nearest where the number is wrong"
    )
    assert (
        starred('Good for him," he said', "him", 2) == 'Good for *him* ," he said'
        and starred("no such word", "she", 0) is None
    )


def test_passages_stay_in_one_split() -> None:
    for name, field in (("squad", "context"), ("multirc", "paragraph"), ("record", "passage")):
        task = loaded(name)
        assert {example.fields[field] for example in task.train}.isdisjoint(
            example.fields[field] for example in task.dev
        ), name


def test_glue_rows_with_a_missing_cell_are_left_out() -> None:
    assert len(loaded("qqp").test) == 12 and len(loaded("qqp").train) + len(loaded("qqp").dev) == 48


def test_cleaned_e2e_without_its_train_file_says_so(tmp_path: Path) -> None:
    lookalike.write(tmp_path, "e2e_nlg")
    assert tasks.load("e2e-clean", tmp_path).notes == ()
    (tmp_path / "e2e_nlg/cleaned/train-fixed.no-ol.csv").unlink()
    task = tasks.load("e2e-clean", tmp_path)
    assert "(not cleaned)" in task.source and "The cleaned train file is absent" in task.notes[0]


def test_mrqa_without_squad_says_what_to_download(tmp_path: Path) -> None:
    from foreword.util.errors import ForewordError

    lookalike.write(tmp_path, "mrqa")
    with pytest.raises(ForewordError, match=r"trained on SQuAD, and there is no folder 'squad' beside 'mrqa'"):
        tasks.load("mrqa-drop", tmp_path)
