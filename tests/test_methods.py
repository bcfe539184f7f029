"""Methods: every label that may be written, every one that is refused, and contexts that never leak the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreword.data.examples import Example
from foreword.data.template import Template
from foreword.plugins import contracts
from foreword.prompts import methods
from foreword.prompts.context import Demonstration, Instruction, Vectors
from foreword.prompts.methods import FORMER, METHODS, REFERENCES, Method, context, current, parse, renames
from foreword.prompts.retrieve import RETRIEVERS, RetrievedExample, make
from foreword.util.errors import ForewordError

TEMPLATE = Template(instruction="Answer.", question="Q: {input}", answer=" A: {target}", separator="\n")


def read(label: str, shots: int = 1, retriever: str = "bm25") -> Method:
    return parse(label, shots=shots, retriever=retriever, retrievers=list(RETRIEVERS))


def example(name: str, text: str | None = None) -> Example:
    return Example(name, {"input": text or f"what is {name}"}, (f"answer {name}",))


POOL = [example(f"e{i}") for i in range(8)]


def test_the_table_is_the_papers_table() -> None:
    """Rows: soft prompt or not. Columns: no demonstrations, fixed ones, retrieved ones. Other methods may stand beside the papers'."""
    cells = {
        "zero": (False, "none"),
        "few": (False, "fixed"),
        "icl": (False, "retrieved"),
        "pt": (True, "none"),
        "ipt-fixed": (True, "fixed"),
        "ipt": (True, "retrieved"),
    }
    assert {name: (METHODS[name].soft, METHODS[name].demonstrations) for name in cells} == cells
    assert all(METHODS[name].instruction != METHODS[name].soft for name in cells)


@pytest.mark.parametrize("name", METHODS)
def test_the_contract_of_every_method(name: str) -> None:
    contracts.method(METHODS[name] if METHODS[name].demonstrations == "none" else read(name))


def test_reference_rows_stand_apart_and_put_nothing_before_the_input() -> None:
    assert not METHODS.keys() & REFERENCES.keys() and all(row.trains == row.soft for row in METHODS.values())
    for name, row in REFERENCES.items():
        assert read(name) == row == row.bare() and row.trains and row.random() and not row.soft
        assert context(row, TEMPLATE, example("new"), soft=7, fixed=POOL[:2], find=find).segments == ()


@pytest.mark.parametrize(
    ("label", "k", "retriever"),
    [
        ("zero", 0, ""),
        ("pt", 0, ""),
        ("few", 2, ""),
        ("few:4", 4, ""),
        ("ipt-fixed:3", 3, ""),
        ("icl", 2, "bm25"),
        ("icl:random", 2, "random"),
        ("icl:5", 5, "bm25"),
        ("icl:dense:3", 3, "dense"),
        ("icl:3:dense", 3, "dense"),
        ("ipt:random:7", 7, "random"),
    ],
)
def test_labels_are_read(label: str, k: int, retriever: str) -> None:
    row = read(label, shots=2)
    assert (row.k, row.retriever) == (k, retriever)
    assert replace(row, k=0, retriever="") == METHODS[label.split(":")[0]]


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (
            "zer",
            r"There is no method 'zer'; did you mean 'zero'\? Known: few, full-ft, icl, ipt, ipt-fixed, lora, pt, zero\.",
        ),
        ("", r"There is no method ''"),
        ("zero:2", r"The method 'zero:2' asks for demonstrations, but 'zero' shows none; write 'zero' alone\."),
        ("pt:bm25", r"asks for demonstrations, but 'pt' shows none"),
        ("full-ft:2", r"asks for demonstrations, but 'full-ft' shows none"),
        ("mt:2", r"asks for demonstrations, but 'full-ft' shows none"),
        ("icl:bm52", r"There is no retriever 'bm52'; did you mean 'bm25'\?"),
        ("icl:0", r"There is no retriever '0'"),
        ("few:bm25", r"The method 'few:bm25' has 'bm25' where a number of demonstrations is expected, as in 'few:4'\."),
        ("few:-1", r"has '-1' where a number"),
        ("pt+instuction", r"There is no switch of a method 'instuction'; did you mean 'instruction'\?"),
        ("zero+instruction", r"asks for the instruction, which 'zero' has already; write it once\."),
        ("pt+instruction+instruction", r"which 'pt' has already"),
        ("pt+instruction:2", r"asks for demonstrations, but 'pt' shows none"),
    ],
)
def test_other_labels_are_refused(label: str, sentence: str) -> None:
    with pytest.raises(ForewordError, match=sentence):
        read(label)


@pytest.mark.parametrize("label", ["pt", "ipt", "ipt-fixed", "full-ft", "ipt:bm25:3"])
def test_a_switch_gives_a_soft_prompt_the_instruction(label: str) -> None:
    name, *rest = label.split(":")
    row = read(":".join((f"{name}+instruction", *rest)))
    assert row == replace(read(label), instruction=True)
    assert row.bare().instruction, "it is no demonstration"


def test_a_former_name_is_read_as_the_name_of_today() -> None:
    assert FORMER["mt"] == "full-ft" and not FORMER.keys() & (METHODS | REFERENCES).keys()
    assert set(FORMER.values()) <= (METHODS | REFERENCES).keys()
    assert read("mt") == read("full-ft") and current("mt:2") == "full-ft:2" and current("icl:bm25:3") == "icl:bm25:3"
    assert read("mt+instruction") == read("full-ft+instruction")
    assert renames(["mt", "pt", "mt:3"]) == ["The method 'mt' is now called 'full-ft'."] and renames(["full-ft"]) == []


def test_the_seed_matters_where_something_is_drawn() -> None:
    random_by_label = {
        label: read(label).random()
        for label in ("zero", "icl", "icl:dense", "icl:random", "few", "pt", "ipt", "ipt-fixed")
    }
    assert [label for label, random in random_by_label.items() if not random] == ["zero", "icl", "icl:dense"]


# -- contexts -------------------------------------------------------------------------------------------------------------


def find(query: Example, k: int) -> list[RetrievedExample]:
    return make("bm25", POOL).find(query, k)


@pytest.mark.parametrize("label", ["zero", "few:2", "icl:2", "pt", "ipt:2", "ipt-fixed:2"])
def test_segments_follow_from_the_row(label: str) -> None:
    row = read(label)
    prompt_context = context(row, TEMPLATE, example("new"), soft=7, fixed=POOL[:2], find=find)
    assert [segment.length for segment in prompt_context.segments if isinstance(segment, Vectors)] == (
        [7] if row.soft else []
    )
    assert [segment.text for segment in prompt_context.segments if isinstance(segment, Instruction)] == (
        ["Answer.\n"] if row.instruction else []
    )
    demonstrations = [segment for segment in prompt_context.segments if isinstance(segment, Demonstration)]
    assert len(demonstrations) == row.k
    for demonstration in demonstrations:
        source = next(known for known in POOL if known.id == demonstration.id)
        assert demonstration.text == TEMPLATE.demonstration(source)
        assert demonstration.shared == (row.demonstrations == "fixed")
        assert (demonstration.similarity is not None) == (row.demonstrations == "retrieved")


def test_an_instruction_that_is_not_there_says_nothing() -> None:
    prompt_context = context(read("zero"), replace(TEMPLATE, instruction=""), example("new"))
    assert prompt_context.segments == ()


def test_the_most_similar_demonstration_stands_last() -> None:
    prompt_context = context(read("icl:3"), TEMPLATE, example("new", "what is e3"), find=find)
    assert [segment.id for segment in prompt_context.segments if isinstance(segment, Demonstration)][-1] != "e3", (
        "that one asks the same question"
    )
    similarities = [segment.similarity for segment in prompt_context.segments if isinstance(segment, Demonstration)]
    assert similarities == sorted(similarities)  # type: ignore[type-var]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.integers(0, 5),
    st.integers(1, 4),
    st.sampled_from(["few", "ipt-fixed"]),
)
def test_fixed_demonstrations_never_hold_the_question(
    texts: list[int], question_number: int, k: int, name: str
) -> None:
    pool = [example(f"p{place}", f"text {number}") for place, number in enumerate(texts)]
    row = replace(read(name), k=k)
    for query in [*pool, example("new", f"text {question_number}")]:
        prompt_context = context(row, TEMPLATE, query, fixed=pool)
        demonstrations = [segment for segment in prompt_context.segments if isinstance(segment, Demonstration)]
        assert len(demonstrations) <= k
        for shown in demonstrations:
            source = next(known for known in pool if known.id == shown.id)
            assert source.id != query.id and source.question != query.question
            assert TEMPLATE.ask(query) not in shown.text.splitlines()


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_retrieved_demonstrations_never_hold_the_question(retriever: str) -> None:
    pool = [example(f"p{i}", f"text {i % 4}") for i in range(12)]

    def encode(texts: Sequence[str]):  # type: ignore[no-untyped-def]
        return numpy.array([[len(text), sum(map(ord, text)) % 7, 1.0] for text in texts], dtype=numpy.float32)

    searcher = make(retriever, pool, encode=encode)
    for query in [*pool, example("new", "text 2")]:
        prompt_context = context(read("icl:3"), TEMPLATE, query, find=searcher.find)
        demonstrations = [segment for segment in prompt_context.segments if isinstance(segment, Demonstration)]
        assert demonstrations
        for shown in demonstrations:
            assert shown.id != query.id
            assert TEMPLATE.ask(query) != TEMPLATE.ask(next(known for known in pool if known.id == shown.id))


def test_retrieval_needs_a_retriever() -> None:
    with pytest.raises(ForewordError, match="This method retrieves demonstrations, and there is no retriever"):
        context(read("icl"), TEMPLATE, example("new"))


def test_a_row_is_plain_values_for_the_key() -> None:
    assert read("ipt:dense:2").as_dict() == {
        "soft": True,
        "demonstrations": "retrieved",
        "instruction": False,
        "k": 2,
        "retriever": "dense",
        "trainable": "prompt",
    }
    assert methods.METHODS is METHODS
