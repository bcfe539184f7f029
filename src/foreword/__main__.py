"""The `foreword` command: runs a verb and turns every failure into one sentence; it refuses to show a traceback."""

from __future__ import annotations

import os
import sys

from foreword.errors import ForewordError


def main() -> None:
    """Run the command line. Exit codes: 0 done; 2 refused (bad input or usage); 130 stopped by Ctrl-C; 1 a fault of foreword's."""
    sys.exit(_run())


def _run() -> int:
    try:
        from foreword.cli.app import app

        app()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except ForewordError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return _say("Stopped. What was finished is kept; the same command goes on from there.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        return _say(
            f"The system refused{where}: {error.strerror or error}; check the path, its rights and the free space.", 2
        )
    except Exception as error:  # the last line of defence: a fault of foreword's own
        if os.environ.get("FOREWORD_TRACEBACK"):
            raise
        if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
            return _say(
                "The memory is not enough; lower --batch-size or --train-batch-size, or use --dtype bfloat16.", 2
            )
        return _say(
            f"This is a fault in foreword, not in your input ({type(error).__name__}: {error}); FOREWORD_TRACEBACK=1 shows where.",
            1,
        )
    return 0


def _say(sentence: str, code: int) -> int:
    print(f"foreword: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
