"""`foreword monitor`: is what comes in like what a prompt was tuned on, and are the answers as they were; it refuses to guess what it is
to be compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.serve import loaded
from foreword.cli.talk import print_json, print_table, say

if TYPE_CHECKING:
    from foreword.monitor import Encoder, Monitored

ALARM = 3  # the exit code where something is unlike the reference
COMPARING, TRUTH = "What is compared", "Truth"


def _flag(kind: Any, name: str, words: str, panel: str = COMPARING, **more: Any) -> Any:
    """A flag of the monitor's own."""
    return Annotated[kind | None, typer.Option(name, help=words, rich_help_panel=panel, **more)]


MODEL = ("model", *o.LOADED)
COMPARED = {
    "prompt": Annotated[
        str | None,
        typer.Option(
            "--prompt",
            "-p",
            help="Whose requests: NAME (its version that answered last), NAME@ and a version's number, 8 characters of its digest or its "
            "alias in --store, or base; else those of --against NAME.",
            rich_help_panel=COMPARING,
        ),
    ],
    "store": Annotated[
        Path | None,
        typer.Option(
            "--store", "-s", envvar="FOREWORD_STORE", help="The store of NAME\\[@VERSION].", rich_help_panel=COMPARING
        ),
    ],
    "window": _flag(int, "--window", "Requests of a window."),
    "alpha": _flag(float, "--alpha", "The probability of any false alarm in --horizon windows in a row."),
    "horizon": _flag(int, "--horizon", "See --alpha."),
    "baseline": _flag(
        int,
        "--baseline",
        "So many requests at the log's beginning are what answers are compared with, unless --against is a log.",
        min=0,
    ),
    "last": _flag(int, "--last", "Only so many of the newest windows may alarm; for cron.", min=1),
    "encoder": None,
}
TRUE = {
    "truth": _flag(Path, "--truth", "A file with a request's `id` and its `target` (or its `score`, 0 to 100).", TRUTH),
    "metric": _flag(str, "--metric", "By which `target` is scored; the prompt's own where not given.", TRUTH),
    "min_score": _flag(float, "--min-score", "Alarm where the whole interval of a whole window lies below it.", TRUTH),
    "label_next": _flag(int, "--label-next", "Name so many requests whose truth would tell most.", TRUTH, min=0),
}


@o.takes(MODEL, COMPARED, TRUE, o.COLUMNS, ("question",))
def monitor(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="The file that `foreword serve --log` writes.")],
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="What requests are compared with: a prompt's folder, NAME\\[@VERSION] of a store, a file of data, or an earlier log.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the page to this file.")] = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Compare logged requests with what a prompt was tuned on, window by window. Exit code 3: something is unlike.

    Examples:

      foreword monitor requests.jsonl --against dart@1 --store store --out drift.html

      foreword monitor requests.jsonl --against train.jsonl --prompt dart --truth truth.jsonl --last 1 --json
    """
    from foreword.metrics import read_named
    from foreword.monitor import MonitorSettings, Rule, monitored
    from foreword.monitor.against import against as reference_of
    from foreword.monitor.against import without_alias
    from foreword.monitor.page import write_page

    flags["prompt"] = without_alias(flags["prompt"] or "", flags["store"])
    options = {name: value for name, value in flags.items() if value is not None}
    read_named([flags["metric"]] if flags["metric"] else [])
    rules = {"window": "size", "alpha": "alpha", "horizon": "horizon"}
    rule = Rule(**{field: options[name] for name, field in rules.items() if name in options})
    encoder = _encoder(flags, flags["encoder"])
    reference = reference_of(
        against,
        store=flags["store"],
        encoder=encoder,
        prompt=flags["prompt"],
        columns=o.columns(flags),
        **o.settings({"question": flags["question"]}),
    )
    fields = {"prompt": "prompt", "baseline": "baseline", "last": "last", "truth": "truth", "metric": "metric"}
    fields |= {"min_score": "least", "label_next": "label"}
    more = {field: options[name] for name, field in fields.items() if name in options}
    result = monitored(MonitorSettings(log, reference, rule=rule, encoder=encoder, **more))
    if out is not None:
        write_page(out, result)
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result, out)
    if result.alarms:
        raise typer.Exit(ALARM)


def _encoder(flags: dict[str, Any], name: str | None) -> Encoder | None:
    """What makes vectors of texts, where a model is given for it. Raises ForewordError for an encoder of states without a model, and for a
    sentence encoder beside one."""
    from functools import partial

    from foreword.monitor import Encoder, Sketch
    from foreword.prompts.retrieve import sentence_encoder
    from foreword.util.errors import ForewordError

    own = name is None or name.partition(":")[0] == "backbone"
    if name is not None and not own:
        unread = next((flag for flag in ("model", "dtype", "revision") if flags.get(flag) is not None), None)
        if unread is not None:
            raise ForewordError(
                f"--encoder {name} is a sentence encoder, and --{unread} is given, which is about a model; leave one of them out, or take "
                "--encoder backbone:mean."
            )
        device = None if flags.get("device") == "auto" else flags.get("device")
        encode = sentence_encoder(name, device=device, trust_remote_code=bool(flags.get("trust_remote_code")))
        return Encoder(encode, f"encoder/{name}", texts=True)
    if not flags.get("model"):
        if name is not None:
            raise ForewordError(f"--encoder {name} takes the states of a model; give --model NAME too.")
        return None
    backbone = loaded(o.settings({key: value for key, value in flags.items() if key in MODEL}))
    if name is None:
        sketch = Sketch(backbone)
        return Encoder(sketch, sketch.kind)
    pooling = name.partition(":")[2] or "mean"
    if pooling not in ("mean", "last"):
        raise ForewordError(f"The encoder '{name}' asks for '{pooling}' states; write backbone:mean or backbone:last.")
    return Encoder(partial(backbone.states, pooling=pooling), f"states/{pooling}/{backbone.fingerprint}", texts=True)


def _show(result: Monitored, out: Path | None) -> None:
    from foreword.monitor.page import headline, reason

    say(f"{headline(result)}. {reason(result)}", style="bold")
    rows = [
        [
            str(window.number + 1),
            window.begins[:16].replace("T", " "),
            test.feature,
            f"{test.window['median']:.4g} ({test.reference['median']:.4g})" if "median" in test.window else "",
            f"{test.adjusted:.2g}",
            "alarm" if test.alarm else "",
        ]
        for window in result.windows
        for test in window.tests
    ]
    if rows:
        columns = ("window", "from", "feature", "median (reference)", "adjusted p", "alarm")
        print_table("", columns, rows, left=["feature", "alarm"])
    for score in result.scores:
        say(
            f"Window {score.window + 1}: {result.metric} {score.score:.1f} ({score.low:.1f} to {score.high:.1f}, "
            f"{result.level * 100:.4g}% interval) over {score.count} requests."
        )
    for row in result.to_label:
        say(f"Label next: {row.id} ({row.why}, {row.value:.4g})")
    for sentence in result.alarms:
        say(sentence)
    for note in result.notes:
        say(f"Note: {note}", style="dim")
    if out is not None:
        say(f"page: {out}")
