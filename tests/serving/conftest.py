"""Saved models that answer requests, and a server that runs in this process."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fittingroom.bundles import onnx
from fittingroom.bundles.bundle import load
from fittingroom.data.dataset import Dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store
from fittingroom.serving.app import make_app
from fittingroom.serving.guard import LOCAL
from fittingroom.serving.run import bind, make_server
from fittingroom.serving.served_model import ServedModel, serve_bundle


@pytest.fixture(scope="session")
def served(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ServedModel]:
    """A classical model, a network, and one whose graph is too large for a file."""
    store = open_store(tmp_path_factory.mktemp("served"), small)
    settings: dict[str, dict[str, Any]] = {"logistic": {}, "mlp-10-10": {"epochs": 2}, "knn": {}}
    models = {}
    for name, changed in settings.items():
        run = fit(spec_of(small, name, settings=changed), small, store)
        with pytest.MonkeyPatch.context() as patch:
            if name == "knn":
                patch.setattr(onnx, "MAX_BYTES", 1000)
            models[name] = serve_bundle(name, load(run.folder / "model"))
    return models


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server on this machine, each time by a new connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
        connection.request(method, path, body, sent, encode_chunked=True)
        response = connection.getresponse()
        answer = Answer(
            response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        )
        connection.close()
        return answer


@contextmanager
def running(models: Any, hosts: Any = LOCAL, token: str | None = None) -> Iterator[Client]:
    """A client of a server that runs within the context."""
    listening = bind("127.0.0.1", 0)
    server = make_server(make_app(models, hosts=hosts, token=token))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield Client(listening.getsockname()[1])
    server.should_exit = True
    thread.join(30)
    listening.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Client]]:
    """`with serving(models, token=…) as ask`: a server for as long as that."""
    return running


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """`serve(models, token=…)`: a client of a server that runs until the test ends."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(running(*arguments, **options))
