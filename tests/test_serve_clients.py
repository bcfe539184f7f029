"""Real clients against a running server, each in a process of its own: what they are told is what foreword says, and lm-eval's score is
foreword's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

import entry
import serving
from foreword.api.predictor import Predictor
from foreword.data.template import Template
from foreword.engine import Backbone, load_backbone
from foreword.prompts import store
from foreword.registry import Registry
from serving import Running

CLIENTS = Path(__file__).parent / "clients"
PYTHON, NODE = "FOREWORD_CLIENTS_PYTHON", "FOREWORD_CLIENTS_NODE"
TEXT = "bana 1 lo"
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("clients") / "model")


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Iterator[Backbone]:
    with load_backbone(str(folder)) as backbone:
        yield backbone


@pytest.fixture(scope="module")
def running(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    where = tmp_path_factory.mktemp("prompts")
    registry = Registry(where / "store")
    template = Template(question="Q: {input}\nA:", answer=" {target}", stop="\n")
    store.save(serving.soft(backbone, 5, 3, template=template.as_dict()), where / "p")
    serving.keep(registry, "p", where / "p")
    with serving.server(backbone, store=registry.folder, max_rows=8, admin=True) as server:
        yield server


def python(package: str) -> str:
    """The interpreter of the clients' environment. Skips where it is not named, or lacks a package."""
    interpreter = os.environ.get(PYTHON)
    if not interpreter:
        pytest.skip(f"{PYTHON} names no interpreter of an environment with the clients")
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    if subprocess.run([interpreter, "-c", code]).returncode:
        pytest.skip(f"{package} is not installed for {interpreter}")
    return interpreter


def client(command: list[object], **more: str) -> Any:
    """What a client printed, as JSON."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI_"))}
    alone = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "NO_PROXY": "*", "OPENAI_API_KEY": "none"}
    words = [str(word) for word in command]
    ran = subprocess.run(words, capture_output=True, text=True, env=inherited | alone | more, timeout=900)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return json.loads(ran.stdout.strip().splitlines()[-1])


# -- in this environment ----------------------------------------------------------------------------------------------------


def test_the_openai_client_comes_again_when_it_is_told_to(backbone: Backbone) -> None:
    with serving.server(backbone, max_rows=1, max_waiting=0) as server, ThreadPoolExecutor(2) as pool:
        impatient = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        patient = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=8)
        with serving.held(server):
            first = pool.submit(server.complete, "base", [5, 6], max_tokens=20)
            serving.waited(lambda: server.service.engine.load > 0)
            with pytest.raises(openai.RateLimitError) as refused:
                impatient.completions.create(model="base", prompt=TEXT, max_tokens=3)
            later = pool.submit(patient.completions.create, model="base", prompt=TEXT, max_tokens=3)
            time.sleep(0.2)
        assert refused.value.code == "queue_full" and int(refused.value.response.headers["retry-after"]) >= 1
        assert first.result()["usage"]["completion_tokens"] == 20
        assert later.result().choices[0].text == server.text("base", TEXT, max_tokens=3)


# -- in theirs --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_langchain_openai(running: Running) -> None:
    ran = client([python("langchain_openai"), CLIENTS / "langchain_client.py", running.url, "p", TEXT])
    expected = running.expected("p", TEXT)
    assert [ran["invoke"], ran["stream"], *ran["batch"], ran["async"], ran["completion"]] == [expected] * 6
    assert ran["usage"]["input_tokens"] == running.complete("p", TEXT, max_tokens=12)["usage"]["prompt_tokens"]
    assert set(ran["order"]) == {"item", "count"} and ran["missing"] == "model_not_found"


@pytest.mark.slow
def test_litellm(running: Running) -> None:
    ran = client([python("litellm"), CLIENTS / "litellm_client.py", running.url, "p", TEXT])
    expected, usage = running.expected("p", TEXT), running.complete("p", TEXT, max_tokens=12)["usage"]
    assert [ran[name] for name in ("chat", "stream", "async", "completion")] == [expected] * 4
    assert ran["tokens"] == [usage["prompt_tokens"], usage["completion_tokens"]]
    assert (ran["missing"], ran["wrong"]) == ("NotFoundError", "BadRequestError")


@pytest.mark.slow
def test_inspect_ai(running: Running, tmp_path: Path) -> None:
    texts = [f"{TEXT} {number}" for number in range(5)]
    answers = [running.expected("p", text) for text in texts]
    rows = [
        {"input": text, "target": answer if at else "never"}
        for at, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
    file = entry.save_rows(tmp_path / "samples.jsonl", rows)
    ran = client([python("inspect_ai"), CLIENTS / "inspect_client.py", running.url, "p", file])
    assert ran["answers"] == answers and ran["accuracy"] == pytest.approx(0.8)


@pytest.mark.slow
def test_the_score_of_lm_eval_is_forewords(running: Running, backbone: Backbone, folder: Path, tmp_path: Path) -> None:
    interpreter = python("lm_eval")
    rows = entry.rows(24, choices=COLOURS)
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    chosen = [row | {"choices": list(COLOURS), "label": COLOURS.index(row["target"])} for row in rows]
    prompt = running.service.shelf.registry.folder.parent / "p"  # type: ignore[union-attr]
    inputs = [row["input"] for row in rows]
    with Predictor(backbone, prompt, max_new_tokens=8, choices="none") as predictor:
        texts = predictor.generate(inputs)
    target = [text if at % 3 else "never" for at, text in enumerate(texts)]
    data = entry.save_rows(
        tmp_path / "rows.jsonl", [row | {"said": output} for row, output in zip(chosen, target, strict=True)]
    )
    common = (
        f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {data}\ntest_split: test\n"
        'doc_to_text: "Q: {{input}}\\nA:"\ntarget_delimiter: " "\nnum_fewshot: 0\n'
    )
    (tasks / "picked.yaml").write_text(
        f"task: picked\noutput_type: multiple_choice\n{common}doc_to_choice: choices\ndoc_to_target: label\n"
        "metric_list:\n  - metric: acc\n",
        encoding="utf-8",
    )
    (tasks / "said.yaml").write_text(
        f"task: said\noutput_type: generate_until\n{common}doc_to_target: said\n"
        'generation_kwargs:\n  until: ["\\n"]\n  max_gen_toks: 8\n  do_sample: false\n'
        "metric_list:\n  - metric: exact_match\nfilter_list:\n  - name: plain\n    filter:\n      - function: remove_whitespace\n"
        "      - function: take_first\n",
        encoding="utf-8",
    )
    ran = client([interpreter, CLIENTS / "lm_eval_client.py", running.url, "p", folder, tasks])
    with Predictor(backbone, prompt, choices=list(COLOURS)) as predictor:
        picked = predictor.generate(inputs)
    right = [float(answer == row["target"]) for answer, row in zip(picked, rows, strict=True)]
    assert [each[1] for each in sorted(ran["samples"]["picked"])] == right
    assert ran["scores"]["picked"]["acc,none"] == pytest.approx(sum(right) / len(right)) and 0 < sum(right) < len(right)
    assert ran["scores"]["said"]["exact_match,plain"] == pytest.approx(2 / 3), (
        "what foreword says is what lm-eval was told"
    )


@pytest.mark.slow
def test_what_schemathesis_makes_of_the_description(running: Running, tmp_path: Path) -> None:
    interpreter = python("schemathesis")
    checks = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"
    command = [Path(interpreter).with_name("schemathesis"), "run", f"{running.url}/openapi.json", "--checks", checks]
    more = ["--max-examples", "25", "--seed", "1", "--generation-deterministic", "--request-timeout", "60"]
    ran = subprocess.run([*map(str, command), *more], capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert running.text("p", max_tokens=2) == running.text("p", max_tokens=2), "the server is well"


@pytest.mark.slow
def test_the_openai_package_of_node(running: Running) -> None:
    node, modules = shutil.which("node"), os.environ.get(NODE)
    if node is None or not modules or not (Path(modules) / "node_modules" / "openai").is_dir():
        pytest.skip(f"there is no node here, or {NODE} names no folder where `npm install openai` was run")
    script = Path(modules) / "foreword_client.mjs"
    shutil.copyfile(CLIENTS / "openai_client.mjs", script)  # node looks for packages beside a script
    try:
        ran = client([node, script, running.url, "p", TEXT])
    finally:
        script.unlink()
    expected, usage = running.expected("p", TEXT), running.complete("p", TEXT, max_tokens=12)["usage"]
    assert [ran[name] for name in ("completion", "chat", "stream")] == [expected] * 3
    assert ran["tokens"] == [usage["prompt_tokens"], usage["completion_tokens"]]
    assert "p@1" in ran["models"] and ran["missing"] == [404, "model_not_found", "NotFoundError"]
