"""A small real data set under its own name, and a web server that misbehaves on demand."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fittingroom.data import idx, load_dataset
from fittingroom.data.catalog import DATASETS, DatasetRow
from fittingroom.errors import DataError


@pytest.fixture(scope="session")
def small(small_folder: Path) -> Path:
    """Real Fashion-MNIST, 2,000 training and 1,000 test images, as four `.gz` files."""
    return small_folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """A copy of it, which may be spoilt."""
    return Path(shutil.copytree(small, tmp_path / "mine"))


@pytest.fixture(scope="session")
def row(small_folder: Path) -> DatasetRow:
    """A catalogue row whose files are the small ones; no mirror, no package."""
    return replace(
        DATASETS["fashion-mnist"],
        sha256=idx.read_folder(small_folder).sha256(),
        mirrors=(),
        debian=None,
    )


@pytest.fixture(scope="session")
def complaint_about() -> Callable[[Path], str]:
    """A function that loads a data set and returns what is said against it; "" if it is fine."""

    def said(path: Path) -> str:
        try:
            load_dataset(path)
        except DataError as error:
            return str(error)
        return ""

    return said


@dataclass
class Mirror:
    """A local web server for the small files.

    `spoil` maps a path to what is sent instead; `truncate` ends each body early; `pause` is the
    time in seconds between two sixteenths of a body.
    """

    url: str = ""
    spoil: dict[str, bytes | int] = field(default_factory=dict)
    truncate: bool = False
    pause: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def make_mirror(small_folder: Path) -> Iterator[Callable[..., Mirror]]:
    """Start as many local mirrors as a test needs; they stop with it."""
    servers: list[ThreadingHTTPServer] = []

    def make(**options: Any) -> Mirror:
        mirror = Mirror(**options)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                mirror.requests[name] += 1
                answer = mirror.spoil.get(name)
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                body = answer if answer is not None else (small_folder / name).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                body = body[: len(body) // 2] if mirror.truncate else body
                step = max(1, len(body) // 16)
                try:
                    for start in range(0, len(body), step):
                        self.wfile.write(body[start : start + step])
                        time.sleep(mirror.pause)
                except OSError:
                    pass  # the client was killed

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        mirror.url = f"http://127.0.0.1:{server.server_port}/"
        return mirror

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def lonely(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a cache and a working folder with nothing in them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    for name in ("FITTINGROOM_DATA", "KERAS_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return home
