"""`fittingroom serve` as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store
from fittingroom.serving.run import bind

#: A host and a port.
Address = tuple[str, int]
Start = Callable[..., tuple[subprocess.Popen[str], Address, str]]


@pytest.fixture(scope="module")
def runs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved models."""
    folder = tmp_path_factory.mktemp("serve") / "runs"
    fit(spec_of(small, "logistic"), small, open_store(folder, small))
    return folder


def heed_interrupts() -> None:
    """As what is started in a terminal does; what a script starts in its background doesn't."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(runs: Path) -> Iterator[Start]:
    """`start("logistic", …)`: a server's process, where it is, and what it said."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], Address, str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fittingroom.cli.main", "serve", *arguments),
                *("--port", "0", "--runs", str(runs)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "FITTINGROOM_TOKEN"},
            preexec_fn=None if sys.platform == "win32" else heed_interrupts,
        )
        running.append(process)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            if match := re.fullmatch(r"http://(\S+):(\d+)\n", line):
                return process, (match[1], int(match[2])), "".join(said)
            said.append(line)
        raise AssertionError(said)

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def ask(address: Address, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_server_answers_and_ends_cleanly(start: Start, stop: signal.Signals) -> None:
    process, (host, port), said = start("logistic")
    assert host == "127.0.0.1"
    assert f"logistic: http://127.0.0.1:{port}/v2/models/logistic/infer (onnxruntime)\n" in said
    assert "Authorization" not in said
    assert ask((host, port), "/v2/health/ready") == (200, {"ready": True})
    # The data set lies where it was when the model was fitted.
    model = ask((host, port), "/v1/models")[1]["models"][0]
    assert model["training_images"] == 2000
    process.send_signal(stop)
    assert process.wait(30) in (-stop, 130 if stop == signal.SIGINT else 0)
    assert process.stdout is not None
    assert process.stdout.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_new_connection_has_a_second_for_its_request_when_the_server_stops(start: Start) -> None:
    process, address, _ = start("logistic")
    assert ask(address, "/v2/health/live") == (200, {"live": True})
    with (
        socket.create_connection(address, 30) as asks,
        socket.create_connection(address, 30) as silent,
    ):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        asks.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(partial(asks.recv, 1000), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in answer
        assert silent.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 30)
    assert process.wait(30) in (-signal.SIGTERM, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_server_outlives_clients_that_hang_up(start: Start) -> None:
    """The system ends a process for writing to them (SIGPIPE), unless it ignores that."""
    process, address, _ = start("logistic")
    for _ in range(3):
        process.send_signal(signal.SIGSTOP)
        with socket.create_connection(address) as connection:
            connection.sendall(100 * b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        process.send_signal(signal.SIGCONT)
        assert ask(address, "/v2/health/live") == (200, {"live": True})
    assert process.poll() is None


@pytest.mark.slow
def test_whoever_was_accepted_is_answered_before_the_end(start: Start) -> None:
    """Twenty clients ask without a pause until the server refuses connections."""
    process, address, _ = start("logistic")
    begun, answered, lost = threading.Event(), [], []
    tensor = {"name": "images", "datatype": "UINT8", "shape": [10, 784], "data": [0] * 7840}
    body = json.dumps({"inputs": [tensor]})

    def client() -> None:
        while True:
            connection = http.client.HTTPConnection(*address, timeout=30)
            try:
                connection.connect()
            except ConnectionError:
                return
            try:
                connection.request("POST", "/v2/models/logistic/infer", body)
                answered.append(connection.getresponse().status)
            except (ConnectionError, http.client.HTTPException) as error:
                lost.append(error)
            connection.close()
            if len(answered) > 100:
                begun.set()

    threads = [threading.Thread(target=client) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    for thread in threads:
        thread.join()
    assert set(answered) == {200}
    # Elsewhere the system accepts connections that the server never sees, and resets them.
    assert len(lost) <= (0 if sys.platform == "linux" else 20)


def test_another_address_needs_a_token(start: Start) -> None:
    _, address, said = start("logistic", "--host", "0.0.0.0", "--name", "Models.example", "-q")
    match = re.search(r"Authorization: (Bearer \S{20,})", said)
    assert match is not None
    assert ask(address, "/v2")[0] == 401
    assert ask(address, "/v2", Authorization=match[1])[0] == 200
    assert ask(address, "/v2", Authorization=match[1], Host="models.example")[0] == 200
    assert ask(address, "/v2", Authorization=match[1], Host="other.example")[0] == 403


def test_wrong_usage_is_one_sentence(runs: Path) -> None:
    def refusal(*arguments: str) -> str:
        command = ["serve", *arguments, "--runs", str(runs)]
        with pytest.raises((UsageError, UnknownNameError)) as caught:
            CliRunner().invoke(app, command, catch_exceptions=False)
        return str(caught.value)

    assert refusal("logistc").startswith("unknown saved model 'logistc'; did you mean logistic?")
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert refusal("logistic", "--port", port).startswith(f"127.0.0.1 port {port} can't be")
    assert refusal("logistic", "--host", "models.example").startswith("'models.example' isn't an")
    for token in ("", "short", "with a space in it", "with-an-umlaut-ü-in-it"):
        assert refusal("logistic", "--token", token).startswith("a token is 16 or more ASCII")
    for name in ("a:80", "a/b", "a b", ""):
        assert refusal("logistic", "--name", name).startswith("--name takes the name of a host")


def test_a_given_token_is_not_printed(start: Start) -> None:
    _, address, said = start("logistic", "--token", "0123456789abcdef")
    assert "0123456789abcdef" not in said
    assert ask(address, "/v2")[0] == 401
    assert ask(address, "/v2", Authorization="Bearer 0123456789abcdef")[0] == 200
    assert ask(address, "/v2/health/live")[0] == 200
