"""`fittingroom data`: what a data set holds and where it was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import JsonOption

if TYPE_CHECKING:
    from fittingroom.data.describe import DatasetDescription


def command(
    dataset: Annotated[
        str, typer.Argument(metavar="[NAME|PATH]", help="A name or a folder.")
    ] = "fashion-mnist",
    as_json: JsonOption = False,
) -> None:
    """Show a data set: shape, counts per class, pixel statistics, hash, place."""
    from fittingroom.cli.show import say
    from fittingroom.data.describe import describe
    from fittingroom.data.sources import load_dataset

    description = describe(load_dataset(dataset))
    say(json.dumps(description.to_dict(), indent=2) if as_json else text(description))


def text(description: DatasetDescription) -> str:
    """The description for people."""
    from fittingroom.cli.show import table

    height, width = description.shape
    splits = {"train": description.train, "test": description.test}
    rows = [
        ["images", *(f"{split.images:,}" for split in splits.values())],
        *(
            [name, *(f"{split.counts[name]:,}" for split in splits.values())]
            for name in description.class_names
        ),
        ["pixel minimum", *(str(split.pixel_min) for split in splits.values())],
        ["pixel maximum", *(str(split.pixel_max) for split in splits.values())],
        ["pixel mean", *(f"{split.pixel_mean:.3f}" for split in splits.values())],
        ["pixel sd", *(f"{split.pixel_sd:.3f}" for split in splits.values())],
    ]
    mirrored = "keeps" if description.mirror_keeps_class else "may change"
    return "\n".join(
        [
            f"{description.title}: grey images of {height} x {width} pixels, "
            f"{len(description.class_names)} classes; mirroring {mirrored} the class",
            f"found: {description.source}",
            f"sha256 {description.sha256}",
            "",
            table(["", *splits], rows, right=set(splits)),
        ]
    )
