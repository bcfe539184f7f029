"""From config file, overrides and flags to a Run; it refuses a run without a model, unless a prompt names one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreword.cli.options import settings, settings_options

if TYPE_CHECKING:
    from foreword.config.run import Run


def run_of(flags: dict[str, Any], *, config: str | None = None, overrides: Sequence[str] = (), **defaults: Any) -> Run:
    """The Run: defaults of the verb, then the TOML file, then `key=value` overrides, then flags; the later wins. Raises ForewordError for a
    flag that the others make say nothing."""
    from foreword.config.run import load

    flag_settings = settings(flags)
    run = load(Path(config) if config else None, list(overrides), flags=flag_settings, defaults=defaults)
    _refuse_unread(run.tuning.init, [name for name in ("init_text", "init_prompt") if flags.get(name)])
    return run


def _refuse_unread(strategy: str, flags: Sequence[str]) -> None:
    """Raises ForewordError for a text or a prompt to start from that the init strategy does not read. flags: those of them that are set."""
    from foreword.config.tuning import READS
    from foreword.util.errors import ForewordError

    for init, name in READS.items():
        if name in flags and READS.get(strategy, name) != name:
            flag = settings_options()[name].name
            raise ForewordError(
                f"{flag} is given and the soft prompt starts by --init {strategy}, which does not read it; give --init {init}, or "
                f"leave {flag} out."
            )


def run_with(prompts: Sequence[str], flags: dict[str, Any], *, config: str | None = None, **defaults: Any) -> Run:
    """The Run of a verb that uses soft prompts: where no model is given, it is the one that they were tuned on."""
    if not prompts or flags.get("model") is not None:
        return run_of(flags, config=config, **defaults)
    if config is not None:
        run = run_of(flags, config=config, **defaults, model=UNSAID)
        if run.model != UNSAID:
            return run
    from foreword.study.base import base_of

    base = base_of(prompts)
    run = run_of(flags, config=config, **defaults, model=base.model)
    return run if run.revision else run.model_copy(update={"revision": base.revision})


UNSAID = "\0"  # no model's name
