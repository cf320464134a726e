"""`fittingroom serve` as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
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

Start = Callable[..., tuple[subprocess.Popen[str], int, str]]


@pytest.fixture(scope="module")
def runs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved models."""
    folder = tmp_path_factory.mktemp("serve") / "runs"
    fit(spec_of(small, "logistic"), small, open_store(folder, small))
    return folder


@pytest.fixture
def start(runs: Path) -> Iterator[Start]:
    """`start("logistic", …)`: a server's process, its port, and what it said; ended afterwards."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], int, str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fittingroom.cli.main", "serve", *arguments),
                *("--port", "0", "--runs", str(runs)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "FITTINGROOM_TOKEN"},
        )
        running.append(process)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            if match := re.fullmatch(r"http://[\d.]+:(\d+)\n", line):
                return process, int(match[1]), "".join(said)
            said.append(line)
        raise AssertionError(said)

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def ask(port: int, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_a_server_answers_and_ends_cleanly(start: Start) -> None:
    process, port, said = start("logistic")
    assert f"logistic: http://127.0.0.1:{port}/v2/models/logistic/infer (onnxruntime)" in said
    assert ask(port, "/v2/health/ready") == (200, {"ready": True})
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, -signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.read() == ""


@pytest.mark.slow
def test_whoever_was_accepted_is_answered_before_the_end(start: Start) -> None:
    """Twenty clients ask without a pause until the server refuses connections."""
    process, port, _ = start("logistic")
    begun, answered, lost = threading.Event(), [], []

    def client() -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.connect()
            except ConnectionError:
                return
            try:
                connection.request("GET", "/v2/models/logistic")
                answered.append(connection.getresponse().status)
            except (ConnectionError, http.client.HTTPException) as error:
                lost.append(error)
            connection.close()
            if len(answered) > 100:
                begun.set()

    threads = [threading.Thread(target=client) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    for thread in threads:
        thread.join()
    assert set(answered) == {200}
    # The kernel accepts connections that the server never sees; it closes them without a word.
    assert len(lost) <= 20


def test_another_address_needs_a_token(start: Start) -> None:
    _, port, said = start("logistic", "--host", "0.0.0.0", "--name", "models.example")
    match = re.search(r"Authorization: (Bearer \S{20,})", said)
    assert match is not None
    assert ask(port, "/v2")[0] == 401
    assert ask(port, "/v2", Authorization=match[1])[0] == 200
    assert ask(port, "/v2", Authorization=match[1], Host="models.example")[0] == 200
    assert ask(port, "/v2", Authorization=match[1], Host="other.example")[0] == 403


def test_wrong_usage_is_one_sentence(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(*arguments: str) -> str:
        command = ["serve", *arguments, "--runs", str(runs)]
        with pytest.raises((UsageError, UnknownNameError)) as caught:
            CliRunner().invoke(app, command, catch_exceptions=False)
        return str(caught.value)

    assert refusal("logistc").startswith("unknown saved model 'logistc'; did you mean logistic?")
    taken = bind("127.0.0.1", 0)
    port = str(taken.getsockname()[1])
    assert refusal("logistic", "--port", port).startswith(f"127.0.0.1 port {port} can't be used")
    taken.close()
