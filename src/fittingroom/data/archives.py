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
from typing import IO, BinaryIO, NamedTuple

from fittingroom.data.stream import CHUNK
from fittingroom.errors import DataError
from fittingroom.untrusted import open_untrusted

#: Bytes that are always allowed; beyond that, how many times larger than the archive its files may
#: be. Rows of pixels as text compress ten times, drawings of two colours 100 times.
ALWAYS_ROOM, MAX_GROWTH = 2**28, 200
MAX_MEMBERS = 2_000_000

_SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz)$", re.I)
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
#: Where a tar file says that it is one, and how.
_TAR_MAGIC = slice(257, 262), b"ustar"

_LITTER = "__MACOSX/"  # which macOS adds

logger = logging.getLogger("fittingroom.data")


class _Member(NamedTuple):
    """A file in an archive."""

    name: str
    content: IO[bytes]


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
    with TemporaryDirectory(prefix="fittingroom-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve() / (_SUFFIX.sub("", path.name) or "archive")
        folder.mkdir()
        logger.info("unpacking %s", path)
        with open_untrusted(path, DataError) as file:
            _unpack(path, file, folder)
        try:
            yield folder
        except DataError as error:
            raise DataError(str(error).replace(str(folder), str(path))) from error


def _unpack(path: Path, file: BinaryIO, folder: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    free = shutil.disk_usage(folder).free
    most, total = min(max(ALWAYS_ROOM, MAX_GROWTH * size), free), 0
    members = _zip_members if file.read(len(_ZIP)) == _ZIP else _tar_members
    file.seek(0)
    for count, (name, content) in enumerate(members(path, file)):
        if count >= MAX_MEMBERS:
            raise DataError(f"{path} holds more than {MAX_MEMBERS:,} files; that isn't a data set.")
        if name.startswith(_LITTER):
            continue
        target = folder / _safe_name(path, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:  # a second file of that name is an error
            while chunk := content.read(CHUNK):
                total += len(chunk)
                if total > most:
                    raise DataError(_too_large(path, size, most, free))
                out.write(chunk)


def _too_large(path: Path, size: int, most: int, free: int) -> str:
    if most == free:
        return (
            f"{path} unpacks to more than the {free:,} bytes that are free for temporary "
            "files; unpack it elsewhere and give the folder."
        )
    return (
        f"{path} has {size:,} bytes, but unpacks to more than {most:,}; if you "
        "trust it, unpack it and give the folder."
    )


def _zip_members(path: Path, file: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & 1:
                raise DataError(f"{path} is encrypted; unpack it and give the folder.")
            if member.external_attr >> 28 == 0xA:  # a symbolic link, by its Unix mode
                raise DataError(f"{path}: {member.filename} is a link; replace it by a file.")
            with archive.open(member) as content:
                yield _Member(member.filename, content)


def _tar_members(path: Path, file: BinaryIO) -> Iterator[_Member]:
    compressed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r|gz" if compressed else "r|") as archive:
        for member in archive:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                kind = "a link" if member.issym() or member.islnk() else "no plain file"
                raise DataError(f"{path}: {member.name} is {kind}; replace it by a file.")
            yield _Member(member.name, content)


def _safe_name(path: Path, name: str) -> PurePosixPath:
    """A member's path below the folder that it is unpacked into."""
    parts = PurePosixPath(name)
    windows = PureWindowsPath(name)
    if (
        parts.is_absolute()
        or windows.drive
        or windows.root
        or ".." in (parts.parts + windows.parts)
    ):
        raise DataError(f"{path}: {name!r} would lie outside of it; that isn't a data set.")
    return parts
