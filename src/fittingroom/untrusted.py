"""Read untrusted files: plain files only, read and parsed up to a limit.

Whatever is wrong with a file becomes one sentence that names it, raised as the caller's type of
error. A parser may raise anything for a damaged file, so no types are listed here.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fittingroom.errors import FittingroomError

#: As `__pydantic_config__` of a dataclass: pydantic converts nothing.
STRICT = {"strict": True, "allow_inf_nan": False}
#: Largest JSON file in bytes: 15 MB of it can be 5 million empty lists, 0.7 GB of memory.
MAX_JSON_BYTES = 2**24
#: Largest TOML file in bytes, and most dots in a line: a key a.b.c takes time quadratic in its
#: dots, and 20,000 of them take six seconds.
MAX_TOML_BYTES, MAX_DOTS = 2**16, 200

_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # opening a pipe would block
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_Kind = TypeVar("_Kind")


@contextmanager
def open_untrusted(
    path: Path | str,
    error: type[FittingroomError],
    *,
    most: int | None = None,
    within: Path | None = None,
) -> Iterator[BinaryIO]:
    """Open a plain file; an exception while it is read becomes a sentence that names it.

    Parameters
    ----------
    path : the file
    error : the type of error to raise
    most : its largest size in bytes; None if the reader limits itself
    within : the folder that it belongs to, which a link must not leave; None for a file that the
        user named, which may link anywhere
    """
    with raise_as(path, error):
        if within is not None and os.path.islink(path):
            require_inside(path, within, error)
        descriptor = os.open(path, os.O_RDONLY | _NO_WAIT)
        try:
            status = os.fstat(descriptor)
            kind = _KINDS.get(stat.S_IFMT(status.st_mode))
            if kind is not None:
                raise error(f"{path} is {kind}, not a file.")
            if most is not None and status.st_size > most:
                raise error(
                    f"{path} has {status.st_size:,} bytes, more than the {most:,} that such a file "
                    "may have."
                )
            with open(descriptor, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(descriptor)


@contextmanager
def raise_as(path: Path | str, error: type[FittingroomError]) -> Iterator[None]:
    """Turn any exception but our own errors into a sentence that names a file."""
    try:
        yield
    except FittingroomError:
        raise
    except Exception as reason:
        raise error(f"{path} can't be read: {in_short(reason)}.") from reason


def require_inside(path: Path | str, folder: Path, error: type[FittingroomError]) -> None:
    """Refuse a path that leads out of a folder through links."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise error(
            f"{path} links to something outside {folder}; replace the link by a copy of its target "
            "(cp -L makes one)."
        )


def read_bytes(
    path: Path | str,
    error: type[FittingroomError],
    *,
    most: int,
    within: Path | None = None,
) -> bytes:
    """Read a plain file of at most `most` bytes."""
    with open_untrusted(path, error, most=most, within=within) as file:
        # Never more than its size: Python allocates as much as it is asked to read.
        size = min(most, os.fstat(file.fileno()).st_size or most)
        data = file.read(size + 1)
    if len(data) > size:  # it grew, or the system doesn't report its size
        raise error(f"{path} has more than the {most:,} bytes that such a file may have.")
    return data


def read_text(
    path: Path | str, error: type[FittingroomError], *, most: int, within: Path | None = None
) -> str:
    """Read a UTF-8 file, dropping a byte order mark."""
    data = read_bytes(path, error, most=most, within=within)
    with raise_as(path, error):
        return data.decode("utf-8-sig")


def read_json(
    path: Path | str,
    error: type[FittingroomError],
    kind: type[_Kind],
    *,
    most: int = MAX_JSON_BYTES,
    within: Path | None = None,
) -> _Kind:
    """Read a JSON file as a value of type `kind`, validated by pydantic.

    Parameters
    ----------
    kind : such as a dataclass or `dict[str, int]`
    """
    of_type: Any = kind
    _adapter(of_type)  # an error in the type is ours, not the file's
    text = read_text(path, error, most=most, within=within)
    with raise_as(path, error):
        return convert(kind, parse_json(text))


def read_toml(path: Path | str, error: type[FittingroomError]) -> dict[str, Any]:
    """Read a TOML file."""
    text = read_text(path, error, most=MAX_TOML_BYTES)
    with raise_as(path, error):
        return parse_toml(text)


def parse_json(text: str) -> Any:
    """Parse JSON; duplicate keys, numbers that aren't finite and lone surrogates are errors.

    Raises
    ------
    ValueError, RecursionError : it is anything else
    """
    value = json.loads(
        text,
        object_pairs_hook=_unique_keys,
        parse_constant=_refuse_constant,
        parse_float=_finite_float,
    )
    if "\\ud" in text.lower():  # perhaps half of a surrogate pair, which can't be encoded
        json.dumps(value, ensure_ascii=False).encode()
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ValueError, RecursionError."""
    if len(text) > MAX_TOML_BYTES:
        raise ValueError(f"it has more than {MAX_TOML_BYTES:,} characters")
    if any(line.count(".") > MAX_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {MAX_DOTS} dots")
    return tomllib.loads(text)


def convert(kind: type[_Kind], value: Any) -> _Kind:
    """Validate a value that was read from JSON or TOML as one of type `kind`.

    Raises
    ------
    pydantic.ValidationError : it has other fields, types or ranges
    """
    of_type: Any = kind
    # Via JSON, where strict mode accepts a list for a tuple.
    result: _Kind = _adapter(of_type).validate_json(json.dumps(value))
    return result


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter  # slow, and most commands read no such file

    return TypeAdapter(kind)


def in_short(error: Exception) -> str:
    """Describe an error in a few words, without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnicodeDecodeError):
        return f"it isn't UTF-8 text ({error.reason})"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if hasattr(error, "errors"):  # pydantic's ValidationError
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part)[:50] for part in first["loc"])
        return ": ".join([*([location] if location else []), first["msg"]])[:300]
    text = str(error).strip().rstrip(".").split("\n")[0][:200]
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__} {text}"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        key = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{key[:50]!r} occurs twice")
    return fields


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number
