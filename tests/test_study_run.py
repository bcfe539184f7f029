"""Studies that run: each cell once, a failed one leaves the others, killed workers change no score, and a training serves several tasks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import entry
from foreword.results.record import Record
from foreword.study import gate
from foreword.study.executors import Job
from foreword.study.executors.base import ATTEMPTS, attempt
from foreword.study.grid import Study, lay_out
from foreword.study.measure import entry as entry_of
from foreword.study.preset import preset
from foreword.study.questions import answers, nearest
from foreword.study.running import carry_out
from foreword.study.stored import Folder, keep, names, read
from foreword.study.unit import Bench, run_unit
from foreword.util.claims import Claims
from foreword.util.errors import ForewordError

HEAD = 'title = "Mine"\nquestions = ["main"]\n'
SMOKE = """
[smoke]
models = {models}
tasks = {{ a = "mini-dart", b = "mini-totto" }}
seeds = [0]
run = {{ limit = 3, train_limit = 8, max_new_tokens = 4, tuning = {{ max_steps = 2, eval_every = 2, dev_limit = 2, prompt_length = 2 }} }}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return entry.save_model(tmp_path_factory.mktemp("tiny") / "bloom", "bloom")


def save(folder: Path, parts: str, models: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(HEAD + parts + SMOKE.format(models=models), encoding="utf-8")
    return path


def grid(model: Path, folder: Path, methods: str = '"icl-1", "pt"') -> Path:
    return save(folder, f'[[parts]]\nname = "grid"\nmethods = [{methods}]\n', f'{{ m = "{model}" }}')


def laid(path: Path) -> Study:
    return lay_out(preset(str(path)), "smoke")


def run(path: Path, out: Path, **options: Any) -> list[str]:
    lines: list[str] = []
    carry_out(laid(path), Job(out, "mine", workers=2), say=lines.append, **options)
    return lines


def scores(out: Path) -> dict[str, Any]:
    """Everything that a record says of the answers, by cell."""
    there = read(out, "mine")
    assert all(cell.record is not None for cell in there.cells), [cell.cause for cell in there.cells]
    return {cell.id: [cell.record.scores, cell.record.answers] for cell in there.cells if cell.record is not None}


def test_records_of_a_study_tell_each_other_what_their_examples_share(model: Path, tmp_path: Path) -> None:
    """A record of a time when it was not said is judged by the clusters that a newer one of the same task names; its file stays."""
    path, out = tmp_path / "mine.toml", tmp_path / "out"
    parts = '[[parts]]\nname = "grid"\nmethods = ["zero", "icl-1"]\n'
    smoke = SMOKE.format(models=f'{{ m = "{model}" }}').replace("limit = 3, train", "limit = 150, train")
    path.write_text(HEAD + parts + smoke.replace('"mini-dart", b = "mini-totto"', '"mini-spider"'), encoding="utf-8")
    run(path, out)
    first, second = (cell for cell in read(out, "mine").cells)
    assert first.record is not None and second.record is not None
    names = [answer.cluster for answer in second.record.answers]
    assert len(set(names)) < len(names) and "" in names, "some of one data base, some alone"
    old = replace(first.record, answers=tuple(replace(answer, cluster="") for answer in first.record.answers))
    place = out / "records" / f"{old.key}.json"
    old.write(place)
    before = place.read_bytes()
    again = read(out, "mine").cells[0]
    assert again.record == first.record and place.read_bytes() == before
    assert entry_of([again]).clusters == entry_of([second]).clusters < 150


def test_a_cluster_column_that_is_named_later_counts(model: Path, tmp_path: Path) -> None:
    """No key holds clusters, so that the records of before are taken: they are judged by what the study says today, and no file of them
    changes."""
    lines = [
        {"input": f"{row['input']} {n}", "target": "ba", "doc": f"d{n % 4}"} for n, row in enumerate(entry.rows(9))
    ]
    train, test = (entry.save_rows(tmp_path / f"{name}.jsonl", lines) for name in ("train", "test"))
    path, out = tmp_path / "mine.toml", tmp_path / "out"
    clusters, files = {}, []
    for column in ("", "doc", "input"):
        run_of = f'{{ dev = "{test}", test = "{test}", cluster_column = "{column}", max_new_tokens = 4, choices = ["ba", "lo"] }}'
        smoke = f'[smoke]\nmodels = {{ m = "{model}" }}\ntasks = {{ a = "{train}" }}\nrun = {run_of}\n'
        path.write_text(f'{HEAD}[[parts]]\nname = "grid"\nmethods = ["zero", "icl-1"]\n{smoke}', encoding="utf-8")
        run(path, out)
        cells = read(out, "mine").cells
        assert [cell.cause for cell in cells] == ["", ""]
        clusters[column] = [entry_of([cell]).clusters for cell in cells]
        files.append(dates(out))
    assert files[0] == files[1] == files[2], "the trials are the same"
    assert clusters == {"": [0, 0], "doc": [4, 4], "input": [0, 0]}


def dates(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}


def test_a_study_is_run_once_and_shown(model: Path, tmp_path: Path) -> None:
    path, out = grid(model, tmp_path), tmp_path / "out"
    ran = entry.foreword("study", path, "--out", out)
    assert ran.code == 0 and "[4/4]" in ran.err and "icl-1" in ran.out and "4 done" in ran.out
    first = dates(out)
    assert len(first) == 4 and not (out / "work").exists() and not (out / "claims").exists()
    assert entry.foreword("study", path, "--out", out).code == 0 and dates(out) == first
    shown = entry.foreword("study", "show", out, "--json").json
    assert shown["counts"] == {"done": 4, "failed": 0, "running": 0, "waiting": 0}
    assert {cell["at"]["label"] for cell in shown["cells"]} == {"icl", "pt"}
    assert names(out) == ["mine"]
    record = next((out / "records").iterdir())
    record.unlink()
    assert len(run(path, out)) == 1 and dates(out).keys() == first.keys(), "a record that went away is made again"


def test_other_files_of_the_model_are_looked_at_and_known_by_their_contents(model: Path, tmp_path: Path) -> None:
    path, out = grid(model, tmp_path, '"icl-1"'), tmp_path / "out"
    run(path, out)
    first = dates(out)
    os.utime(model / "config.json", (5, 5))
    assert len(run(path, out)) == 2 and dates(out) == first, "the same model, for all that its files have another date"


def test_another_metric_in_the_same_file_is_another_trial(model: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "mine.py", tmp_path / "out"
    path = grid(model, tmp_path, '"zero"')
    text = path.read_text(encoding="utf-8").replace("limit = 3", f'metrics = ["{own}:score"], limit = 3')
    path.write_text(text, encoding="utf-8")
    for value in (1.0, 0.25):
        own.write_text(f"def score(output, references):\n    return {value}\n", encoding="utf-8")
        assert len(run(path, out)) == 2
        cells = read(out, "mine").cells
        assert not any(cell.cause for cell in cells), cells[0].cause
        assert [list(cell.record.scores.values()) for cell in cells if cell.record] == [[100 * value]] * 2


def test_a_prompt_is_held_against_the_model_as_the_study_loads_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = grid(model, tmp_path, '"pt"'), tmp_path / "out"
    text = path.read_text(encoding="utf-8").replace('"main"', '"nearest"')
    path.write_text(text.replace("limit = 3", 'dtype = "bfloat16", limit = 3'), encoding="utf-8")
    run(path, out)
    there, loaded = read(out, "mine"), []
    load = nearest.backbone_of
    monkeypatch.setattr(nearest, "backbone_of", lambda run: loaded.append(run.dtype) or load(run))
    tables = answers(there.cells, there.preset, out)["nearest"]
    assert loaded == ["bfloat16"] and len(tables[0].rows) == 2
    other = entry.save_model(tmp_path / "other", "bloom", seed=5)
    monkeypatch.setattr(nearest, "backbone_of", lambda run: load(run.model_copy(update={"model": str(other)})))
    (refusal,) = answers(there.cells, there.preset, out)["nearest"]
    assert refusal.holds is None and "other" in refusal.note


def test_a_cell_that_fails_leaves_the_others(model: Path, tmp_path: Path) -> None:
    absent, out = tmp_path / "absent", tmp_path / "out"
    absent.mkdir()
    path = save(tmp_path, '[[parts]]\nname = "grid"\nmethods = ["icl-1"]\n', f'{{ m = "{model}", n = "{absent}" }}')
    ran = entry.foreword("study", path, "--out", out)
    assert ran.code == 3 and "2 failed" in ran.out and "--retry-failed" in ran.out
    there = read(out, "mine")
    assert there.counts()["done"] == 2 and there.counts()["failed"] == 2
    assert all(str(absent) in cell.cause for cell in there.cells if cell.state == "failed")
    assert run(path, out) == [], "it is not tried again unasked"
    entry.save_model(absent, "bloom")
    assert len(run(path, out, retry_failed=True)) == 2 and read(out, "mine").counts()["done"] == 4


def test_a_prompt_is_carried_to_the_other_task(model: Path, tmp_path: Path) -> None:
    parts = '[[parts]]\nname = "grid"\nmethods = ["pt"]\n\n[[parts]]\nname = "carried"\nmethods = ["ipt"]\ncarries = "grid"\n'
    path, out = save(tmp_path, parts, f'{{ m = "{model}" }}'), tmp_path / "out"
    run(path, out)
    cells = {(cell.at.part, cell.at.task): cell.record for cell in read(out, "mine").cells}
    source, target = cells["grid", "mini-dart"], cells["carried", "mini-totto"]
    assert source is not None and target is not None
    assert target.spec["given"] == source.fingerprints["soft_prompt"] == target.fingerprints["soft_prompt"]
    assert str(out) not in json.dumps(target.spec), "what the folder is called is no part of what the trial is"


@pytest.mark.parametrize("method", ["pt", "full-ft"])
def test_one_training_is_scored_on_every_task(method: str, model: Path, tmp_path: Path) -> None:
    path = save(tmp_path, f'[[parts]]\nname = "grid"\nmethods = ["{method}"]\ntrain_on = "a"\n', f'{{ m = "{model}" }}')
    out, alone = tmp_path / "out", tmp_path / "alone"
    run(path, out)
    own, other = (cell.record for cell in read(out, "mine").cells)
    assert own is not None and other is not None
    assert own.task == "mini-dart" and other.task == "mini-totto" and other.spec["trained_by"] == own.key
    assert (other.curve, other.costs.train_flop) == (own.curve, own.costs.train_flop)
    assert other.fingerprints.get("soft_prompt") == own.fingerprints.get("soft_prompt")
    run(grid(model, tmp_path, f'"{method}"'), alone)
    plain = {cell.at.task: cell.record for cell in read(alone, "mine").cells}["mini-dart"]
    assert plain is not None and (plain.key, plain.answers) == (own.key, own.answers), "the same trial as on its own"


def test_all_tasks_together_are_trained_once(model: Path, tmp_path: Path) -> None:
    path = save(tmp_path, '[[parts]]\nname = "grid"\nmethods = ["multi-task"]\n', f'{{ m = "{model}" }}')
    out = tmp_path / "out"
    run(path, out)
    records = [cell.record for cell in read(out, "mine").cells]
    first, other = records
    assert first is not None and other is not None
    assert (
        first.spec["trained_by"] == other.spec["trained_by"] and first.curve == other.curve and first.key != other.key
    )
    assert first.answers[0].input.startswith("Input: mini-dart:") or first.answers[0].input.startswith("mini-dart:")


def test_a_gate_takes_each_answer_from_one_of_the_two(model: Path, tmp_path: Path) -> None:
    methods = '"pt", "ipt", "gate-similarity", "gate-certainty"'
    path, out = grid(model, tmp_path, methods), tmp_path / "out"
    run(path, out)
    there = read(out, "mine")
    assert there.counts()["done"] == 8, [cell.cause for cell in there.cells]
    for task in ("mini-dart", "mini-totto"):
        records = {cell.at.label: cell.record for cell in there.cells if cell.at.task == task}
        pt, ipt = records["pt"], records["ipt"]
        assert pt is not None and ipt is not None
        both = [dict(zip((a.id for a in each.answers), each.answers, strict=True)) for each in (pt, ipt)]
        for rule in ("gate:similarity", "gate:certainty"):
            gated = records[rule]
            assert gated is not None and gated.spec["of"] == [pt.key, ipt.key]
            assert all(answer in (both[0][answer.id], both[1][answer.id]) for answer in gated.answers)
            taken = sum(answer == both[1][answer.id] for answer in gated.answers)
            assert gated.costs.trainable_parameters == 2 * pt.costs.trainable_parameters
            assert any("IPT's answer was taken for" in note for note in gated.notes) and 0 <= taken <= 3
    first = dates(out)
    assert run(path, out) == [] and dates(out) == first


def test_the_certainty_of_an_answer_is_its_mean_log_probability(model: Path, tmp_path: Path) -> None:
    """Held against one plain pass for each answer."""
    path, out = grid(model, tmp_path, '"pt", "ipt", "gate-certainty"'), tmp_path / "out"
    run(path, out)
    bench, cells = Bench(out), laid(path).cells
    gated = next(cell for cell in cells if cell.gates)
    for trial in bench.gated(gated):
        side = gate.side(trial)
        examples = trial.task.test
        laid_out = side.laid(examples)
        outputs = [answer.output for answer in side.record.answers]
        sure = side.certainty(laid_out, outputs)
        for place, (row, output) in enumerate(zip(laid_out, outputs, strict=True)):
            ids = trial.backbone.answer_ids(trial.task.template.replied(output))
            loss, count = trial.backbone.loss(side.prompt.values.to(trial.backbone.device), [row.row(ids)])
            assert sure[place] == pytest.approx(-float(loss) / count, rel=1e-4) and count == len(ids)


def test_another_scale_in_the_folder_is_refused(model: Path, tmp_path: Path) -> None:
    path = grid(model, tmp_path, '"icl-1"')
    keep(tmp_path / "out", laid(path), "")
    path.write_text(path.read_text(encoding="utf-8").replace("[smoke]", "[small]"), encoding="utf-8")
    with pytest.raises(
        ForewordError, match="holds the study mine at the scale smoke, and the scale small is asked for"
    ):
        carry_out(lay_out(preset(str(path)), "small"), Job(tmp_path / "out", "mine"))


def test_an_unknown_question_or_executor_is_refused_before_anything_runs(model: Path, tmp_path: Path) -> None:
    path = grid(model, tmp_path, '"icl-1"')
    with pytest.raises(ForewordError, match=r"There is no executor 'slurm'\. Known: inline, processes, ray"):
        run(path, tmp_path / "out", executor="slurm")
    path.write_text(path.read_text(encoding="utf-8").replace('["main"]', '["mian"]'), encoding="utf-8")
    with pytest.raises(ForewordError, match="There is no question 'mian'; did you mean 'main'"):
        run(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_that_wakes_up_late_publishes_nothing(model: Path, tmp_path: Path) -> None:
    """It was stopped while it tuned; another has taken its unit over and finished it when it goes on."""
    study, out = laid(grid(model, tmp_path, '"pt"')), tmp_path / "out"
    keep(out, study, "")
    cells, folder = list(study.cells[:1]), Folder(out)
    heirs = Claims(out / "claims", patience=0.0)
    sleeper = Claims(out / "claims").take(cells[0].unit)
    assert sleeper is not None and heirs.take(cells[0].unit) is None, "patience begins with the first look"
    published: dict[str, bytes] = {}

    def overtaken(what: str, done: int, total: int, note: str = "") -> None:
        if not published:
            assert attempt(Job(out, "mine"), heirs, Bench(out), cells, lambda: None) == 1
            published.update({path.name: path.read_bytes() for path in (out / "records").iterdir()})

    assert run_unit(Bench(out, progress=overtaken), cells, sleeper) == 0 and sleeper.lost()
    assert {path.name: path.read_bytes() for path in (out / "records").iterdir()} == published != {}
    state, (_, scored) = folder.state(cells[0].id), Bench(out).trials(cells)
    assert state is not None and state.state == "done"
    assert scored[0].finished() is not None, "the record's own soft prompt stands where it says"


def test_a_unit_that_kills_its_workers_is_given_up(model: Path, tmp_path: Path) -> None:
    study, out = laid(grid(model, tmp_path, '"icl-1"')), tmp_path / "out"
    keep(out, study, "")
    cells, claims = list(study.cells[:1]), Claims(out / "claims")
    claims.folder.mkdir(parents=True)
    (claims.folder / f"{cells[0].unit}.{ATTEMPTS}.claim").write_text("{}", encoding="utf-8")
    claims.patience = 0.0
    assert claims.take(cells[0].unit) is None
    assert attempt(Job(out, "mine"), claims, Bench(out), cells, lambda: None) == 0
    state = Folder(out).state(cells[0].id)
    assert state is not None and state.state == "failed" and f"{ATTEMPTS} workers were killed at it" in state.cause


# -- several processes and kill -9 ----------------------------------------------------------------------------------------


def start(path: Path, out: Path, streams: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from foreword.study.executors import Job; from foreword.study.grid import lay_out\n"
        "from foreword.study.preset import preset; from foreword.study.running import carry_out\n"
        "if __name__ == '__main__':\n"
        "    job = Job(Path(sys.argv[2]), 'mine', workers=2, threads=1, attempts=1000)\n"
        "    carry_out(lay_out(preset(sys.argv[1]), 'smoke'), job, executor='processes', say=print)\n"
    )
    script = streams / "go.py"
    script.write_text(code, encoding="utf-8")
    with (streams / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, str(script), str(path), str(out)], stdout=log, stderr=log)


def children(pid: int) -> list[int]:
    there = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(part) for part in there.read_text().split()] if there.exists() else []


def killed_at_random(path: Path, out: Path, streams: Path, kills: int, expected: dict[str, Any]) -> None:
    """Run the study until so many kills have hit a worker or the parent at random moments, and on to its end; where it ends before they
    are spent, its scores are compared, and it begins anew."""
    rng, hits = random.Random("kills"), 0
    while True:
        parent = start(path, out, streams)
        while hits < kills and parent.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                parent.wait(timeout=rng.uniform(0.5, 8.0))
                break
            victim = rng.choice([parent.pid, *children(parent.pid)])
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                hits += 1
            if victim == parent.pid:
                break
        code = parent.wait(timeout=900)
        assert code in (0, -signal.SIGKILL), (streams / "log").read_text(encoding="utf-8")
        if code == 0:
            assert scores(out) == expected, f"after {hits} kills"
            if hits == kills:
                return
            shutil.rmtree(out)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_no_score(kills: int, model: Path, tmp_path: Path) -> None:
    path, whole, out = grid(model, tmp_path, '"icl-1", "pt", "ipt"'), tmp_path / "whole", tmp_path / "out"
    run(path, whole)
    killed_at_random(path, out, tmp_path, kills, scores(whole))
    records = [Record.read(place) for place in (out / "records").iterdir()]
    assert len(records) == 6 and all((out / record.prompt).is_dir() for record in records if record.prompt)
    assert not list(out.rglob(".*")) and not (out / "work").exists() and not (out / "claims").exists()
