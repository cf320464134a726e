"""How a file is replaced and a folder added: whole or not at all.

What is written stands aside under a name that says who writes it, and is renamed into place. What a
killed process leaves is found by that name; what a living one writes, here or on another machine
that shares the folder, is left alone.
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
#: Seconds without a change after which a partial file is taken for abandoned whose owner can't be
#: asked: it is on another machine, or there is another process of its number.
SILENCE = 24 * 3600.0


@dataclass(frozen=True)
class Owner:
    """A process, so that another one can tell whether it lives: numbers of dead ones return.

    Attributes
    ----------
    host : its machine, see `this_machine`
    pid : its number there
    born : when it was started, seconds since 1970
    """

    host: str
    pid: int
    born: float

    @property
    def is_dead(self) -> bool | None:
        """Whether it has ended; None where that can't be known from here.

        That is on another machine, and where a process of this number was started at another time:
        either the number has returned, or the clock was set, and all times of start with it.
        """
        if self.host != this_machine():
            return None
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        return False if abs(started - self.born) < 1 else None


def this_process() -> Owner:
    """The process that asks."""
    return _owner(os.getpid())  # which a fork changes


@cache
def _owner(pid: int) -> Owner:
    return Owner(this_machine(), pid, psutil.Process(pid).create_time())


@cache
def this_machine() -> str:
    """Where a process number means one process: the host since it was started, and the container.

    Its name alone isn't enough: many are called localhost.
    """
    signs = [socket.gethostname()]
    for sign in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            signs.append(os.readlink(sign) if sign.endswith("pid") else Path(sign).read_text())
    if len(signs) == 1:  # not Linux
        signs.append(f"{uuid.getnode():x}")
    return f"{signs[0]} {_digest(' '.join(signs[1:]))}"


def partial_path(folder: Path) -> Path:
    """A new name in a folder for what this process is about to write."""
    owner = this_process()
    name = f"{_digest(owner.host)}-{owner.pid}-{owner.born:.0f}-{secrets.token_hex(4)}"
    return folder / f".partial-{name}"


def is_abandoned(path: Path) -> bool:
    """Whether a path has a name of `partial_path` whose process has ended."""
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
    """Remove what killed processes left half written where the patterns look below a folder."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if not is_abandoned(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes | str, error: type[FittingroomError] = StoreError) -> Path:
    """Write a file aside, then rename it into place; text as UTF-8. Raises as `file_aside`."""
    with file_aside(path, error) as partial:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@contextmanager
def file_aside(path: Path, error: type[FittingroomError] = StoreError) -> Iterator[Path]:
    """A path to write a file to, which is then renamed into place.

    Parameters
    ----------
    error : what is raised where the file system refuses; what was at `path` is still there then
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
    """Say in one sentence what could not be written, and why."""
    try:
        yield
    except OSError as reason:
        why = (reason.strerror or str(reason)).lower()
        raise error(f"{path} can't be written: {why}.") from reason


@contextmanager
def folder_aside(parent: Path, error: type[FittingroomError] = StoreError) -> Iterator[Path]:
    """A new folder beside its place, to write in and rename; what is left of it is removed."""
    with writing(parent, error):
        folder = partial_path(parent)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def flush(folder: Path) -> None:
    """Bring every file below a folder to the disk before its name appears."""
    for file in folder.rglob("*"):
        if file.is_file():
            _flush_file(file)


def _flush_file(path: Path) -> None:
    with path.open("r+b") as opened:  # Windows syncs only what may be written
        os.fsync(opened.fileno())


def _last_change(path: Path) -> float:
    """Of the path or anything below it, seconds since 1970."""
    last = time.time()  # of what vanishes while it is looked at
    with suppress(OSError):
        inner = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
        last = max(each.lstat().st_mtime for each in (path, *inner))
    return last


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
