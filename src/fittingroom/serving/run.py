"""Run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ipaddress
import json
import os
import socket
import struct
import sys
from http import HTTPStatus
from typing import Any

import psutil
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fittingroom.errors import UsageError
from fittingroom.serving.guard import LOCAL, MAX_BODY, ON_BUSY, RETRY, Guard

#: Seconds from the start of a request, or of a connection, to the request's last byte; and for an
#: answer, in which some of it must be read.
DEADLINE = 10.0
#: Seconds for requests under way when the server is told to stop, and for idle connections.
DRAIN, IDLE = 30, 5
#: Seconds, when the server is told to stop, for connections that have begun, and for requests of
#: new connections.
HANDSHAKE, FIRST_REQUEST = 0.1, 1.0
#: Connections that may wait to be taken, and those that are open.
BACKLOG, MOST_CONNECTIONS = 1024, 512
#: Bytes of a request's line and headers, and of all of it; chunks make a body longer.
LONGEST_HEAD, LONGEST_REQUEST = 1 << 16, 2 * MAX_BODY
#: Bytes of an answer that must be read by each deadline.
LEAST_READ = 1 << 16
#: Flags of TCP, and what Linux calls the option by which a socket filters its packets.
SYN, ACK, SO_ATTACH_FILTER = 0x02, 0x10, 26


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits that uvicorn lacks.

    uvicorn itself takes heads of any length, and waits without an end for requests that come byte
    by byte and for answers that nobody reads. Clients that are refused since too much waits, and
    ask again at once, are heard a second later: else refusing them takes the time for the others.
    """

    _arrival: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _received = 0
    _in_head = True
    _is_refused = False
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        if self._reading is not None:
            self._reading.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._expect()  # before a request begins, the parser skips blank lines
        self._received += len(data)
        super().data_received(data)
        if self._received > (LONGEST_HEAD if self._in_head else LONGEST_REQUEST):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long.")

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()
        self.scope[ON_BUSY] = self._on_busy  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._arrived()
        self._received, self._in_head = 0, True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_reader()
        if self._is_refused and not self.transport.is_closing():
            self._is_refused = False
            self.flow.pause_reading()
            self.loop.call_later(float(RETRY), self._hear_again)

    def shutdown(self) -> None:
        """Close once what is under way is answered, a new connection's first request included."""
        if self.cycle is None and not self._is_last:
            self._is_last = True
            self.loop.call_later(FIRST_REQUEST, self.shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What can't be parsed is refused in the form that all errors have."""
        self._refuse(HTTPStatus.BAD_REQUEST, "the request isn't HTTP/1.1.")

    def _on_busy(self) -> None:
        self._is_refused = True

    def _hear_again(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _expect(self) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(
                DEADLINE,
                self._refuse,
                HTTPStatus.REQUEST_TIMEOUT,
                f"the request didn't arrive within {DEADLINE:g} s.",
            )

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Say why, unless an answer has begun, and end the connection."""
        self._arrived()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            content = json.dumps({"error": reason}).encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + content)
        self.transport.close()
        self._watch_reader()

    def _watch_reader(self, before: int | None = None) -> None:
        """End the connection once too little of an answer has been read for too long."""
        left = self.transport.get_write_buffer_size()
        if before is None and self._reading is not None:
            return
        self._reading = None
        if before is not None and left > before - LEAST_READ and left:
            self.transport.abort()
        elif left:
            self._reading = self.loop.call_later(DEADLINE, self._watch_reader, left)


class DrainingServer(uvicorn.Server):
    """Takes the connections that wait before it closes the socket: the system would reset them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in sockets or []:
            ignore_newcomers(listening)
        await asyncio.sleep(HANDSHAKE)
        await super().shutdown(sockets)


def ignore_newcomers(listening: socket.socket) -> None:
    """From now on a socket accepts only connections that have begun; does nothing but on Linux.

    The kernel drops a client's first packet, SYN without ACK, and the client repeats it after a
    second. The filter sees packets from the TCP header on, of which byte 13 holds the flags
    (socket(7), SO_ATTACH_FILTER).
    """
    if sys.platform != "linux":
        return
    load_byte, mask, jump_unless_equal, answer = 0x30, 0x54, 0x15, 0x06
    program = (
        (load_byte, 0, 0, 13),
        (mask, 0, 0, SYN | ACK),
        (jump_unless_equal, 0, 1, SYN),
        (answer, 0, 0, 0),  # bytes to keep
        (answer, 0, 0, 0xFFFF),
    )
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code)
    with contextlib.suppress(OSError):  # where the kernel is a stand-in
        listening.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_FILTER,
            struct.pack("HP", len(program), ctypes.addressof(memory)),
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens, so that connections wait until a server takes them.

    Raises UsageError where that isn't possible.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"a port is a number from 0 to 65535, not {port}.")
    address = address_of(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let two servers share a port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((str(address), port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"{host} port {port} can't be used: {error.strerror}; choose another."
        ) from error
    return listening


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of `localhost` or of an address as text; raises UsageError for other text."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(
            f"{host!r} isn't an address; give one of this machine's, such as 127.0.0.1 or 0.0.0.0."
        ) from None


def hosts_of(host: str) -> frozenset[str]:
    """Names and addresses under which a server that listens at `host` is reached."""
    address = address_of(host)
    if address.is_loopback:
        return LOCAL | {str(address)}
    names = frozenset({str(address), socket.gethostname(), socket.getfqdn()})
    if not address.is_unspecified:
        return names
    of_interfaces = psutil.net_if_addrs().values()  # it listens at all of them
    addresses = [each.address.partition("%")[0] for found in of_interfaces for each in found]
    return names | LOCAL | {*addresses}


def make_server(app: Guard) -> uvicorn.Server:
    """The server of an application; `run(sockets=[…])` runs it until SIGINT or SIGTERM.

    What is under way then is answered first.
    """
    options: dict[str, Any] = {
        "http": LimitedProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # nobody's pictures, nor who sent them
        "log_level": "error",  # it warns of what strangers send
        "server_header": False,
        "proxy_headers": False,  # nobody asks who sent a request
        "backlog": BACKLOG,
        "timeout_keep_alive": IDLE,
        "timeout_graceful_shutdown": DRAIN,
    }
    return DrainingServer(uvicorn.Config(app, **options))
