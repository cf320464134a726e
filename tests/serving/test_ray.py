"""ray.py: the server on a Ray cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scale import CLUSTER_ENVIRONMENT

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

APP = "fittingroom.serving.ray:app"
SERVE = Path(sys.executable).with_name("serve")
TOKEN = "0123456789abcdef"


@pytest.mark.filterwarnings("ignore")  # of Ray's own
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "give the saved models to serve: model=swift"),
        ({"models": "swift"}, "unknown argument 'models'; known: model, runs, name, token."),
        ({"model": "swift", "name": "a"}, "other names need a token; set FITTINGROOM_TOKEN."),
        ({"model": "swift", "token": "short"}, "a token is 16 or more ASCII letters"),
        ({"model": "swift", "name": "a:80", "token": TOKEN}, "a host, without a port, not 'a:80'"),
        (
            {"model": "swift", "runs": "nowhere"},
            "swift doesn't exist, and no saved runs in nowhere",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: Mapping[str, str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fittingroom.serving.ray import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FITTINGROOM_TOKEN", raising=False)
    with pytest.raises((UsageError, StoreError), match=re.escape(reason)):
        app(arguments)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ray has no clusters on Windows")
def test_a_cluster_answers_as_the_server_does(small: Dataset, tmp_path: Path) -> None:
    """As a configuration of Ray Serve has it, which also says the port."""
    store = open_store(tmp_path / "runs", small)
    for model in ("logistic", "knn"):
        fit(spec_of(small, model), small, store)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = {"model": "logistic,knn", "runs": str(tmp_path / "runs"), "token": TOKEN}
    configuration = {
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [{"import_path": APP, "args": arguments, "route_prefix": "/"}],
    }
    file = tmp_path / "serve.yaml"
    file.write_text(json.dumps(configuration))  # which is YAML too
    log = (tmp_path / "log").open("w+")
    # On a busy machine its proxy, which imports PyTorch, isn't ready within three times 5 s.
    patience = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30"}
    process = subprocess.Popen(
        [SERVE, "run", file],
        env={**os.environ, **CLUSTER_ENVIRONMENT, **patience},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 120
        while not is_live(port):
            assert process.poll() is None, log.seek(0) or log.read()[-5000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 28, 28]}
        body = {"inputs": [tensor | {"data": small.test.images[0].tolist()}]}
        for model in ("logistic", "knn"):
            status, answer = ask(port, f"/v2/models/{model}/infer", body)
            assert (status, answer["model_name"]) == (200, model)
            assert answer["outputs"][0]["shape"] == [1, 10]
        assert ask(port, "/v2/models/swift")[0] == 404
        assert ask(port, "/v2", Host="evil.example")[0] == 403
        assert ask(port, "/v2", Authorization="none")[0] == 401
        assert ask(port, "/v2/health/live") == (200, {"live": True})
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)
        log.close()


def is_live(port: int) -> bool:
    try:
        return ask(port, "/v2/health/live")[0] == 200
    except (OSError, ValueError):  # there is no proxy yet, or it has nothing to ask
        return False


def ask(port: int, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
