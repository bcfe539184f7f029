"""Refusals over HTTP: OpenAI's error object with a status, the parameter that is meant, and foreword's sentence."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from foreword.serve.engine import BusyError
from foreword.serve.log import LogError
from foreword.serve.shelf import UnknownModelError
from foreword.util.errors import ForewordError, TooLongError

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
WINDOW = "context_length_exceeded"


class HttpError(ForewordError):
    """A refusal with its status. param: the parameter that is meant. code: for machines. retry_after: in seconds."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(_encodable(message))
        self.status, self.code, self.retry_after = status, code, retry_after
        self.param = None if param is None else _encodable(param)
        self.counted = False  # whether log and metrics have it

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Those that the error object comes with."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def as_http(error: Exception, *, param: str | None = None) -> HttpError:
    """What a failure is over HTTP. param: what is meant where the failure does not say."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, BusyError):
        return HttpError(429, str(error), code="queue_full", retry_after=error.retry_after)
    if isinstance(error, UnknownModelError):
        return HttpError(404, str(error), param="model", code="model_not_found")
    if isinstance(error, LogError):
        return HttpError(503, str(error), code="log_unwritable")
    if isinstance(error, TooLongError):
        return HttpError(400, str(error), param=param, code=WINDOW)
    if isinstance(error, ForewordError):
        return HttpError(400, str(error), param=param)
    traceback.print_exception(error, file=sys.stderr)
    return HttpError(
        500, f"This is a fault in the server ({type(error).__name__}: {error}); its standard error has the traceback."
    )


def _encodable(text: str) -> str:
    """The text with half characters written out, so that an error object can hold what a request sent."""
    return text.encode("utf-8", "backslashreplace").decode()
