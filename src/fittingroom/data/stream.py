"""Read files that may be compressed, byte by byte and no further than is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fittingroom.errors import DataError
from fittingroom.untrusted import open_untrusted

CHUNK = 1 << 16
# A bomb is recognised by its ratio: 8 MiB out of less than a two-hundredth of that. Fashion-MNIST
# compresses 1.8 to 1, MNIST 4.8 to 1, deflate's limit is 1,032 to 1.
_BOMB_WINDOW = 8 << 20
_BOMB_RATIO = 200

Read = Callable[[int], bytes]


def read_up_to(read: Read, size: int) -> bytearray:
    """Read `size` bytes, or fewer at the end of the file; memory grows only with what is read."""
    data = bytearray()
    while len(data) < size and (chunk := read(min(size - len(data), CHUNK))):
        data += chunk
    return data


@contextmanager
def open_stream(
    path: Path, within: Path | None = None, *, compressed: bool | None = None
) -> Iterator[Read]:
    """Yield a function that reads decompressed bytes of a file.

    Parameters
    ----------
    path : the file
    within : the folder that it belongs to, which a link must not leave
    compressed : whether it is a gzip file; by default, whether its name ends in `.gz`

    Raises
    ------
    DataError : it can't be read, is damaged, or unpacks to far more than it holds
    """
    with open_untrusted(path, DataError, within=within) as file:
        try:
            gzipped = path.suffix == ".gz" if compressed is None else compressed
            yield _GzipStream(path, file).read if gzipped else file.read
        except zlib.error as error:
            raise DataError(
                f"{path} is a damaged gzip file ({error}), or isn't compressed and needs a name "
                "without .gz."
            ) from error


def open_zlib(path: Path, file: BinaryIO) -> Read:
    """A function that reads the bytes of a zlib stream, which fills the rest of a file.

    Its ratio isn't checked as that of a gzip file is, so the caller limits how much is read: where
    the first pixel of all images comes first, then the second, those of the border are zeros by
    the ten million.

    Parameters
    ----------
    path : the file, in messages
    file : the same, open where the stream begins; the function raises `DataError` if it is damaged
    """
    stream, pending = zlib.decompressobj(), b""

    def read(size: int) -> bytes:
        """At most `size` bytes; none only once the checksum is verified."""
        nonlocal pending
        while not stream.eof:
            pending = pending or file.read(CHUNK)
            if not pending:
                raise DataError(f"{path} is truncated: its compressed data have no end.")
            try:
                out = stream.decompress(pending, size)
            except zlib.error as error:
                raise DataError(
                    f"{path} is damaged: its data can't be unpacked ({error})."
                ) from error
            pending = stream.unconsumed_tail
            if out:
                return out
        if stream.unused_data or file.read(1):
            raise DataError(f"{path} has trailing bytes after its compressed data.")
        return b""

    return read


class _GzipStream:
    """Decompresses no more than is requested, unlike the gzip module, which reads ahead."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._member = zlib.decompressobj(wbits=31)  # 31: gzip format, checksum verified
        self._pending = file.read(CHUNK)  # compressed, not yet consumed
        self._ended = not self._pending
        self._window_in = self._window_out = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none only once the last member's checksum is verified."""
        while not self._ended:
            if self._member.eof:
                self._next_member()
                continue
            if not self._pending:
                self._pending = self._file.read(CHUNK)
                if not self._pending:
                    raise DataError(f"{self._path} is truncated: its gzip stream has no end.")
            before = len(self._pending)
            out = self._member.decompress(self._pending, size)
            self._pending = self._member.unconsumed_tail or self._member.unused_data
            self._check_ratio(before - len(self._pending), len(out))
            if out:
                return out
        return b""

    def _next_member(self) -> None:
        self._pending = self._pending or self._file.read(CHUNK)
        if not self._pending:
            self._ended = True
        elif self._pending[0] != 0x1F:
            raise DataError(f"{self._path} has trailing bytes after its gzip stream.")
        else:
            self._member = zlib.decompressobj(wbits=31)

    def _check_ratio(self, consumed: int, produced: int) -> None:
        self._window_in += consumed
        self._window_out += produced
        if self._window_out < _BOMB_WINDOW:
            return
        if self._window_in * _BOMB_RATIO < self._window_out:
            raise DataError(
                f"{self._path} is a gzip bomb: {self._window_in} compressed bytes "
                f"become {self._window_out}; decompress it yourself if you trust it."
            )
        self._window_in = self._window_out = 0
