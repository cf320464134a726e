"""run.py: addresses, slow clients, and the end of the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from fittingroom.errors import UsageError
from fittingroom.serving import run
from fittingroom.serving.guard import LOCAL
from fittingroom.serving.served_model import ServedModel

HEAD = b"POST /v1/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"


def test_an_address_that_can_not_be_used_is_one_sentence() -> None:
    taken = run.bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(UsageError, match=f"127.0.0.1 port {port} can't be used: Address already"):
        run.bind("127.0.0.1", port)
    taken.close()
    with pytest.raises(UsageError, match="a port is a number from 0 to 65535, not 70000"):
        run.bind("127.0.0.1", 70_000)
    for address in ("192.0.2.1", "nonsense.invalid", "::2"):
        with pytest.raises(UsageError, match=f"{address} port 0 can't be used: "):
            run.bind(address, 0)


def test_names_of_an_address() -> None:
    own = socket.gethostname()
    assert {"192.0.2.1", own} <= run.names_of("192.0.2.1")
    assert LOCAL.isdisjoint(run.names_of("192.0.2.1") - {own, socket.getfqdn()})
    everywhere = run.names_of("0.0.0.0")
    assert {*LOCAL, own} <= everywhere
    assert all("%" not in name for name in everywhere)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(HEAD[:10], b"a", id="a head byte by byte"),
        pytest.param(HEAD + b"\r\n", b"b", id="a body byte by byte"),
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_given_up(
    first: bytes,
    then: bytes,
    serve: Callable[..., Any],
    served: dict[str, ServedModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However slowly it goes on; others are answered meanwhile."""
    monkeypatch.setattr(run, "DEADLINE", 0.5)
    monkeypatch.setattr(run, "IDLE", 0.5)
    ask = serve([served["logistic"]])
    with socket.create_connection(("127.0.0.1", ask.port)) as slow:
        slow.settimeout(0.1)
        begun = time.monotonic()
        slow.sendall(first)
        while time.monotonic() - begun < 10:
            try:
                if then:
                    slow.sendall(then)
                if slow.recv(100) == b"":
                    break
            except TimeoutError:
                assert ask("GET", "/v2/health/live").status == 200
            except ConnectionError:
                break
        assert 0.4 < time.monotonic() - begun < 5


def test_a_connection_serves_several_requests(
    serve: Callable[..., Any], served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the whole time, and a connection at rest is closed."""
    monkeypatch.setattr(run, "DEADLINE", 1.0)
    monkeypatch.setattr(run, "IDLE", 1.0)
    ask = serve([served["logistic"]])
    with socket.create_connection(("127.0.0.1", ask.port), timeout=10) as connection:
        for _ in range(4):
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)
        assert connection.recv(100) == b""
