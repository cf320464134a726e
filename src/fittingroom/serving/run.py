"""Run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import psutil
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fittingroom.errors import UsageError
from fittingroom.serving.guard import LOCAL, Guard

#: Seconds from the start of a request, or of a connection, to the request's last byte.
DEADLINE = 10.0
#: Seconds for requests under way when the server is told to stop, and for idle connections.
DRAIN, IDLE = 30, 5
#: Connections that may wait to be taken.
BACKLOG = 1024


class PunctualProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes connections whose requests don't arrive in time.

    uvicorn itself waits without an end for a head or a body that comes byte by byte.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._received()
        super().on_message_complete()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(DEADLINE, self._too_late)

    def _received(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens, so that connections wait until a server takes them.

    Raises UsageError where that isn't possible.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"a port is a number from 0 to 65535, not {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"{host} port {port} can't be used: {error.strerror}; choose another."
        ) from error
    return listening


def names_of(host: str) -> set[str]:
    """Names and addresses under which others reach a server that listens at `host`."""
    names = {socket.gethostname(), socket.getfqdn()}
    if ipaddress.ip_address(host).is_unspecified:  # all of this machine's addresses
        of_interfaces = psutil.net_if_addrs().values()
        addresses = [each.address.partition("%")[0] for found in of_interfaces for each in found]
        return names | LOCAL | {*addresses}
    return names | {host}


def make_server(app: Guard) -> uvicorn.Server:
    """The server of an application; `run(sockets=[…])` runs it until SIGINT or SIGTERM.

    What is under way then is answered first.
    """
    options: dict[str, Any] = {
        "http": PunctualProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # nobody's pictures, nor who sent them
        "log_level": "warning",
        "server_header": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": IDLE,
        "timeout_graceful_shutdown": DRAIN,
    }
    return uvicorn.Server(uvicorn.Config(app, **options))
