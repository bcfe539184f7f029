"""Running a server until it is told to stop: it answers what it has begun, then ends; it refuses to listen beyond this machine without
keys."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from foreword.util.errors import ForewordError

KEEP_ALIVE = 30  # seconds that an idle connection is held


def refuse_open(host: str, keys: bool) -> None:
    """Raises ForewordError where anybody on the network could ask without a key."""
    if keys or is_loopback(host):
        return
    raise ForewordError(
        f"--host {host} can be reached from other machines, and no --api-keys FILE is given; make one with `foreword keys`, or leave "
        "--host out."
    )


def is_loopback(host: str) -> bool:
    """Whether a host can be nothing but this machine: an address leads nowhere else, as a name of somebody's may."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ForewordError where that is taken."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(kind, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ForewordError(
            f"Cannot listen on {host}:{port} ({error.strerror}); give another --port, 0 for a free one."
        ) from error
    return listener


def run(app: FastAPI, bound: socket.socket, *, grace: float, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way then has `grace` seconds. started: called when requests are taken."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(grace)),
    )
    server = _Server(config, started)
    known = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run([bound])  # which raises the signal anew when it is done, for who asked
    finally:
        for each, handler in known.items():
            signal.signal(each, handler)
    if not server.started:
        print("foreword: the server did not start.", file=sys.stderr)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets)
        self._on_started()
