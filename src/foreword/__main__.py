"""The `foreword` command: runs a verb and turns every failure into one sentence; it refuses to show a traceback."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from foreword.errors import ForewordError

STOPPED = "Stopped. What was finished is kept; the same command goes on from there."
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # no robot of the hub's is asked to turn a pickle into what foreword reads
}


def main() -> None:
    """Run the command line. Exit codes: 0 done; 2 refused (bad input or usage); 130 stopped by Ctrl-C; 1 a fault of foreword's."""
    sys.exit(_run())


def _run() -> int:
    try:
        _quiet()
        from foreword.allocator import keep_freed
        from foreword.cli.app import app

        keep_freed()

        code = app(standalone_mode=False, prog_name="foreword")
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except ForewordError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return _say(STOPPED, 130)
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return _say(
            f"The system refused{where}: {error.strerror or error}; check the path, its rights and the free space.", 2
        )
    except Exception as error:  # the last line of defence: a usage error, or a fault of foreword's own
        return _fault(error)
    if code == 130:  # how the parser reports Ctrl-C
        return _say(STOPPED, 130)
    return code if isinstance(code, int) else 0


def _fault(error: Exception) -> int:
    if hasattr(error, "format_message"):
        return _say(_usage(error), 2)
    if os.environ.get("FOREWORD_TRACEBACK"):
        raise error
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError") or "can't allocate memory" in str(error):
        return _say("The memory is not enough; lower --batch-size or --train-batch-size, or use --dtype bfloat16.", 2)
    return _say(
        f"This is a fault in foreword, not in your input ({type(error).__name__}: {error}); FOREWORD_TRACEBACK=1 shows where.",
        1,
    )


def _usage(error: Exception) -> str:
    """The parser's refusal with the place where its flags are listed."""
    told = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "foreword"
    return f"{told}{'' if told.endswith(('.', '?')) else '.'} `{path} --help` lists what there is."


def _quiet() -> None:
    """Libraries talk to their own developers; users get foreword's sentences. What the user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not (stream.encoding or "").lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


def _unread() -> int:
    """Whoever read stdout has gone, which is no fault; nothing more is written there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _say(sentence: str, code: int) -> int:
    print(f"foreword: {' '.join(sentence.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
