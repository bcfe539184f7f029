"""The `foreword` command: runs a verb and turns every failure into one sentence; it refuses to show a traceback."""

from __future__ import annotations

import os
import sys

STOPPED = "Stopped. What was finished is kept; the same command goes on from there."
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # no robot of the hub's is asked to turn a pickle into what foreword reads
}


INTERRUPTED = 130


def main() -> None:
    """Run the command line. Exit codes: 0 done; 2 refused (bad input or usage); 3 done, but for trials that failed; 130 stopped by
    Ctrl-C; 1 a fault of foreword's."""
    code = INTERRUPTED
    try:
        try:
            _stand_in()
            sys.unraisablehook = _unraisable
            code = _run()
        finally:
            _end()
    except KeyboardInterrupt:
        code = _say(STOPPED, INTERRUPTED)
    sys.exit(code)


def _run() -> int:
    try:
        # Everything is imported here, so that Ctrl-C while it loads is Ctrl-C and no traceback.
        from foreword.util.errors import ForewordError
    except KeyboardInterrupt:
        return _say(STOPPED, INTERRUPTED)
    try:
        _quiet()
        from foreword.cli.app import app
        from foreword.util.allocator import keep_freed

        keep_freed()

        code = app(standalone_mode=False, prog_name="foreword")
        sys.stdout.flush()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # how rich leaves then
            return _unread()
        return stop.code if isinstance(stop.code, int) else 1
    except ForewordError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return _say(STOPPED, INTERRUPTED)
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return _say(
            f"The system refused{where}: {error.strerror or error}; check the path, its rights and the free space.", 2
        )
    except Exception as error:  # the last line of defence: a usage error, or a fault of foreword's own
        return _fault(error)
    if code == INTERRUPTED:  # how the parser reports Ctrl-C
        return _say(STOPPED, INTERRUPTED)
    return code if isinstance(code, int) else 0


def _stand_in() -> None:
    """Where a stream was closed by whoever started this (`>&-`), nothing stands in for it: the next file to be opened would take its
    number, and get what is printed."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != descriptor:
                os.dup2(nothing, descriptor)
                os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _unraisable(broken: sys.UnraisableHookArgs) -> None:
    """Ctrl-C where Python can raise nothing (a finaliser, a callback) is asked for again, and not printed."""
    if broken.exc_type is KeyboardInterrupt:
        import _thread

        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(broken)


def _end() -> None:
    """Write out what is still to be written, and leave Ctrl-C to the system: while the interpreter ends, it would be a traceback."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # said already, or nobody is there to be told
            _to_nothing(stream)


def _to_nothing(stream: object) -> None:
    """What is written to the stream from now on is dropped."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return  # it is no file


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
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "foreword"
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} `{path} --help` lists what there is."


def _quiet() -> None:
    """Libraries talk to their own developers; users get foreword's sentences. What the user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not (stream.encoding or "").lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


def _unread() -> int:
    """Whoever read stdout has gone, which is no fault; nothing more is written there."""
    _to_nothing(sys.stdout)
    return 0


def _say(sentence: str, code: int) -> int:
    try:
        from foreword.util.errors import brief

        print(f"foreword: {brief(' '.join(sentence.split()))}", file=sys.stderr, flush=True)
    except (OSError, ValueError):  # nobody is there to be told; the exit code says it
        _to_nothing(sys.stderr)
    return code


if __name__ == "__main__":
    main()
