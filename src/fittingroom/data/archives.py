"""Unpack an archive of a data set, `.zip`, `.tar` or `.tar.gz`, into a temporary folder.

An archive may come from a stranger: its members must be plain files with names below the archive,
and may not unpack to far more than the archive holds.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from fittingroom.data.stream import CHUNK, Read, open_stream
from fittingroom.errors import DataError
from fittingroom.untrusted import open_untrusted, raise_as

#: Bytes that are always allowed; beyond that, how many times larger than the archive its files may
#: be. Rows of pixels as text compress ten times, drawings of two colours 100 times.
ALWAYS_ROOM, MAX_GROWTH = 2**28, 200
MAX_MEMBERS, MAX_DEPTH = 2_000_000, 32
#: Bytes of a member's name, or of other facts that a tar file keeps as a member of their own.
MAX_FACTS = 2**16

_SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz)$", re.I)
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
#: Where a tar file says that it is one, and how.
_TAR_MAGIC = slice(257, 262), b"ustar"
_LITTER = "__MACOSX"  # which macOS adds

logger = logging.getLogger("fittingroom.data")


class _Member(NamedTuple):
    """A file in an archive, and a function that reads its bytes."""

    name: str
    read: Read


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive by its content; an `.npz`, which is a zip, isn't.

    Raises
    ------
    DataError : it can't be read
    """
    if not os.path.isfile(path) or path.suffix.lower() == ".npz":
        return False
    with open_untrusted(path, DataError) as file:
        start = file.read(512)
    where, magic = _TAR_MAGIC
    return (
        start.startswith(_ZIP)
        or start[where] == magic
        or (start.startswith(_GZIP) and path.name.lower().endswith((".tar.gz", ".tgz")))
    )


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder of the archive's name with its files, for a `with` statement.

    A `DataError` from within names files as if the archive were a folder.

    Raises
    ------
    DataError
        It is damaged or encrypted; a member is a link or a device, or would lie outside; or its
        files would take implausibly much room, or more than is free.
    """
    try:
        temporary = TemporaryDirectory(prefix="fittingroom-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DataError(f"{path} can't be unpacked: {error.strerror or error}.") from error
    with temporary as name:
        folder = Path(name).resolve() / (_SUFFIX.sub("", path.name).strip(". ") or "archive")
        folder.mkdir()
        logger.info("unpacking %s", path)
        _unpack(path, folder)
        try:
            yield folder
        except DataError as error:
            raise DataError(str(error).replace(str(folder), str(path))) from error


def _unpack(path: Path, folder: Path) -> None:
    with open_untrusted(path, DataError) as file:
        start, size = file.read(len(_ZIP)), os.fstat(file.fileno()).st_size
    budget = _Budget(path, size, shutil.disk_usage(folder).free)
    if start == _ZIP:
        members = _zip_members(path, budget)
    else:
        members = _tar_members(path, budget, compressed=start.startswith(_GZIP))
    for name, read in members:
        parts = _safe_name(path, name)
        if parts.parts[:1] == (_LITTER,):
            continue
        target = folder / parts
        with raise_as(path, DataError):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:  # a second file of that name is an error
                while chunk := read(CHUNK):
                    out.write(chunk)


class _Budget:
    """How many bytes an archive may still unpack to."""

    def __init__(self, path: Path, size: int, free: int) -> None:
        self._path = path
        self._size = size
        self._free = free
        self._most = min(max(ALWAYS_ROOM, MAX_GROWTH * size), free)
        self._spent = 0

    def spend(self, n: int) -> None:
        """Raise DataError if `n` more bytes are too many."""
        self._spent += n
        if self._spent <= self._most:
            return
        if self._most == self._free:
            raise DataError(
                f"{self._path} unpacks to more than the {self._free:,} bytes that are free for "
                "temporary files; unpack it elsewhere and give the folder."
            )
        raise DataError(
            f"{self._path} has {self._size:,} bytes, but unpacks to more than {self._most:,}; if "
            "you trust it, unpack it and give the folder."
        )


def _zip_members(path: Path, budget: _Budget) -> Iterator[_Member]:
    with open_untrusted(path, DataError) as file, zipfile.ZipFile(file) as archive:
        _check_count(path, len(archive.infolist()))
        for member in archive.infolist():
            name = member.filename.replace("\\", "/")  # as some programs for Windows write them
            if name.endswith("/"):
                continue
            if member.flag_bits & 1:
                raise DataError(f"{path} is encrypted; unpack it and give the folder.")
            if member.external_attr >> 28 == 0xA:  # a symbolic link, by its Unix mode
                raise DataError(f"{path}: {name} is a link; replace it with a file.")
            with archive.open(member) as content:
                yield _Member(name, _Counted(content.read, budget).read)


class _TarInfo(tarfile.TarInfo):
    """A member of a tar file whose damage is an error; `tarfile` takes it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _TarInfo:
        try:
            return super().fromtarfile(archive)
        except (
            tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
            tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
            tarfile.EmptyHeaderError,  # type: ignore[attr-defined]
        ) as error:
            raise ValueError(f"it is damaged or cut off ({error})") from error

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        kinds = (*tarfile.GNU_TYPES[:2], tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if self.type in kinds and self.size > MAX_FACTS:
            raise ValueError(f"it claims a name of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Counted:
    """A stream whose bytes are taken from a budget."""

    def __init__(self, read: Read, budget: _Budget) -> None:
        self._read = read
        self._budget = budget

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self._budget.spend(len(data))
        return data


def _tar_members(path: Path, budget: _Budget, *, compressed: bool) -> Iterator[_Member]:
    with open_stream(path, compressed=compressed) as read:
        stream: Any = _Counted(read, budget)  # so that bytes outside of files count, too
        count = 0
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarInfo) as archive:
            while (member := archive.next()) is not None:
                count += 1
                _check_count(path, count)
                archive.members = []  # type: ignore[attr-defined]  # which would keep all
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    kind = "a link" if member.issym() or member.islnk() else "not a regular file"
                    raise DataError(f"{path}: {member.name} is {kind}; replace it with a file.")
                yield _Member(member.name, content.read)
        while stream.read(CHUNK):  # up to its end, where a checksum is verified
            continue


def _check_count(path: Path, n: int) -> None:
    if n > MAX_MEMBERS:
        raise DataError(f"{path} holds more than {MAX_MEMBERS:,} files; that isn't a data set.")


def _safe_name(path: Path, name: str) -> PurePosixPath:
    """A member's path below the folder that it is unpacked into."""
    parts = PurePosixPath(name)
    windows = PureWindowsPath(name)
    if parts.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise DataError(f"{path}: {name!r} would unpack outside its folder; repack the archive.")
    if len(parts.parts) > MAX_DEPTH:
        raise DataError(f"{path}: {name[:50]!r}… lies in more than {MAX_DEPTH} folders.")
    return parts
