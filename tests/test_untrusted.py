from __future__ import annotations

import json
import os
import socket
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fittingroom.errors import DataError
from fittingroom.untrusted import (
    STRICT,
    open_untrusted,
    raise_as,
    read_bytes,
    read_json,
    read_toml,
)


@dataclass(frozen=True)
class Shirt:
    __pydantic_config__ = STRICT

    name: str
    sizes: tuple[int, ...]
    price: float | None = None


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_at(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    server.bind(path.name)
    os.chdir(before)
    server.close()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (pipe, "is a pipe, not a file"),
        (socket_at, "can't be read: no such device or address"),
        (device, "is a device, not a file"),
        (Path.mkdir, "is a folder, not a file"),
        (lambda path: path.symlink_to("nowhere"), "can't be read: no such file or directory"),
        (lambda path: path.symlink_to(path), "can't be read: too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"x" * 101), "has 101 bytes, more than the 100"),
    ],
)
def test_only_plain_files_within_the_limit_are_read(
    tmp_path: Path, make: Callable[[Path], object], complaint: str
) -> None:
    make(tmp_path / "it")
    with pytest.raises(DataError) as refusal:
        read_bytes(tmp_path / "it", DataError, most=100)
    assert str(refusal.value).startswith(f"{tmp_path / 'it'} {complaint}")


def test_a_file_that_hides_its_size_is_read_no_further() -> None:
    with pytest.raises(DataError, match="has more than the 10 bytes"):
        read_bytes("/proc/self/status", DataError, most=10)


def test_links_may_be_named_by_the_user_but_not_leave_a_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path / "downloaded", tmp_path / "secret"
    folder.mkdir()
    secret.write_text("mine")
    (folder / "out").symlink_to(secret)
    (folder / "up").symlink_to("../secret")
    (folder / "a").write_text("theirs")
    (folder / "in").symlink_to("a")
    assert read_bytes(folder / "out", DataError, most=100) == b"mine"
    assert read_bytes(folder / "in", DataError, most=100, within=folder) == b"theirs"
    for name in ("out", "up"):
        with pytest.raises(DataError, match=f"{name} links to something outside"):
            read_bytes(folder / name, DataError, most=100, within=folder)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "Expecting value"),
        (b"\xff", "it isn't UTF-8 text"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"name": "a", "name": "b", "sizes": []}', "'name' occurs twice"),
        (b'{"name": "a", "sizes": [NaN]}', "NaN is not a number"),
        (b'{"name": "a", "sizes": [], "price": 1e999}', "1e999 is too large a number"),
        (b'{"name": "a", "sizes": [' + b"9" * 5000 + b"]}", "Exceeds the limit"),
        (rb'{"name": "\ud800", "sizes": []}', "can't encode character"),
        (b'{"name": "a"}', "sizes: Field required"),
        (b'{"name": 1, "sizes": []}', "name: Input should be a valid string"),
        (b'{"name": "a", "sizes": ["1"]}', "sizes.0: Input should be a valid integer"),
        (b'{"name": "a", "sizes": [1.5]}', "sizes.0: "),
        (b"null", "Input should be"),
    ],
)
def test_json_of_another_type_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "shirt.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        read_json(path, DataError, Shirt)
    assert str(refusal.value).startswith(f"{path} can't be read: ")
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_json_becomes_the_requested_type(tmp_path: Path) -> None:
    path = tmp_path / "shirt.json"
    path.write_text(json.dumps({"name": "😀", "sizes": [1, 2], "price": 3}))
    assert read_json(path, DataError, Shirt) == Shirt("😀", (1, 2), 3.0)
    path.write_text("\ufeff{}", encoding="utf-8")  # as some editors write it
    assert read_json(path, DataError, dict[str, int]) == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a" + ".a" * 20_000 + " = 1", "a line has more than 200 dots"),
        ("a = " + "[" * 5000, "it is nested too deep"),
        ("a = 1\n" * 2, "Cannot overwrite a value"),
        ("#" * 70_000, "has 70,000 bytes, more than the 65,536"),
    ],
)
def test_bad_toml_is_refused_quickly(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_toml(path, DataError)


def test_any_exception_of_a_parser_names_the_file(tmp_path: Path) -> None:
    for reason in (MemoryError(), OverflowError("too far"), zipfile.BadZipFile("torn"), OSError()):
        with pytest.raises(DataError, match=r"^it can't be read: .*\.$"), raise_as("it", DataError):
            raise reason
    with pytest.raises(KeyboardInterrupt), raise_as("it", DataError):
        raise KeyboardInterrupt
    with pytest.raises(DataError, match=r"^of our own$"), raise_as("it", DataError):
        raise DataError("of our own")


def test_an_opened_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    with open_untrusted(tmp_path / "a", DataError) as file:
        assert file.read(2) == b"12"
    assert file.closed
