"""Where a command may write, checked before it works; it refuses to write over its own inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreword.config.run import Run
from foreword.util.files import may_write, may_write_file, refuse_input, tidy


def inputs_of(run: Run, config: str | None = None, **more: str) -> dict[str, str]:
    """What a run reads, by the flags that name it."""
    named = {f"--{name}": path for name, path in more.items()}
    return named | {
        "--model": run.model,
        "--data": run.data,
        "--dev": run.dev,
        "--test": run.test,
        "--data-dir": run.data_dir,
        "--target-tokenizer": run.target_tokenizer,
        "--init-prompt": run.tuning.init_prompt,
        "--config": config or "",
    }


def may_write_folder(run: Run, config: str | None = None, **more: str) -> None:
    """Raises ForewordError where the run's folder cannot be written, or is itself an input."""
    out = Path(run.out)
    refuse_input(out, inputs_of(run, config, **more))
    may_write(out)


def may_write_answers(out: str, run: Run, config: str | None, prompts: Sequence[str], demonstrations: str) -> None:
    """Raises ForewordError where a file of answers cannot be written there, or would stand where an input does. What a killed run left
    of that file is removed."""
    path = Path(out)
    for prompt in prompts or ("",):
        refuse_input(path, inputs_of(run, config, prompt=prompt, demonstrations=demonstrations))
    may_write_file(path)
    tidy(path.absolute().parent, path.name)
