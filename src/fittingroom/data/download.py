"""Fetch a named data set: from its mirrors by https, or from a Debian package without root."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import Request, build_opener, getproxies, proxy_bypass

from fittingroom.data import idx
from fittingroom.data.catalog import DatasetRow
from fittingroom.errors import DataError

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 20.0  # without data from a host, then it is given up
FILE_SECONDS = 900.0  # for a whole file, in case a host trickles
LARGEST_FILE = 64 << 20  # bytes, compressed and decompressed; the largest file known has 45 MiB
APT_SECONDS = 300.0
DEBIAN_DATASETS = Path("usr/share/datasets")

logger = logging.getLogger("fittingroom.data")


def fetch_by_https(row: DatasetRow, folder: Path) -> None:
    """Download those of the four files that `folder` lacks, from the first mirror that works.

    A mirror that fails once, by a dead host or a wrong file, isn't tried again.

    Raises
    ------
    DataError
        No mirror works; the message says why for each.
    OSError
        `folder` can't be written.
    """
    reasons = []
    for mirror in row.mirrors:
        try:
            _await_host(mirror)
            for name in _missing(folder):
                logger.info("downloading %s from %s", name, mirror)
                install(folder, name, _download(f"{mirror}{name}.gz"), row.sha256[name])
            return
        except DataError as error:
            logger.info("%s failed: %s", mirror, error)
            reasons.append(str(error).rstrip("."))
    raise DataError(f"no mirror works ({'; '.join(reasons) or 'none is known'}).")


def fetch_by_apt(row: DatasetRow, folder: Path) -> None:
    """Fetch those of the four files that `folder` lacks, from the Debian package.

    apt keeps its lists and its cache in a temporary folder, so this needs no root and changes
    nothing on the machine.

    Raises
    ------
    DataError
        There is no such package or no apt-get, or apt-get fails.
    OSError
        `folder` can't be written.
    """
    if row.debian is None:
        raise DataError("no Debian package holds it.")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DataError(f"the Debian package {row.debian} can't be fetched without apt-get.")
    logger.info("fetching the Debian package %s", row.debian)
    with TemporaryDirectory(dir=folder, prefix="apt-", suffix=".part") as name:
        unpacked = _unpack_package(row.debian, Path(name).resolve()) / DEBIAN_DATASETS / row.name
        files = idx.find_files(unpacked)
        for missing in _missing(folder):
            if missing not in files:
                raise DataError(f"the Debian package {row.debian} lacks {missing}.")
            install(folder, missing, _read_chunks(files[missing]), row.sha256[missing])


def install(folder: Path, name: str, chunks: Iterable[bytes], sha256: str) -> None:
    """Write a compressed file aside in `folder`, check its hash and rename it to `name`.gz.

    The rename comes last, so that a kill never leaves a partial file under the real name.

    Raises
    ------
    DataError
        More than `LARGEST_FILE` bytes came, or the decompressed bytes have another hash.
    """
    target = folder / f"{name}.gz"
    temporary = folder / f"{name}.{os.getpid()}.part.gz"
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                if file.tell() + len(chunk) > LARGEST_FILE:
                    raise DataError(f"{name} is larger than {LARGEST_FILE} bytes.")
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        digest = idx.file_sha256(temporary, LARGEST_FILE)
        if digest != sha256:
            raise DataError(f"{name} has the SHA-256 {digest} instead of {sha256}.")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left; the caller holds the folder's lock."""
    for path in folder.glob("*.part*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _missing(folder: Path) -> list[str]:
    present = idx.find_files(folder)
    return [name for name in idx.FILES if name not in present]


def _await_host(url: str) -> None:
    """Refuse a host that accepts no connection within 3 seconds, DNS look-up included.

    A look-up has no timeout of its own, hence the thread.
    """
    address = urlsplit(url)
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.hostname or ""):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = address.hostname or "", address.port or {"https": 443}.get(address.scheme, 80)
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error))

    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    reason = outcome[0] if outcome else f"no answer within {CONNECT_SECONDS:g} s"
    if reason:
        raise DataError(f"{host}: {reason}.")


def _download(url: str) -> Iterator[bytes]:
    """Stream the bytes at `url`; any failure is a `DataError`."""
    host, deadline = urlsplit(url).hostname, time.monotonic() + FILE_SECONDS
    try:
        request = Request(url, headers={"User-Agent": "fittingroom"})
        with build_opener().open(request, timeout=SILENCE_SECONDS) as response:
            while chunk := response.read1(1 << 18):
                yield chunk
                if time.monotonic() > deadline:
                    raise DataError(f"{host}: not done after {FILE_SECONDS:g} s.")
    except (OSError, HTTPException) as error:
        raise DataError(f"{host}: {error}.") from error


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 18):
            yield chunk


def _unpack_package(package: str, scratch: Path) -> Path:
    """Update apt's lists, download the package and unpack it, all inside `scratch`."""
    lists, cache, unpacked = scratch / "lists", scratch / "cache", scratch / "unpacked"
    for part in (lists / "partial", cache / "archives" / "partial"):
        part.mkdir(parents=True)
    apt = ["apt-get", "-q", "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
    apt += ["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1"]
    _run([*apt, "update"], scratch)
    _run([*apt, "download", package], scratch)
    archives = list(scratch.glob("*.deb"))
    if len(archives) != 1:
        raise DataError(f"apt-get download {package} left no package.")
    _run(["dpkg-deb", "-x", str(archives[0]), str(unpacked)], scratch)
    return unpacked


def _run(command: list[str], folder: Path) -> None:
    step = " ".join(word for word in command[:1] + command[-2:] if "::" not in word)
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=APT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{step}: not done after {APT_SECONDS:g} s.") from error
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"{step}: {last.rstrip('.')}.")
