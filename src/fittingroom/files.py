"""Write files and folders atomically: all of it or nothing.

Data goes to a partial path, whose name says which process writes it, and is renamed into place.
That name also identifies what a killed process left behind; what a running process writes, here or
on another machine that shares the folder, is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from fittingroom.errors import FittingroomError, StoreError

_PARTIAL = re.compile(r"\.partial-(?:(?P<host>[0-9a-f]{8})-)?(?P<pid>\d+)(?:-(?P<born>\d+))?-.*")
#: Seconds without a change after which a partial file counts as abandoned if its owner can't be
#: checked: it is on another machine, or another process has its id.
SILENCE = 24 * 3600.0


@dataclass(frozen=True)
class Owner:
    """Identifies a process, so that others can check whether it is alive: ids are reused.

    Attributes
    ----------
    host : its machine, see `this_machine`
    pid : its id there
    born : when it started, seconds since 1970
    """

    host: str
    pid: int
    born: float

    @property
    def is_dead(self) -> bool | None:
        """Whether it has ended; None if that can't be determined from here.

        That is so on another machine, and if a process with this id has another start time: either
        the id was reused, or the clock was set, which shifts all start times.
        """
        if self.host != this_machine():
            return None
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        return False if abs(started - self.born) < 1 else None


def this_process() -> Owner:
    """The calling process."""
    return _owner(os.getpid())  # changes after a fork


@cache
def _owner(pid: int) -> Owner:
    return Owner(this_machine(), pid, psutil.Process(pid).create_time())


@cache
def this_machine() -> str:
    """Identifies the scope within which process ids are unique: host, boot and container.

    The host name alone isn't enough: many machines are called localhost.
    """
    ids = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            ids.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text())
    if len(ids) == 1:  # not Linux
        ids.append(f"{uuid.getnode():x}")
    return f"{ids[0]} {_digest(' '.join(ids[1:]))}"


def partial_path(folder: Path) -> Path:
    """A new path in a folder, for this process to write to."""
    owner = this_process()
    name = f"{_digest(owner.host)}-{owner.pid}-{owner.born:.0f}-{secrets.token_hex(4)}"
    return folder / f".partial-{name}"


def is_abandoned(path: Path) -> bool:
    """Whether a path was named by `partial_path` in a process that has ended."""
    match = _PARTIAL.fullmatch(path.name)
    if match is None:
        return False
    dead = None
    if match["born"] is not None and match["host"] == _digest(this_machine()):
        dead = Owner(this_machine(), int(match["pid"]), float(match["born"])).is_dead
    if dead is None:
        return time.time() - _last_change(path) > SILENCE
    return dead


def remove_abandoned(folder: Path, *patterns: str) -> None:
    """Remove the partial files of killed processes that match glob patterns below a folder."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if not is_abandoned(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes | str, error: type[FittingroomError] = StoreError) -> Path:
    """Write a file aside, then rename it into place; text as UTF-8. Raises like `file_aside`."""
    with file_aside(path, error) as partial:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@contextmanager
def file_aside(path: Path, error: type[FittingroomError] = StoreError) -> Iterator[Path]:
    """Yield a path to write a file to, which is then renamed to `path`.

    Parameters
    ----------
    error : raised if the file system refuses; `path` is then unchanged
    """
    partial = partial_path(path.parent)
    with writing(path, error):
        try:
            yield partial
            _flush_file(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, error: type[FittingroomError] = StoreError) -> Iterator[None]:
    """Turn an OSError into one sentence: what can't be written, and why."""
    try:
        yield
    except OSError as reason:
        why = (reason.strerror or str(reason)).lower()
        raise error(f"{path} can't be written: {why}.") from reason


@contextmanager
def folder_aside(parent: Path, error: type[FittingroomError] = StoreError) -> Iterator[Path]:
    """Yield a new folder to write to and rename; it is removed if it is still there at the end."""
    with writing(parent, error):
        folder = partial_path(parent)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def flush(folder: Path) -> None:
    """Sync every file below a folder to disk, to be called before the folder is renamed."""
    for file in folder.rglob("*"):
        if file.is_file():
            _flush_file(file)


def _flush_file(path: Path) -> None:
    with path.open("r+b") as opened:  # Windows syncs only writable files
        os.fsync(opened.fileno())


def _last_change(path: Path) -> float:
    """The latest change of the path or anything below it, seconds since 1970."""
    last = time.time()  # if something vanishes meanwhile
    with suppress(OSError):
        inner = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
        last = max(entry.lstat().st_mtime for entry in (path, *inner))
    return last


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
