"""TRL's records: `messages`, `prompt` with `completion`, as text, as messages, or as a CSV cell; anything else is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foreword.config.run import Run
from foreword.data.conversations import flattened, system_message
from foreword.data.examples import examples
from foreword.data.template import Template
from foreword.registry import load_stored_prompt
from foreword.registry.adding import NewVersion, writer
from foreword.study.resolve import scored_task
from foreword.study.single import inputs
from foreword.tasks import task_from_files
from foreword.util.errors import ForewordError

USER, ASSISTANT = {"role": "user", "content": "balo {x}?"}, {"role": "assistant", "content": " kuder\n"}
SYSTEM = {"role": "system", "content": "Be short."}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, ASSISTANT]},
        {"messages": json.dumps([USER, ASSISTANT])},
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"prompt": [USER], "completion": ASSISTANT["content"]},
        {"prompt": USER["content"], "completion": ASSISTANT["content"]},
    ],
)
def test_one_question_and_its_answer(row: dict[str, Any]) -> None:
    flat = {"input": USER["content"], "target": ASSISTANT["content"], "n": 1}
    assert flattened([row | {"n": 1}], "f") == [flat]
    (example,) = examples([row])
    assert (example.fields["input"], example.targets) == (USER["content"], (ASSISTANT["content"].strip(),))
    assert system_message([row], "f") == ""


def test_a_system_message_is_the_instruction(tmp_path: Path) -> None:
    rows = [{"messages": [SYSTEM, {"role": "user", "content": f"q {n}"}, ASSISTANT]} for n in range(10)]
    assert flattened(rows, "f")[3] == {"input": "q 3", "target": ASSISTANT["content"], "system": "Be short."}
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert task_from_files("talks", path).template.instruction == "Be short."
    template = task_from_files("talks", path, template=Template(instruction="Be long.")).template
    assert template.instruction == "Be long.", "what the user says stands above it"


def test_a_text_that_happens_to_be_a_list_of_objects_is_no_conversation() -> None:
    """A prompt of plain JSON was refused for lack of a role."""
    for row in ({"prompt": '[{"name": "x"}]', "completion": "a"}, {"prompt": "q", "completion": '[{"name": "x"}]'}):
        assert flattened([row], "f") == [{"input": row["prompt"], "target": row["completion"]}]
    answered = {"prompt": [USER], "completion": '[{"name": "x"}]'}
    assert flattened([answered], "f") == [{"input": USER["content"], "target": '[{"name": "x"}]'}]
    half = {"prompt": '[{"role": "user"}]', "completion": "a"}
    with pytest.raises(ForewordError, match="lacks a role or a content"):
        flattened([half], "f")


def test_columns_that_are_asked_for_stand_above_conversations() -> None:
    row = {"input": "a", "target": "b", "messages": "notes", "prompt": "p", "completion": "c"}
    assert flattened([row], "f") == [row]
    text = {"text": "a", "label": "b", "messages": []}
    assert flattened([text], "f", input_column="text", target_column="label") == [text]
    assert system_message([text], "f", "text", "label") == ""


def test_an_answer_may_be_absent_where_none_is_needed() -> None:
    (example,) = examples([{"messages": [SYSTEM, USER]}], answers_needed=False)
    assert example.targets == ()
    with pytest.raises(ForewordError, match="row 1 of f has the turns system, user where"):
        flattened([{"messages": [SYSTEM, USER]}], "f")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"messages": [USER, ASSISTANT, USER, ASSISTANT]},
            r"has the turns user, assistant, user, assistant where .*split longer",
        ),
        ({"messages": [ASSISTANT, USER]}, r"has the turns assistant, user where"),
        ({"messages": []}, r"The value of 'messages' in row 1 of f is no list of messages"),
        ({"messages": "balo"}, r"is no list of messages; write \[\{"),
        ({"messages": [{"role": "user"}]}, r"lacks a role or a content in text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}, ASSISTANT]},
            r"lacks a role or a content in text",
        ),
        ({"prompt": [], "completion": []}, r"The value of 'prompt' in row 1 of f is no list"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ForewordError, match=sentence) as caught:
        flattened([row], "f")
    assert "\n" not in str(caught.value)


def test_system_messages_that_differ_are_refused() -> None:
    rows = [{"messages": [SYSTEM, USER, ASSISTANT]}, {"messages": [USER, ASSISTANT]}]
    with pytest.raises(ForewordError, match="The system messages of rows 1 and 2 of f differ"):
        system_message(rows, "f")


def talks(path: Path, system: str, count: int = 20) -> Path:
    def row(n: int) -> dict[str, Any]:
        return {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"{path.stem} {n}"},
                ASSISTANT,
            ]
        }

    path.write_text("".join(json.dumps(row(n)) + "\n" for n in range(count)), encoding="utf-8")
    return path


def test_system_messages_that_differ_between_splits_are_refused(tmp_path: Path) -> None:
    """Each test row was asked with the system message of train, and all with that of the dev file of a folder."""
    train, test = (
        talks(tmp_path / "train.jsonl", "Answer in French."),
        talks(tmp_path / "test.jsonl", "Answer in Dutch."),
    )
    for place in ((train, None, test), (tmp_path,)):
        with pytest.raises(
            ForewordError, match=r"system messages of \S*(train|test).jsonl and \S*(train|test).jsonl differ"
        ):
            task_from_files("talks", *place)
    task = task_from_files("talks", train, None, test, template=Template(instruction="Answer in French."))
    assert task.template.instruction == "Answer in French."
    assert task.notes[0] == f"The system messages of {test} are not used, for another instruction is given."
    alone = scored_task(Run(model="m", test=str(test), instruction="Be short."))
    assert alone.notes[0].startswith(f"The system messages of {test} are not used")
    talks(train, "Answer in Dutch.")
    task = task_from_files("talks", train, None, test)
    assert task.template.instruction == "Answer in Dutch." and not any("system" in note for note in task.notes)


def test_demonstrations_bring_their_system_message(tmp_path: Path) -> None:
    """A version kept of them, and `generate` of plain inputs, showed them without it; --data of the same rows says it."""
    shown = str(talks(tmp_path / "shown.jsonl", "Reverse the words."))
    plain = tmp_path / "plain.jsonl"
    plain.write_text('{"input": "balo"}\n', encoding="utf-8")
    for said_by_user, instruction in ({}, "Reverse the words."), ({"instruction": "Be short."}, "Be short."):
        version = tmp_path / instruction
        version.mkdir()
        writer(NewVersion(method="icl:bm25:2", demonstrations=shown, template=said_by_user))(version)
        assert load_stored_prompt(version).template(Template()).instruction == instruction
        generate_task = inputs(Run(model="m", data=str(plain), **said_by_user), (), "icl", shown).task
        assert generate_task.template.instruction == instruction
        assert len(generate_task.notes) == len(said_by_user)
    other = str(talks(tmp_path / "other.jsonl", "Answer in French."))
    with pytest.raises(ForewordError, match=r"The system messages of \S*other.jsonl and \S*shown.jsonl differ"):
        inputs(Run(model="m", data=other), (), "icl", shown)
