"""Classify the images of a file without labels, and write classes to a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fittingroom.cli.saved_model import find_saved_model
from fittingroom.errors import DataError


def predict_file(model: str, images: Path, csv: Path, runs: Path) -> None:
    """Write the class of each image in a CSV, `.npy` or IDX file; they are numbered from 1.

    Raises DataError if it can't be read, or its images have another size than the model's.
    """
    from fittingroom.bundles.bundle import load
    from fittingroom.cli.output import note
    from fittingroom.cli.progress import busy
    from fittingroom.data.unlabelled import read_images

    loaded = load(find_saved_model(model, runs)[0])
    found, (height, width) = read_images(images), loaded.facts.image_shape
    if found.shape[1:] != (height, width):
        size = "{}×{}".format(*found.shape[1:])
        raise DataError(f"{images} holds images of {size}; {model} takes {height}×{width}.")
    with busy(f"predicting {len(found):,} images"):
        probabilities = loaded.predict_proba(found)
    tops = [
        {"label": loaded.class_names[first], "probability": float(row[first])}
        for first, row in zip(probabilities.argmax(axis=1), probabilities, strict=True)
    ]
    write_csv(csv, range(1, len(found) + 1), tops)
    note(f"{csv}: {len(found):,} images")


def write_csv(
    path: Path, images: Sequence[str | int], tops: Sequence[Mapping[str, object]]
) -> None:
    """Write the first class of each image, which has a name or a number, and its probability."""
    from fittingroom.files import replace_file
    from fittingroom.table import csv_text

    lines = (
        (image, top.get("label"), top.get("probability"))
        for image, top in zip(images, tops, strict=True)
    )
    replace_file(path, csv_text(("image", "class", "probability"), lines))
