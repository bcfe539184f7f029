"""The flags about how a soft prompt and the choices of an answer are used; they refuse to be given to verbs that use neither."""

from __future__ import annotations

from typing import Annotated

import typer

AllowOtherBase = Annotated[
    bool | None,
    typer.Option(
        "--allow-other-base",
        help="Use a soft prompt on another model than it was tuned on, such as a quantised model's full-precision twin.",
        rich_help_panel="What is adapted",
    ),
]

ChoiceScore = Annotated[
    str | None,
    typer.Option(
        "--choice-score",
        help="How choices are compared: sum (log-probability of all tokens), mean (a token), calibrated (less that of the same choice "
        "without the input).",
        rich_help_panel="How",
    ),
]

SCORING = {"choice_score": ChoiceScore}
USING = {"allow_other_base": AllowOtherBase}
