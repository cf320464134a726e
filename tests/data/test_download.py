from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fittingroom.data import DATASETS, download, idx
from fittingroom.data.catalog import DatasetRow
from fittingroom.data.describe import describe
from fittingroom.data.download import fetch_by_apt, fetch_by_https
from fittingroom.data.places import SearchPath
from fittingroom.data.sources import find_dataset, load_dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Mirror

IMAGES = f"{idx.TRAIN_IMAGES}.gz"
LABELS = f"{idx.TEST_LABELS}.gz"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def by_https(folder: Path) -> SearchPath:
    return SearchPath((), (fetch_by_https,), lambda _: folder)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


WHOLE = {f"{name}.gz" for name in idx.FILES}


def test_downloads_missing_files(
    row: DatasetRow, small: Path, tmp_path: Path, make_mirror: Callable[..., Mirror]
) -> None:
    mirror = make_mirror()
    shutil.copy(small / LABELS, tmp_path)
    dataset = find_dataset(replace(row, mirrors=(mirror.url,)), by_https(tmp_path))
    assert dataset.train.images.shape == (2000, 28, 28)
    assert dataset.location == tmp_path
    assert left_in(tmp_path) == WHOLE
    assert mirror.requests == dict.fromkeys(WHOLE - {LABELS}, 1)
    find_dataset(row, by_https(tmp_path))  # no mirror: nothing is fetched again


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"spoil": {IMAGES: 404}}, "127.0.0.1: HTTP Error 404"),
        ({"spoil": {IMAGES: b""}}, "has the SHA-256 e3b0c4"),
        ({"spoil": {IMAGES: b"<!DOCTYPE html>"}}, "damaged gzip"),
        ({"spoil": {IMAGES: gzip.compress(b"other")}}, "SHA-256 d9298a10d1b0.* instead of"),
        ({"truncate": True}, "gzip stream has no end|IncompleteRead|retrieval incomplete"),
    ],
)
def test_a_bad_mirror_gives_way_to_the_next(
    row: DatasetRow,
    tmp_path: Path,
    make_mirror: Callable[..., Mirror],
    options: dict[str, Any],
    complaint: str,
) -> None:
    bad, good = make_mirror(**options), make_mirror()
    with pytest.raises(DataError, match=complaint):
        find_dataset(replace(row, mirrors=(bad.url,)), by_https(tmp_path))
    assert IMAGES not in left_in(tmp_path)
    assert left_in(tmp_path) <= WHOLE

    bad.requests.clear()
    find_dataset(replace(row, mirrors=(bad.url, good.url)), by_https(tmp_path))
    assert max(bad.requests.values()) == 1
    assert left_in(tmp_path) == WHOLE


def test_a_body_that_is_too_large_is_cut_off(
    row: DatasetRow,
    tmp_path: Path,
    make_mirror: Callable[..., Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "LARGEST_FILE", 100_000)
    mirror = make_mirror()
    with pytest.raises(DataError, match="is larger than 100000 bytes"):
        find_dataset(replace(row, mirrors=(mirror.url,)), by_https(tmp_path))
    assert left_in(tmp_path) == set()


def test_a_body_that_inflates_too_far_is_refused(
    row: DatasetRow, tmp_path: Path, make_mirror: Callable[..., Mirror]
) -> None:
    bomb = gzip.compress(bytes(100 << 20), 6)
    mirror = make_mirror(spoil={IMAGES: bomb})
    with pytest.raises(DataError, match="gzip bomb"):
        find_dataset(replace(row, mirrors=(mirror.url,)), by_https(tmp_path))
    assert left_in(tmp_path) == set()


def test_a_dead_host_is_tried_once(
    row: DatasetRow,
    tmp_path: Path,
    make_mirror: Callable[..., Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    attempts: list[int] = []
    connect = socket.create_connection

    def counted(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        attempts.append(address[1])
        return connect(address, *rest, **options)

    monkeypatch.setattr(socket, "create_connection", counted)
    find_dataset(replace(row, mirrors=(dead, make_mirror().url)), by_https(tmp_path))
    assert attempts.count(int(dead.split(":")[2].strip("/"))) == 1
    with pytest.raises(DataError, match=r"127.0.0.1: Connection refused"):
        find_dataset(replace(row, mirrors=(dead,)), by_https(tmp_path / "new"))


@pytest.mark.parametrize("part", ["look-up", "connection"])
def test_a_silent_host_costs_three_seconds(
    row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """A name server that never answers has no timeout of its own."""

    def silence(*_: object, **__: object) -> None:
        time.sleep(8)
        raise TimeoutError

    function = {"look-up": "getaddrinfo", "connection": "create_connection"}[part]
    monkeypatch.setattr(socket, function, silence)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"mirror.invalid: no answer within 3 s"):
        fetch_by_https(replace(row, mirrors=("https://mirror.invalid/",)), tmp_path)
    assert 2.5 < time.monotonic() - start < 5


def test_a_proxy_is_contacted_instead_of_the_host(
    row: DatasetRow,
    tmp_path: Path,
    make_mirror: Callable[..., Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = make_mirror()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    find_dataset(replace(row, mirrors=("http://mirror.invalid/",)), by_https(tmp_path))
    assert left_in(tmp_path) == WHOLE


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    row: DatasetRow,
    tmp_path: Path,
    make_mirror: Callable[..., Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"can't be stored in .* \(No space left on device\); set"):
        find_dataset(replace(row, mirrors=(make_mirror().url,)), by_https(tmp_path))
    assert left_in(tmp_path) == set()


# Real processes

FETCH = """
import sys
from dataclasses import replace
from pathlib import Path
from fittingroom.data.catalog import DATASETS
from fittingroom.data.download import fetch_by_https
from fittingroom.data.idx import FILES
from fittingroom.data.places import SearchPath
from fittingroom.data.sources import find_dataset
folder, mirror, *hashes = sys.argv[1:]
row = replace(DATASETS["fashion-mnist"], mirrors=(mirror,), sha256=dict(zip(FILES, hashes)))
print(find_dataset(row, SearchPath((), (fetch_by_https,), lambda _: Path(folder))).sha256)
"""


def start_fetch(row: DatasetRow, folder: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, str(folder), url, *row.sha256.values()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_concurrent_processes_all_succeed_and_fetch_once(
    row: DatasetRow, tmp_path: Path, make_mirror: Callable[..., Mirror]
) -> None:
    mirror = make_mirror(pause=0.01)
    children = [start_fetch(row, tmp_path / "new", mirror.url) for _ in range(3)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1
    assert mirror.requests == dict.fromkeys(WHOLE, 1)
    assert left_in(tmp_path / "new") == WHOLE


def test_killed_at_any_instant_the_next_call_succeeds(
    row: DatasetRow, tmp_path: Path, make_mirror: Callable[..., Mirror]
) -> None:
    mirror = make_mirror(pause=0.01)  # four files of sixteen pieces: two thirds of a second
    random = np.random.RandomState(0)
    halves = 0
    for attempt in range(8):
        folder, n_requests = tmp_path / str(attempt), sum(mirror.requests.values())
        child = start_fetch(row, folder, mirror.url)
        while sum(mirror.requests.values()) == n_requests:
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.6))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        files = left_in(folder) if folder.exists() else set()
        halves += bool(files) and files != WHOLE
        for name in files & WHOLE:  # a file with its final name is complete
            kind = name.removesuffix(".gz")
            assert idx.file_sha256(folder / name, 1 << 30) == row.sha256[kind]
        find_dataset(replace(row, mirrors=(make_mirror().url,)), by_https(folder))
        assert left_in(folder) == WHOLE
    assert halves >= 4  # the kills did hit downloads under way


# The Debian package


def fake_tools(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_package_and_no_apt(
    row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no Debian package holds it"):
        fetch_by_apt(row, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="package some-package can't be fetched without apt-get"):
        fetch_by_apt(replace(row, debian="some-package"), tmp_path)


@pytest.mark.parametrize(
    ("apt_get", "complaint"),
    [
        (
            "echo 'E: Unable to locate package x.' >&2; exit 100",
            "apt-get .*update: E: Unable to loc",
        ),
        ("exit 3", "apt-get .*update: no message"),
        ("exit 0", "apt-get download some-package left no package"),
    ],
)
def test_apt_that_fails(
    row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt_get: str, complaint: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "target").mkdir()
    fake_tools(tmp_path / "bin", monkeypatch, apt_get=apt_get, dpkg_deb="exit 0")
    with pytest.raises(DataError, match=complaint):
        fetch_by_apt(replace(row, debian="some-package"), tmp_path / "target")
    assert left_in(tmp_path / "target") == set()


def test_a_package_with_other_files(
    row: DatasetRow, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is unpacked, but its content must be the catalogue's, like any other."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "target").mkdir()
    inside = "usr/share/datasets/fashion-mnist"
    unpack = f'mkdir -p "$3/{inside}" && cp {small}/*.gz "$3/{inside}"'
    fake_tools(tmp_path / "bin", monkeypatch, apt_get="touch x.deb", dpkg_deb=unpack)
    other = replace(row, debian="p", sha256=DATASETS["fashion-mnist"].sha256)
    with pytest.raises(DataError, match="train-images-idx3-ubyte has the SHA-256"):
        fetch_by_apt(other, tmp_path / "target")
    assert left_in(tmp_path / "target") == set()
    fetch_by_apt(replace(row, debian="p"), tmp_path / "target")
    assert left_in(tmp_path / "target") == WHOLE


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="a machine without apt-get")
def test_the_real_package_gives_the_real_data(tmp_path: Path) -> None:
    """Downloads fail, there is no copy, and all of Fashion-MNIST comes by apt without root."""
    target = tmp_path / "a folder with spaces"
    row = replace(DATASETS["fashion-mnist"], mirrors=("https://mirror.invalid/",))
    search = SearchPath((), (fetch_by_https, fetch_by_apt), lambda _: target)
    dataset = find_dataset(row, search)
    assert dataset.source == f"fetched, {target}"
    assert dataset.mirror_keeps_class
    assert left_in(target) == WHOLE

    again = load_dataset(target)
    assert again.sha256 == dataset.sha256
    assert dataset.sha256 == row.content
    split = validation_split(again.train.labels)
    assert [len(part) for part in (split.train, split.selection, split.calibration)] == [
        54000,
        3000,
        3000,
    ]

    description = describe(again)
    assert description.files == row.sha256
    assert description.title.startswith("Fashion-MNIST")
    assert set(description.train.counts.values()) == {6000}
    assert set(description.test.counts.values()) == {1000}
    assert description.train.pixel_mean / 255 == pytest.approx(0.2860, abs=5e-5)
    assert description.train.pixel_sd / 255 == pytest.approx(0.3530, abs=5e-5)
