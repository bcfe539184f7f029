"""One load of a model at a time, with no request for a conversion to the hub: what the libraries that load models need around them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

NO_ROBOT = "DISABLE_SAFETENSORS_CONVERSION"  # no robot of the hub's is asked to turn a pickle into what foreword reads
# The model library keeps the state of a load in its modules: a second one at once loses weights.
_LOADING = threading.Lock()


@contextlib.contextmanager
def one_load() -> Iterator[None]:
    """No other load and no conversion robot in the block; what the user has set of the latter stays."""
    with _LOADING:
        ours = NO_ROBOT not in os.environ
        os.environ.setdefault(NO_ROBOT, "1")
        try:
            yield
        finally:
            if ours:
                os.environ.pop(NO_ROBOT, None)
