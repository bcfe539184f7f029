"""`foreword evaluate`: score a given soft prompt, or words only, on a test split; it refuses a prompt of another backbone."""

from __future__ import annotations

from typing import Any

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, print_table, say


@o.takes(
    o.SOURCE,
    ("dev", "test", "metrics", "out", "train_limit"),
    o.DEMONSTRATIONS,
    o.MACHINE,
    o.ANSWERING,
    o.WORDING,
    ("allow_other_base",),
)
def evaluate(
    prompt: o.PromptFolder = None,
    method: o.MethodName = None,
    config: o.Config = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Score a prompt, or words only, on a test split: every metric of the task, for the deciding one with its 95% interval.

    `--data` is split as when the prompt was tuned, and refused where that would score what the prompt was trained on. `--test FILE` alone
    is scored whole.

    Examples:

      foreword evaluate --prompt prompts/mine --test test.jsonl

      foreword evaluate --model reference --task mini-dart --method icl:bm25:3
    """
    from foreword.cli.run import run_with
    from foreword.study.resolve import checked

    run = checked(run_with(prompt or (), flags, config=config))
    bars = Bars()
    with bars.shown():
        from foreword.results.scored import scored
        from foreword.study.single import score

        planned, record = score(run, next(iter(prompt or ()), ""), method, progress=bars)
        scores = scored(record) | {"record": str(planned.trials[0].path)}
        scores["notes"] = list(dict.fromkeys((*planned.task.remarks, *scores["notes"])))
    if as_json:
        print_json(scores)
    else:
        _show(scores)


def _show(scores: dict[str, Any]) -> None:
    from foreword.data.examples import counted

    rows = []
    for name, metric in scores["metrics"].items():
        interval = metric["ci95"]
        rows.append([name, f"{metric['score']:.1f}", f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""])
        if interval:
            rows += [
                [f"  {part}, {counted(its['examples'], 'example')}", f"{its['score']:.1f}", ""]
                for part, its in scores["subsets"].items()
            ]
    head = f"{scores['method']} for {scores['task']} on {scores['backbone']}, {counted(scores['examples'], 'example')}"
    print_table(head, ("metric", "score", "95% interval"), rows, left=["metric"])
    if scores["dropped_demonstrations"]:
        say(
            f"Note: {counted(scores['dropped_demonstrations'], 'demonstration')} did not fit the window and were left out."
        )
    for note in scores["notes"]:
        say(f"Note: {note}", style="dim")
    say(f"record: {scores['record']}")
