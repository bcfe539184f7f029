"""The one sentence with which an input is refused; it refuses one that has more than a line or does not end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foreword.util.errors import ForewordError


def sentence(run: Callable[[], object], *words: str) -> str:
    """The one sentence with which something is refused, that holds these words."""
    with pytest.raises(ForewordError) as caught:
        run()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 2_000, message
    assert all(word in message for word in words), (words, message)
    return message
