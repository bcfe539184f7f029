"""`foreword serve`: one frozen model and a store of prompts over HTTP, as OpenAI's API; `foreword keys`: who may ask; it refuses an open
door."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from foreword.cli import options as o
from foreword.cli.talk import Bars, print_json, say
from foreword.util.text import comma_list

SERVING = "Serving"
LIBRARIES = ("fastapi", "uvicorn", "starlette", "prometheus_client")


def _flag(kind: Any, name: str, words: str, **more: Any) -> Any:
    """A flag of the server's own."""
    return Annotated[kind | None, typer.Option(name, help=words, rich_help_panel=SERVING, **more)]


MODEL = ("model", *o.LOADED, "target_tokenizer")
SETTINGS = {
    "store": _flag(
        Path,
        "--prompts",
        "A store that `foreword registry` keeps.",
        envvar="FOREWORD_STORE",
    ),
    "keys": _flag(Path, "--api-keys", "A file that `foreword keys` writes; all but health is behind them."),
    "max_rows": _flag(int, "--max-rows", "Rows answered at once.", min=1),
    "max_tokens": _flag(int, "--max-tokens-held", "Tokens of rows answered at once.", min=1),
    "max_waiting": _flag(int, "--max-waiting", "Answers that may wait beside those; more are told 429.", min=0),
    "max_new_tokens": _flag(
        int, "--max-new-tokens", "Tokens of an answer, where neither request nor prompt says.", min=1
    ),
    "deadline": _flag(float, "--deadline", "Seconds for one answer.", min=0.1),
    "log": _flag(Path, "--log", "A file for a JSON line a request."),
    "log_content": _flag(bool, "--log-content", "Log what was asked and answered, too."),
    "log_features": _flag(
        bool,
        "--log-features",
        "Log what `foreword monitor` compares, too: a vector of each input, the number of a choice.",
    ),
    "log_bytes": _flag(int, "--log-bytes", "Bytes at which a log is put aside.", min=1000),
    "admin": _flag(bool, "--admin", "Let prompts be loaded and unloaded over HTTP."),
}


@o.takes(MODEL, SETTINGS)
def serve(
    host: Annotated[str, typer.Option("--host", help="Where to listen.", rich_help_panel=SERVING)] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: a free one.", rich_help_panel=SERVING)
    ] = 8000,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", min=1, help="Seconds that answers under way have after SIGTERM.", rich_help_panel=SERVING
        ),
    ] = 30.0,
    otlp: Annotated[
        str | None,
        typer.Option(
            "--otlp", help="An OpenTelemetry collector's url, such as http://localhost:4318.", rich_help_panel=SERVING
        ),
    ] = None,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Serve a frozen model and many prompts on it, in one batch, as OpenAI's API; the playground is at /.

    Examples:

      foreword serve --model reference --prompts store --port 8000

      foreword serve --model gpt2 --prompts store --host 0.0.0.0 --api-keys keys.json --log requests.jsonl
    """
    from foreword import __version__
    from foreword.registry import Registry

    running, inside = _library("foreword.serve.running"), _library("foreword.serve.service")
    app_of = _library("foreword.serve.app").app_of
    settings = inside.Settings(**{name: flags[name] for name in SETTINGS if flags[name] is not None})
    running.refuse_open(host, settings.keys is not None)
    if settings.store is not None:
        Registry(settings.store).refuse_missing()
    _refuse_log(settings, otlp, flags["log_bytes"])
    if settings.keys is not None:
        _library("foreword.serve.keys").read_keys(settings.keys)
    telemetry = _library("foreword.serve.telemetry").Telemetry.to(otlp, __version__) if otlp else None
    bound = running.listening(host, port)
    service = inside.Service(loaded(o.settings({name: flags[name] for name in MODEL})), settings, telemetry)
    for sentence in service.check_store():
        print(f"foreword: not served: {sentence}", file=sys.stderr)

    def started() -> None:
        place = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
        prompts = [served.id for served in service.shelf.loaded()]
        if as_json:
            print_json({"url": place, "model": service.shelf.base, "prompts": prompts})
        else:
            say(f"{service.shelf.base} and {len(prompts)} prompts at {place} (Ctrl-C ends it)")
        sys.stdout.flush()

    try:
        running.run(app_of(service, __version__), bound, grace=grace, started=started)
    finally:
        service.close()


def _refuse_log(settings: Any, otlp: str | None, log_bytes: int | None) -> None:
    """Raises ForewordError for a log that cannot be written, and for what says how to keep one that there is not, before a model is
    loaded."""
    from foreword.util.errors import ForewordError
    from foreword.util.files import may_write_file

    if settings.log is not None:
        may_write_file(settings.log)
        _library("foreword.serve.log").refuse_other(settings.log)
        return
    if log_bytes is not None:
        raise ForewordError(
            "--log-bytes says when a log is put aside, and there is no --log; give one, or leave it out."
        )
    if settings.log_content and not otlp:
        raise ForewordError(
            "--log-content keeps what was said in a log, and there is neither --log nor --otlp; give one, or leave it out."
        )


def keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of keys; made if it is not there.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Whose key it is.")],
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts", help="Comma list of the prompts that it may ask, base for the model alone; else all."
        ),
    ] = None,
    rate: Annotated[int, typer.Option("--rate", min=0, help="Requests a minute; 0: any number.")] = 0,
    admin: Annotated[bool, typer.Option("--admin", help="It may load and unload prompts.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Take the key out; running servers refuse it at once.")] = False,
    as_json: o.Json = False,
) -> None:
    """Make an API key and add it to a file, which keeps its digest alone: the key is shown once.

    Examples:

      foreword keys keys.json --name alice --prompts reviews,tickets --rate 60

      foreword keys keys.json --name alice --drop
    """
    from foreword.util.errors import ForewordError

    library = _library("foreword.serve.keys")
    if drop:
        if prompts is not None or rate or admin:
            raise ForewordError("--drop takes a key out; leave --prompts, --rate and --admin away.")
        library.drop_key(file, name)
        if as_json:
            print_json({"name": name, "dropped": True})
        else:
            say(f"{name} is no longer in {file}.")
        return
    allowed = tuple(comma_list(prompts or ""))
    if prompts is not None and not allowed:
        raise ForewordError("--prompts is given and names none; name some, or leave it out for a key that may ask all.")
    key = library.new_key(file, name, prompts=allowed, rate=rate, admin=admin)
    if as_json:
        print_json({"name": name, "key": key})
    else:
        say(key)


def loaded(options: dict[str, Any]) -> Any:
    """The model that flags name. Raises ForewordError where they name none."""
    from foreword.config.run import Run
    from foreword.util.errors import ForewordError

    if not options.get("model"):
        raise ForewordError("There is no model; give --model NAME.")
    run = Run.model_validate(options)
    bars = Bars()
    with bars.shown(), bars.waiting("loading model"):
        from foreword.study import plan

        return plan.loaded(run, bars)


def _library(name: str) -> Any:
    """A module of the server. Raises MissingExtraError where what it needs is not installed."""
    from foreword.util.errors import MissingExtraError

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in LIBRARIES:
            raise MissingExtraError("Serving", "serve") from error
        raise
