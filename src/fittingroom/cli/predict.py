"""`fittingroom predict`: classify pictures with a saved model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from fittingroom.cli.options import RUNS, JsonOption, RunsOption
from fittingroom.cli.predict_file import predict_file, write_csv
from fittingroom.cli.saved_model import SavedModelArgument, find_saved_model
from fittingroom.cli.show import check_target
from fittingroom.errors import DataError, UsageError, install_command
from fittingroom.json_text import json_text

if TYPE_CHECKING:
    from fittingroom.bundles.bundle import Bundle
    from fittingroom.bundles.predictor import Prediction
    from fittingroom.data.decode import Picture
    from fittingroom.data.rendering import Preparation

STDIN = "-"
#: In text: the number of top classes, and the least probability at which one is shown.
TOP, LEAST = 3, 0.01
#: The most pictures on a contact sheet; with more, it would be too large.
MAX_SHOWN = 400
#: The most skipped files that a message names.
MAX_NAMED = 5


#: What a picture that can't be read has in place of a prediction.
_NOTHING: dict[str, Any] = {
    **{"top": [], "set": [], "unlike_data": None, "unlike_score": None},
    **{"odds": None, "is_photo": None, "decisions": []},
}

#: The path of a picture, and the folder in which it was found, if any.
_File = tuple[str, Path | None]


_ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="Pictures (PNG, JPEG, WebP), folders of them, or - for one on standard input; or one "
        "CSV, .npy or IDX file of images, with --csv.",
    ),
]
_AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="photo|image",
        help="What the pictures are: photos, in which the object is located, or images like "
        "those that the model was fitted on. The default depends on the model's data.",
    ),
]
_ShowOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write a PNG contact sheet: each photo beside the model's input."
    ),
]
_CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write a CSV file: a line per image with its class and the class's probability.",
    ),
]


def command(
    model: SavedModelArgument,
    images: _ImagesArgument,
    taken_as: _AsOption = None,
    show: _ShowOption = None,
    csv: _CsvOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Classify pictures: the top classes, a prediction set, and how each was prepared."""
    if taken_as not in (None, "photo", "image"):
        raise UsageError(f"--as takes photo or image, not {taken_as!r}.")
    kind = cast("Literal['photo', 'image'] | None", taken_as)
    others = bool(taken_as or show or as_json)
    if (table := _file_of_images(images, csv, others=others)) and csv is not None:
        predict_file(model, table, csv, runs)
        return
    files = list(_files(images))
    if show is not None:
        _check_sheet(show, len(files))
    from fittingroom.bundles.bundle import load
    from fittingroom.bundles.predictor import preparation_as
    from fittingroom.cli.output import note, say, warn
    from fittingroom.errors import FittingroomError
    from fittingroom.printable import printable

    loaded = load(find_saved_model(model, runs)[0])
    preparation = preparation_as(loaded, kind)
    facts, entries, failed = [], [], 0
    for file, within in _with_progress(files, quiet=not as_json):
        try:
            picture, prediction = _predict(loaded, file, within, preparation)
        except FittingroomError as error:
            failed += 1
            facts.append(_facts(file, None, str(error)))
            warn(f"fittingroom: {printable(str(error))}")
            continue
        facts.append(_facts(file, prediction, None))
        if not as_json:
            say(_text(file, prediction, loaded))
        if show is not None:
            entries.append((file, picture, prediction))
    if as_json:
        say(json_text({"schema_version": 1, "predictions": facts}).rstrip())
    if find_spec("cv2") is None and any(each["is_photo"] for each in facts):
        note(
            "without OpenCV the object in a photo is located less well; run "
            f"{install_command('photos')}."
        )
    if show is not None and entries:
        _write_sheet(show, entries)
        note(str(show))
    if csv is not None:
        tops = [each["top"][0] if each["top"] else {} for each in facts]
        write_csv(csv, [each["file"] for each in facts], tops)
        note(str(csv))
    if failed:
        raise typer.Exit(1)


def _file_of_images(images: list[str], csv: Path | None, *, others: bool) -> Path | None:
    """The file of images without names, if one is given.

    Raises UsageError unless it is alone, with --csv and no `others`; or if --csv can't be written.
    """
    from fittingroom.data.unlabelled import holds_images

    if csv is not None:
        check_target(csv, "--csv")
        if csv.exists() and any(Path(name).exists() and csv.samefile(name) for name in images):
            raise UsageError(f"--csv would replace {csv}, which is to be read; choose another.")
    table = next((Path(name) for name in images if holds_images(Path(name))), None)
    if table is not None and (len(images) > 1 or csv is None or others):
        raise UsageError(
            f"{table} is a file of images; give it alone, with --csv FILE and without --as, "
            "--show or --json."
        )
    return table


def _files(names: Iterable[str]) -> Iterator[_File]:
    """The named pictures, and those in the named folders, sorted and with their folder.

    Raises DataError if a folder has none.
    """
    from fittingroom.cli.output import note
    from fittingroom.data.decode import looks_like_picture

    for name in names:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name, None
            continue
        files = sorted(_visible_files(path))
        pictures = [file for file in files if looks_like_picture(file)]
        if not pictures:
            raise DataError(f"{name} has no PNG, JPEG or WebP picture.")
        if skipped := [file.name for file in files if file not in pictures]:
            listed = ", ".join(skipped[:MAX_NAMED]) + ", …" * (len(skipped) > MAX_NAMED)
            note(f"skipped files in {name} that aren't PNG, JPEG or WebP pictures: {listed}")
        yield from ((str(picture), path) for picture in pictures)


def _visible_files(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders, without hidden files and system files."""
    from fittingroom.data.folder import visible

    for entry in visible(folder):
        if entry.is_dir():
            if entry.is_symlink():  # it may lead back here
                continue
            yield from _visible_files(entry)
        elif entry.is_file():
            yield entry


def _check_sheet(show: Path, n: int) -> None:
    """Refuse a contact sheet that can't be written, before the work starts."""
    if show.suffix.lower() != ".png":
        raise UsageError(f"--show writes a PNG picture; call it {show.stem}.png, not {show.name}.")
    check_target(show, "--show")
    if n > MAX_SHOWN:
        raise UsageError(f"--show takes at most {MAX_SHOWN} pictures, not {n:,}.")


def _with_progress(files: list[_File], *, quiet: bool) -> Iterable[_File]:
    """The files, with a progress bar on a terminal unless predictions are printed."""
    from rich.console import Console
    from rich.progress import track

    from fittingroom.cli.progress import can_animate

    console = Console(stderr=True)
    if quiet or not can_animate(console):
        return files
    return track(files, "predicting", console=console, transient=True)


def _predict(
    bundle: Bundle, file: str, within: Path | None, preparation: Preparation
) -> tuple[Picture, Prediction]:
    from fittingroom.bundles.predictor import predict_picture
    from fittingroom.data.decode import LONGEST, MAX_BYTES, decode

    content = sys.stdin.buffer.read(MAX_BYTES + 1) if file == STDIN else Path(file)
    picture = decode(content, longest=max(LONGEST, *bundle.facts.image_shape), within=within)
    return picture, predict_picture(bundle, picture, preparation)


def _facts(file: str, prediction: Prediction | None, error: str | None) -> dict[str, Any]:
    """One entry of the JSON output."""
    if prediction is None:
        return {"file": file, **_NOTHING, "error": error}
    return {"file": file, **prediction.to_dict(), "error": error}


def _lines(prediction: Prediction) -> list[str]:
    """The prediction for people: the top classes, then warnings."""
    top = [(label, p) for label, p in prediction.top(TOP) if p >= LEAST]
    lines = [", ".join(f"{label} {_percent(p)}" for label, p in top)]
    if prediction.unlike_data:
        lines.append("out of distribution: unlike the training images")
    label, probability = prediction.without_odds
    if label != prediction.top(1)[0][0]:
        lines.append(
            f"{label} {_percent(probability)} if all classes were photographed equally often"
        )
    return lines


def _percent(probability: float) -> str:
    return ">99%" if probability > 0.995 else f"{probability:.0%}"


def _text(file: str, prediction: Prediction, bundle: Bundle) -> str:
    from fittingroom.printable import printable

    first, *details = _lines(prediction)
    calibrated = bundle.facts.calibrated
    if calibrated is not None:
        details.insert(0, _set_text(prediction, calibrated.coverage))
    details.append("; ".join(prediction.rendering.decisions))
    lines = [f"{file}: {first}", *(f"    {line}" for line in details)]
    return "\n".join(map(printable, lines))


def _set_text(prediction: Prediction, coverage: float) -> str:
    """The prediction set, and on what its coverage was measured."""
    names = ", ".join(prediction.labels)
    if not prediction.rendering.is_photo:
        return f"{coverage:.0%} set: {names}"
    return f"set: {names} ({coverage:.0%} coverage on images like the data, less on photos)"


def _write_sheet(show: Path, entries: list[tuple[str, Picture, Prediction]]) -> None:
    from fittingroom.files import replace_file
    from fittingroom.reporting.contact_sheet import SheetEntry, contact_sheet

    sheet = contact_sheet(
        [
            SheetEntry(
                picture.pixels,
                prediction,
                [*_lines(prediction), Path(file).name, "; ".join(prediction.rendering.decisions)],
            )
            for file, picture, prediction in entries
        ]
    )
    replace_file(show, sheet)
