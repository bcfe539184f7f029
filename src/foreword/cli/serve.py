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

SERVING = "Serving"
LIBRARIES = ("fastapi", "uvicorn", "starlette", "prometheus_client")


@o.takes(
    {
        "model": o.Model,
        "dtype": o.Dtype,
        "device": o.Device,
        "revision": o.Revision,
        "trust_remote_code": o.Trust,
        "target_tokenizer": o.TargetTokenizer,
        "max_new_tokens": o.MaxNewTokens,
    }
)
def serve(
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            "-p",
            envvar="FOREWORD_STORE",
            help="A store that `foreword registry` keeps (else FOREWORD_STORE); without one, the model alone.",
            rich_help_panel=SERVING,
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen.", rich_help_panel=SERVING)] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0: a free one.", rich_help_panel=SERVING)
    ] = 8000,
    api_keys: Annotated[
        Path | None,
        typer.Option(
            "--api-keys",
            help="A file that `foreword keys` writes; all but health is behind them.",
            rich_help_panel=SERVING,
        ),
    ] = None,
    max_rows: Annotated[int, typer.Option("--max-rows", min=1, help="Answered at once.", rich_help_panel=SERVING)] = 32,
    max_held: Annotated[
        int | None,
        typer.Option(
            "--max-tokens-held", min=1, help="Tokens of rows answered at once; else by memory.", rich_help_panel=SERVING
        ),
    ] = None,
    max_waiting: Annotated[
        int, typer.Option("--max-waiting", min=0, help="Beside those; more are told 429.", rich_help_panel=SERVING)
    ] = 256,
    deadline: Annotated[
        float, typer.Option("--deadline", min=0.1, help="Seconds for one answer.", rich_help_panel=SERVING)
    ] = 600.0,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", min=1, help="Seconds that answers under way have after SIGTERM.", rich_help_panel=SERVING
        ),
    ] = 30.0,
    log: Annotated[
        Path | None, typer.Option("--log", help="A file for a JSON line a request.", rich_help_panel=SERVING)
    ] = None,
    log_content: Annotated[
        bool, typer.Option("--log-content", help="Log what was asked and answered, too.", rich_help_panel=SERVING)
    ] = False,
    log_bytes: Annotated[
        int, typer.Option("--log-bytes", min=1000, help="Size at which a log is put aside.", rich_help_panel=SERVING)
    ] = 100_000_000,
    admin: Annotated[
        bool, typer.Option("--admin", help="Let prompts be loaded and unloaded over HTTP.", rich_help_panel=SERVING)
    ] = False,
    as_json: o.Json = False,
    **flags: Any,
) -> None:
    """Serve a frozen model and many prompts on it, in one batch, as OpenAI's API; the playground is at /.

    Examples:

      foreword serve --model reference --prompts store --port 8000

      foreword serve --model gpt2 --prompts store --host 0.0.0.0 --api-keys keys.json --log requests.jsonl
    """
    from foreword import __version__
    from foreword.errors import ForewordError

    running = _library("foreword.serve.running")
    service_of = _library("foreword.serve.service")
    app_of = _library("foreword.serve.app").app_of
    running.refuse_open(host, api_keys is not None)
    if prompts is not None and not prompts.is_dir():
        raise ForewordError(
            f"There is no store at {prompts}; `foreword registry add FOLDER --name NAME --store {prompts}` makes one."
        )
    given = o.settings(flags)
    settings = service_of.Settings(
        store=prompts,
        max_rows=max_rows,
        max_tokens=max_held,
        max_waiting=max_waiting,
        max_new_tokens=given.pop("max_new_tokens", 64),
        deadline=deadline,
        admin=admin,
        keys=api_keys,
        log=log,
        log_content=log_content,
        log_bytes=log_bytes,
    )
    bound = running.listening(host, port)
    service = service_of.Service(_loaded(given), settings)
    place = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
    for sentence in service.check_store():
        print(f"foreword: not served: {sentence}", file=sys.stderr)

    def started() -> None:
        if as_json:
            print_json(
                {"url": place, "model": service.shelf.base, "prompts": [one.id for one in service.shelf.loaded()]}
            )
        else:
            say(f"{service.shelf.base} and {len(service.shelf.loaded())} prompts at {place} (Ctrl-C ends it)")
        sys.stdout.flush()

    try:
        running.run(app_of(service, __version__), bound, grace=grace, started=started)
    finally:
        service.close()


def keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of keys; made if it is not there.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Whose key it is.")],
    prompts: Annotated[
        str, typer.Option("--prompts", help="Comma list of prompts and models that it may ask; else all.")
    ] = "",
    rate: Annotated[int, typer.Option("--rate", min=0, help="Requests a minute; 0: any number.")] = 0,
    admin: Annotated[bool, typer.Option("--admin", help="It may load and unload prompts.")] = False,
    as_json: o.Json = False,
) -> None:
    """Make an API key and add it to a file, which keeps its digest alone: the key is shown once.

    Example:

      foreword keys keys.json --name alice --prompts reviews,tickets --rate 60
    """
    new_key = _library("foreword.serve.keys").new_key
    allowed = tuple(part.strip() for part in prompts.split(",") if part.strip())
    key = new_key(file, name, prompts=allowed, rate=rate, admin=admin)
    if as_json:
        print_json({"name": name, "key": key})
    else:
        say(key)


def _loaded(given: dict[str, Any]) -> Any:
    from foreword.config import Run
    from foreword.errors import ForewordError

    if not given.get("model"):
        raise ForewordError("There is no model to serve; give --model NAME.")
    run = Run.model_validate(given)
    bars = Bars()
    with bars.shown(), bars.waiting("loading model"):
        from foreword.backbone import load_backbone

        return load_backbone(
            run.model,
            dtype=run.dtype,
            device=run.device,
            revision=run.revision or None,
            target_tokenizer=run.target_tokenizer,
            trust_remote_code=run.trust_remote_code,
            progress=bars,
        )


def _library(name: str) -> Any:
    """A module of the server. Raises MissingExtraError where what it needs is not installed."""
    from foreword.errors import MissingExtraError

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in LIBRARIES:
            raise MissingExtraError("Serving", "serve") from error
        raise
