"""`fittingroom predict`: what a saved model says of pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fittingroom.cli.options import JsonOption
from fittingroom.errors import DataError, UsageError

if TYPE_CHECKING:
    from fittingroom.bundles.bundle import Bundle
    from fittingroom.bundles.predictor import Prediction
    from fittingroom.data.decode import Picture

STDIN = "-"
#: For people: so many classes, if they are as probable as this.
TOP, LEAST = 3, 0.01
#: A contact sheet of more would be too large a picture.
MOST_SHOWN = 400


def command(
    bundle: Annotated[Path, typer.Argument(help="The folder of a bundle, or of a saved run.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Pictures (PNG, JPEG, WebP), folders of them, or - for one on standard input."
        ),
    ],
    show: Annotated[
        Path | None,
        typer.Option(help="Write a PNG picture of the photos beside what the model saw of them."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in pictures, how sure that is, and what the model saw of them."""
    files = list(_files(images))
    if show is not None:
        _check_target(show, len(files))
    from fittingroom.bundles.bundle import load
    from fittingroom.cli.show import note, say
    from fittingroom.errors import FittingroomError

    loaded = load(bundle)
    facts, entries, failed = [], [], 0
    for file in _with_progress(files, quiet=not as_json):
        try:
            picture, prediction = _predicted(loaded, file)
        except FittingroomError as error:
            failed += 1
            facts.append(_facts(file, None, str(error)))
            note(f"fittingroom: {error}")
            continue
        facts.append(_facts(file, prediction, None))
        if not as_json:
            say(_text(file, prediction, loaded))
        if show is not None:
            entries.append((file, picture, prediction))
    if as_json:
        say(json.dumps({"schema_version": 1, "predictions": facts}, indent=2, allow_nan=False))
    if show is not None and entries:
        _write_sheet(show, entries)
        note(str(show))
    if failed:
        raise typer.Exit(1)


def _files(given: Iterable[str]) -> Iterator[str]:
    """The pictures that were named, those of folders by name.

    Raises
    ------
    DataError : a folder has none
    """
    from fittingroom.data.decode import SUFFIXES

    for name in given:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise DataError(f"there is no PNG, JPEG or WebP picture in {name}.")
        yield from map(str, found)


def _check_target(show: Path, n: int) -> None:
    """Before the work, not after it."""
    if show.suffix.lower() != ".png":
        raise UsageError(f"--show writes a PNG picture; call it {show.stem}.png, not {show.name}.")
    if show.is_dir() or not show.resolve().parent.is_dir():
        raise UsageError(f"{show} can't be written; name a file in a folder that is there.")
    if n > MOST_SHOWN:
        raise UsageError(f"--show takes up to {MOST_SHOWN} pictures, not {n:,}.")


def _with_progress(files: list[str], *, quiet: bool) -> Iterable[str]:
    """The files, with a bar on a terminal where nothing else is printed meanwhile."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if quiet or not (sys.stderr.isatty() and console.is_interactive):
        return files
    return track(files, "predicting", console=console, transient=True)


def _predicted(bundle: Bundle, file: str) -> tuple[Picture, Prediction]:
    from fittingroom.bundles.predictor import predict_picture
    from fittingroom.data.decode import MOST_BYTES, decode

    picture = decode(sys.stdin.buffer.read(MOST_BYTES + 1) if file == STDIN else Path(file))
    return picture, predict_picture(bundle, picture)


def _facts(file: str, prediction: Prediction | None, error: str | None) -> dict[str, Any]:
    """One entry of the JSON."""
    top = prediction.top() if prediction else []
    return {
        "file": file,
        "top": [{"label": label, "probability": probability} for label, probability in top],
        "set": list(prediction.labels) if prediction else [],
        "unlike_data": prediction.unlike_data if prediction else None,
        "unlike_score": prediction.unlike_score if prediction else None,
        "decisions": list(prediction.rendering.decisions) if prediction else [],
        "error": error,
    }


def _lines(prediction: Prediction) -> list[str]:
    """What is said of a picture: the classes, then what must be known of them."""
    top = [(label, p) for label, p in prediction.top(TOP) if p >= LEAST]
    lines = [", ".join(f"{label} {_percent(p)}" for label, p in top)]
    if prediction.unlike_data:
        lines.append("looks unlike anything that the model has seen")
    return lines


def _percent(probability: float) -> str:
    return ">99%" if probability > 0.995 else f"{probability:.0%}"


def _text(file: str, prediction: Prediction, bundle: Bundle) -> str:
    first, *others = _lines(prediction)
    calibrated = bundle.facts.calibrated
    if calibrated is not None:
        often = f"{calibrated.coverage:.0%}"
        others.insert(0, f"{often} set: {', '.join(prediction.labels)}")
    others.append("; ".join(prediction.rendering.decisions))
    return "\n".join([f"{file}: {first}", *(f"    {line}" for line in others)])


def _write_sheet(show: Path, entries: list[tuple[str, Picture, Prediction]]) -> None:
    from fittingroom.reporting.contact_sheet import Entry, contact_sheet
    from fittingroom.runs.store import write_bytes

    drawn = contact_sheet(
        [
            Entry(
                picture.pixels,
                prediction,
                [*_lines(prediction), Path(file).name, "; ".join(prediction.rendering.decisions)],
            )
            for file, picture, prediction in entries
        ]
    )
    write_bytes(show, drawn)
