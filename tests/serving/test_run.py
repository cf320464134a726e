"""run.py: addresses, the limits of connections, and the end of the server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fittingroom.errors import UsageError
from fittingroom.serving import run
from fittingroom.serving.guard import LOCAL
from fittingroom.serving.served_model import ServedModel

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /v1/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"


def test_an_address_that_can_not_be_used_is_one_sentence() -> None:
    taken = run.bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(UsageError, match=f"127.0.0.1 port {port} can't be used: Address already"):
        run.bind("127.0.0.1", port)
    taken.close()
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 port 0 can't be used: "):
        run.bind("192.0.2.1", 0)
    with pytest.raises(UsageError, match="a port is a number from 0 to 65535, not 70000"):
        run.bind("127.0.0.1", 70_000)
    for text in ("models.example", "", "127.1"):
        with pytest.raises(UsageError, match=f"'{text}' isn't an address; give one of this"):
            run.bind(text, 0)


def test_hosts_of_an_address() -> None:
    own = {socket.gethostname(), socket.getfqdn()}
    assert run.hosts_of("localhost") == run.hosts_of("::1") == LOCAL
    assert run.hosts_of("127.0.0.2") == LOCAL | {"127.0.0.2"}
    assert run.hosts_of("192.0.2.1") == own | {"192.0.2.1"}
    for everywhere in ("0.0.0.0", "::"):
        names = run.hosts_of(everywhere)
        assert {*LOCAL, *own, everywhere} <= names
        assert all("%" not in name for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such filter")
def test_a_socket_that_ignores_newcomers_accepts_those_who_wait() -> None:
    """And what they send."""
    with run.bind("127.0.0.1", 0) as listening:
        address = listening.getsockname()
        with socket.create_connection(address, 30) as waits:
            run.ignore_newcomers(listening)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            accepted, _ = listening.accept()
            with accepted:
                waits.sendall(LIVE)
                assert accepted.recv(1000) == LIVE
                accepted.sendall(b"yes")
            assert waits.recv(1000) == b"yes"


@pytest.fixture
def ask(serve: Callable[..., Any], served: dict[str, ServedModel]) -> Any:
    return serve([served["logistic"]])


@pytest.fixture
def connect(ask: Any) -> Iterator[Callable[[], socket.socket]]:
    """A connection to a server whose limits of time are short."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(
            socket.create_connection(("127.0.0.1", ask.port), timeout=30)
        )


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            found += part
    return found


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(HEAD[:10], b"a", id="a head byte by byte"),
        pytest.param(HEAD + b"\r\n", b"b", id="a body byte by byte"),
        pytest.param(LIVE, b"\r\n", id="blank lines after an answer"),
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_given_up(
    first: bytes,
    then: bytes,
    ask: Any,
    connect: Callable[[], socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However slowly it goes on; others are answered meanwhile."""
    monkeypatch.setattr(run, "DEADLINE", 0.5)
    begun = time.monotonic()
    slow = connect()
    slow.settimeout(0.1)
    slow.sendall(first)
    answer = b""
    while time.monotonic() - begun < 20:
        try:
            slow.sendall(then)
            part = slow.recv(1 << 16)
        except TimeoutError:
            assert ask("GET", "/v2/health/live").status == 200
            continue
        except ConnectionError:
            break
        answer += part
        if not part:
            break
    assert 0.4 < time.monotonic() - begun < 20
    assert b"HTTP/1.1 408 Request Timeout" in answer
    assert b"the request didn't arrive within 0.5 s." in answer


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"a" * 100_000, id="a path"),
        pytest.param(LIVE[:-2] + b"a: " + b"b" * 1_000_000, id="a value"),
        pytest.param(LIVE[:-2] + b"a: b\r\n" * 100_000, id="headers"),
    ],
)
def test_a_long_head_is_refused(head: bytes, connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    with contextlib.suppress(ConnectionError):  # it may be refused before all is sent
        for start in range(0, len(head), 1 << 14):
            connection.sendall(head[start : start + (1 << 14)])
            time.sleep(0.001)
    with contextlib.suppress(ConnectionError):
        assert connection.recv(100).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")


@pytest.mark.parametrize("pause", [0.0, 5.0], ids=["a steady reader", "who reads nothing"])
def test_an_answer_must_be_read(
    pause: float,
    serve: Callable[..., Any],
    served: dict[str, ServedModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has eight megabytes here, more than the system takes for a connection."""
    monkeypatch.setattr(run, "DEADLINE", 0.5)

    def many_classes(images: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), 4000), np.float32)

    ask = serve([dataclasses.replace(served["logistic"], predict=many_classes)])
    tensor: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [512, 784]}
    tensor["parameters"] = {"binary_data_size": 512 * 784}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(asked | {"outputs": [{"name": "probabilities"}]}).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", ask.port))
    lines = (
        "POST /v2/models/logistic/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\n"
        f"Content-Length: {len(head) + 512 * 784}\r\n\r\n"
    )
    connection.sendall(lines.encode() + head + bytes(512 * 784))
    time.sleep(pause)
    size = len(received(connection))
    connection.close()
    assert (size > 512 * 4000 * 4) == (pause == 0)


def test_there_is_a_limit_of_connections(
    ask: Any, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_CONNECTIONS", 3)
    kept = [connect() for _ in range(3)]
    for connection in kept:
        connection.sendall(LIVE)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert received(connect()) == b""
    kept[0].close()
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionError, OSError):
            if ask("GET", "/v2/health/live").status == 200:
                break
        assert time.monotonic() < deadline


def test_a_connection_serves_several_requests(
    serve: Callable[..., Any], served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the whole time, and a connection at rest is closed."""
    monkeypatch.setattr(run, "DEADLINE", 0.6)
    monkeypatch.setattr(run, "IDLE", 0.3)
    ask = serve([served["logistic"]])
    connection = socket.create_connection(("127.0.0.1", ask.port), timeout=30)
    begun = time.monotonic()
    while time.monotonic() - begun < 1:
        connection.sendall(LIVE)
        answer = b""
        while not answer.endswith(b"}"):  # its head and its body may come one after the other
            answer += connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200")
        time.sleep(0.1)
    assert received(connection) == b""
    connection.close()


def test_what_is_not_http_is_refused_in_the_form_of_all_errors(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(b"neither this\r\n\r\n")
    answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b'{"error": "the request isn\'t HTTP/1.1."}')
