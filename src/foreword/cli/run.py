"""From config file, overrides and flags to a Run; it refuses a run without a model, unless a prompt names one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreword.cli.options import settings

if TYPE_CHECKING:
    from foreword.config.run import Run


def run_of(flags: dict[str, Any], *, config: str | None = None, overrides: Sequence[str] = (), **defaults: Any) -> Run:
    """The Run: defaults of the verb, then the TOML file, then `key=value` overrides, then flags; the later wins. Raises ForewordError for a
    text or a prompt to start from that the init strategy does not read."""
    from foreword.config.run import load
    from foreword.config.tuning import refuse_unread

    flag_settings = settings(flags)
    run = load(Path(config) if config else None, list(overrides), flags=flag_settings, defaults=defaults)
    pairs = (override.partition("=") for override in overrides)
    values = {key.strip().removeprefix("tuning."): text for key, _, text in pairs} | flag_settings.get("tuning", {})
    refuse_unread({key: values.get(key, "") for key in ("init_text", "init_prompt")} | {"init": run.tuning.init})
    return run


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
