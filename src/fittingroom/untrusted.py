"""Files from elsewhere: opened only where they are plain files, read and parsed only up to a bound.

Whatever is wrong with one becomes one sentence that names it, raised as an error of the caller's
kind. A parser may raise anything at all for a damaged file, so nothing is listed by type here.
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

#: How pydantic reads a dataclass that has this as `__pydantic_config__`: nothing is converted.
STRICT = {"strict": True, "allow_inf_nan": False}
#: Bytes of a JSON file: 5 million empty lists, which take 0.7 GB of memory, are 15 MB.
MOST_JSON_BYTES = 2**24
#: Bytes of a TOML file, and dots in one of its lines: the time for a key a.b.c grows with their
#: square, and 20,000 of them take six seconds.
MOST_TOML_BYTES, MOST_DOTS = 2**16, 200

_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe may never be written
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
    """A plain file, opened; what is raised while it is read becomes a sentence that names it.

    Parameters
    ----------
    path : the file
    error : what is raised where something is wrong with it
    most : bytes that it may have; None for a reader that itself takes no more than it needs
    within : the folder that it is part of, which a link must not lead out of. A file that was named
        by the user alone may be a link to anywhere.
    """
    with blaming(path, error):
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
def blaming(path: Path | str, error: type[FittingroomError]) -> Iterator[None]:
    """Turn whatever is raised, but for our own errors, into a sentence that names a file."""
    try:
        yield
    except FittingroomError:
        raise
    except Exception as reason:
        raise error(f"{path} can't be read: {in_short(reason)}.") from reason


def require_inside(path: Path | str, folder: Path, error: type[FittingroomError]) -> None:
    """Refuse a path that links lead out of a folder."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise error(
            f"{path} is a link to something outside {folder}; put what it leads to in its place "
            "(cp -L copies it)."
        )


def read_bytes(
    path: Path | str,
    error: type[FittingroomError],
    *,
    most: int,
    within: Path | None = None,
) -> bytes:
    """The bytes of a plain file that has at most so many."""
    with open_untrusted(path, error, most=most, within=within) as file:
        # No more than it has: Python takes memory for all that it is asked to read.
        size = min(most, os.fstat(file.fileno()).st_size or most)
        data = file.read(size + 1)
    if len(data) > size:  # it grew, or the system doesn't say how large it is
        raise error(f"{path} has more than the {most:,} bytes that such a file may have.")
    return data


def read_text(
    path: Path | str, error: type[FittingroomError], *, most: int, within: Path | None = None
) -> str:
    """The text of a UTF-8 file, without a byte order mark."""
    data = read_bytes(path, error, most=most, within=within)
    with blaming(path, error):
        return data.decode("utf-8-sig")


def read_json(
    path: Path | str,
    error: type[FittingroomError],
    kind: type[_Kind],
    *,
    most: int = MOST_JSON_BYTES,
    within: Path | None = None,
) -> _Kind:
    """What a JSON file holds, as a value of a type; pydantic compares it with the type's fields.

    Parameters
    ----------
    kind : a dataclass, `dict[str, int]` and so on
    """
    of_type: Any = kind
    _adapter(of_type)  # a fault of the type is ours, not the file's
    text = read_text(path, error, most=most, within=within)
    with blaming(path, error):
        return typed(kind, parse_json(text))


def read_toml(path: Path | str, error: type[FittingroomError]) -> dict[str, Any]:
    """The table that a TOML file holds."""
    text = read_text(path, error, most=MOST_TOML_BYTES)
    with blaming(path, error):
        return parse_toml(text)


def parse_json(text: str) -> Any:
    """JSON without names that stand twice, numbers that are not finite or text that isn't UTF-8.

    Raises
    ------
    ValueError, RecursionError : it is anything else
    """
    value = json.loads(
        text, object_pairs_hook=_once, parse_constant=_not_a_number, parse_float=_finite
    )
    if "\\ud" in text.lower():  # half of a pair of surrogates: text that can't be written
        json.dumps(value, ensure_ascii=False).encode()
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML table. Raises ValueError, RecursionError."""
    if len(text) > MOST_TOML_BYTES:
        raise ValueError(f"it has more than {MOST_TOML_BYTES:,} characters")
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {MOST_DOTS} dots")
    return tomllib.loads(text)


def typed(kind: type[_Kind], value: Any) -> _Kind:
    """A value that was read from JSON or TOML, as a value of a type.

    Raises
    ------
    pydantic.ValidationError : it has other fields, types or ranges
    """
    of_type: Any = kind
    # Through JSON again, in which a strict type takes a list for a tuple.
    result: _Kind = _adapter(of_type).validate_json(json.dumps(value))
    return result


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter  # not for commands that read no such file

    return TypeAdapter(kind)


def in_short(error: Exception) -> str:
    """What is wrong, in a few words without a full stop."""
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
        place = ".".join(str(part)[:50] for part in first["loc"])
        return ": ".join([*([place] if place else []), first["msg"]])[:300]
    text = str(error).strip().rstrip(".").split("\n")[0][:200]
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__} {text}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{twice[:50]!r} stands twice")
    return fields


def _not_a_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number
