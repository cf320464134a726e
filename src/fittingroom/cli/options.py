"""Options that several commands share, and the parsing of their values."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fittingroom.errors import UsageError
from fittingroom.models.settings import value_of
from fittingroom.untrusted import STRICT, read_json

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model; `fittingroom models` lists them.")
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        metavar="NAME|PATH",
        help="A name (fashion-mnist, mnist), a file or a folder.",
        show_default=True,
    ),
]
RunsOption = Annotated[
    Path,
    typer.Option(
        "--runs",
        envvar="FITTINGROOM_RUNS",
        metavar="FOLDER",
        help="The folder of saved runs.",
        show_default=True,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
WideOption = Annotated[
    bool, typer.Option("--wide", help="Print all columns, even if wider than 80 characters.")
]
FullOption = Annotated[
    bool, typer.Option("--full", help="Also train on the validation part (all 60,000 images).")
]

FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="LIST",
        help="Files to write: html, md, csv, json, latex; separated by commas.",
    ),
]
OnOption = Annotated[
    str,
    typer.Option("--on", metavar="PLACE", help="Where fits run: local:N, ray, or ray://HOST:PORT."),
]

TimeLimitOption = Annotated[
    str, typer.Option(metavar="TIME", help="Limit per fit: 90s, 10m, 1.5h or none.")
]
MemoryLimitOption = Annotated[
    str, typer.Option(metavar="SIZE", help="Limit per fit: 500M, 8G or none.")
]

RUNS = Path("runs")
FASHION_MNIST = "fashion-mnist"


@dataclass(frozen=True)
class _Settings:
    """The required content of a settings file; `tune` writes more."""

    __pydantic_config__ = STRICT

    model: str
    settings: dict[str, Any]


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(text: str) -> float | None:
    """Seconds in `90`, `90s`, `10m` or `1.5h`; None for `none`."""
    return _parse(text, _SECONDS, "duration", "90s, 10m or 1.5h")


def parse_size(text: str) -> int | None:
    """Bytes in `500M` or `8G` (powers of 1024); None for `none`."""
    size = _parse(text, _BYTES, "size", "500M or 8G")
    return None if size is None else int(size)


def parse_image_size(text: str) -> tuple[int, int]:
    """Height and width in `28` or `64x48`, which is the width first."""
    match = re.fullmatch(r"(\d{1,4})(?:[x×](\d{1,4}))?", text.strip().lower())
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not width or not height:
        raise UsageError(f"{text!r} isn't a size in pixels; write 28, or 64x48 for width x height.")
    return height, width


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`["epochs=3", "pooling=true"]` as `{"epochs": 3, "pooling": True}`."""
    return {name: value_of(text) for name, text in split_settings(settings).items()}


def split_settings(settings: list[str]) -> dict[str, str]:
    """`["epochs=3"]` as `{"epochs": "3"}`."""
    parsed = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes NAME=VALUE, not {setting!r}.")
        parsed[name.strip()] = value.strip()
    return parsed


def read_settings(path: Path) -> tuple[str, dict[str, Any]]:
    """The model and its settings in a file that `tune` wrote, or one of the same form."""
    try:
        content = read_json(path, UsageError, _Settings)
    except UsageError as error:
        raise UsageError(
            f"{str(error).rstrip('.')}; settings are JSON such as "
            '{"model": "cnn-32", "settings": {"epochs": 3}}.'
        ) from error
    return content.model, content.settings


def _parse(text: str, units: dict[str, int], what: str, examples: str) -> float | None:
    if text.lower() == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]?)(?:i?b)?", text.strip().lower())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise UsageError(f"{text!r} isn't a {what}; write {examples}, or none.")
    return float(match[1]) * units[match[2]]


def typed_command(secret: str | None = None, shown: str = "") -> str:
    """The command line as it was typed, without the path of the program.

    `shown` replaces `secret`.
    """
    arguments = [text.replace(secret, shown) if secret else text for text in sys.argv[1:]]
    return shlex.join(["fittingroom", *arguments])
