"""Clients of an HTTP server, all in one thread: raw sockets, so that they cost little beside it."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
#: Seconds without any answer after which a server is taken for dead.
PATIENCE = 60.0


@dataclass
class Load:
    """What clients measured.

    Attributes
    ----------
    seconds : from the first request to the last answer
    latencies : seconds from each request to its answer, by status
    lost : requests whose connection ended before their answer
    """

    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0

    @property
    def per_second(self) -> float:
        """Requests that were answered with 200, a second."""
        return len(self.latencies.get(200, ())) / self.seconds

    def percentile(self, share: float, status: int = 200) -> float:
        """Milliseconds."""
        return 1000 * float(np.percentile(self.latencies[status], share))


class _Client:
    """One connection, on which a request is sent once the one before is answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.sent_at = 0.0
        self.unsent = memoryview(b"")
        self.answer = bytearray()
        self.missing = -1  # bytes of the answer, unknown before its head is there

    def send(self, request: bytes) -> None:
        self.answer.clear()
        self.missing, self.unsent, self.sent_at = -1, memoryview(request), time.perf_counter()
        self.send_on()

    def send_on(self) -> None:
        with suppress(BlockingIOError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self) -> int | None:
        """The status once the answer is whole. Raises ConnectionError where the connection ends."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionResetError
        self.answer += part
        if self.missing < 0:
            head = self.answer.find(b"\r\n\r\n")
            if head < 0:
                return None
            length = _LENGTH.search(self.answer, 0, head)
            assert length is not None, bytes(self.answer[:head])
            self.missing = head + 4 + int(length[1])
        return int(self.answer[9:12]) if len(self.answer) >= self.missing else None

    @property
    def pause(self) -> float:
        """Seconds that the server asked for with its last answer."""
        found = _RETRY.search(self.answer)
        return float(found[1]) if found else 0.0


def put_load(
    port: int, request: bytes, clients: int, seconds: float, *, obey_pauses: bool = True
) -> Load:
    """Send a request again and again by so many clients, for so many seconds.

    Unless `obey_pauses`, who is refused asks again at once, whatever `Retry-After` says. A client
    whose connection ends makes another.
    """
    load, begun = Load(), time.perf_counter()
    end = begun + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            _start(selector, _Client(port), request)
        pausing: list[tuple[float, _Client]] = []
        while selector.get_map() or pausing:
            now = time.perf_counter()
            for each in [each for each in pausing if each[0] <= now]:
                pausing.remove(each)
                if now < end:
                    _start(selector, each[1], request)
                else:
                    each[1].socket.close()
            for client, status in _answers(selector, 0.01 if pausing else PATIENCE):
                now = time.perf_counter()
                load.latencies.setdefault(status, []).append(now - client.sent_at)
                load.lost += status == 0
                pause = client.pause if obey_pauses else 0.0
                if now >= end or (pause and now + pause >= end):
                    client.socket.close()
                elif status == 0:
                    client.socket.close()
                    _start(selector, _Client(port), request)
                elif pause:
                    pausing.append((now + pause, client))
                else:
                    _start(selector, client, request)
    load.latencies.pop(0, None)
    load.seconds = time.perf_counter() - begun
    return load


def _start(selector: selectors.BaseSelector, client: _Client, request: bytes) -> None:
    client.send(request)
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
    selector.register(client.socket, events, client)


def _answers(selector: selectors.BaseSelector, patience: float) -> Iterable[tuple[_Client, int]]:
    """Clients whose answers are whole, with the status, or 0 for those that lost their connection.

    They are no longer watched.
    """
    ready = selector.select(patience)
    if not ready and patience == PATIENCE:
        raise TimeoutError("the server doesn't answer any more")
    for key, events in ready:
        client = key.data
        status: int | None = None
        try:
            if events & selectors.EVENT_WRITE:
                client.send_on()
                if not client.unsent:
                    selector.modify(client.socket, selectors.EVENT_READ, client)
            if events & selectors.EVENT_READ:
                status = client.receive()
        except ConnectionError:
            status = 0
        if status is not None:
            selector.unregister(client.socket)
            yield client, status
