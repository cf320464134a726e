"""`fittingroom data`: what a data set holds and where it was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import JsonOption, typed_command
from fittingroom.errors import UsageError
from fittingroom.json_text import json_text

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration
    from fittingroom.data.dataset import Dataset
    from fittingroom.data.describe import DatasetDescription


def command(
    dataset: Annotated[
        str, typer.Argument(metavar="[NAME|PATH]", help="A name or a folder.")
    ] = "fashion-mnist",
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write a page: samples, 2D embedding, neighbours, duplicates."
        ),
    ] = None,
    tsne: Annotated[
        bool, typer.Option("--tsne", help="Use t-SNE instead of PCA for the 2D embedding.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a data set: shape, class counts, pixel statistics, hash, location."""
    from fittingroom.cli.output import say
    from fittingroom.cli.show import write_files
    from fittingroom.data.describe import describe
    from fittingroom.data.sources import load_dataset

    if tsne and report is None:
        raise UsageError(
            "--tsne changes the 2D embedding of the page; give --report FILE.html too."
        )
    loaded = load_dataset(dataset)
    explored = None if report is None else _explored(loaded, tsne)
    description = describe(loaded) if explored is None else explored.description
    if as_json:
        say(json_text((explored or description).to_dict()).rstrip())
    else:
        say(text(description))
    if report is not None and explored is not None:
        from fittingroom.reporting.data_page import render_data

        write_files({report: lambda: render_data(explored, loaded, typed_command())})


def _explored(dataset: Dataset, tsne: bool) -> Exploration:
    """Look at the data closely."""
    from fittingroom.bench.explore import explore
    from fittingroom.cli.output import note

    note(f"analysing {dataset.name}: neighbours and duplicates take a few seconds")
    return explore(dataset, tsne=tsne)


def text(description: DatasetDescription) -> str:
    """The description for people."""
    from fittingroom.formatting import shortened
    from fittingroom.table import text_table

    height, width = description.shape
    names = shortened(description.class_names, 40)  # --json has them in full
    splits = {"train": description.train, "test": description.test}
    rows = [
        ["images", *(f"{split.images:,}" for split in splits.values())],
        *(
            [short, *(f"{split.counts[name]:,}" for split in splits.values())]
            for short, name in zip(names, description.class_names, strict=True)
        ),
        ["pixel minimum", *(str(split.pixel_min) for split in splits.values())],
        ["pixel maximum", *(str(split.pixel_max) for split in splits.values())],
        ["pixel mean", *(f"{split.pixel_mean:.3f}" for split in splits.values())],
        ["pixel sd", *(f"{split.pixel_sd:.3f}" for split in splits.values())],
    ]
    mirrored = "keeps" if description.mirror_keeps_class else "may change"
    return "\n".join(
        [
            f"{description.title}: greyscale images of {height} x {width} pixels, "
            f"{len(description.class_names)} classes; mirroring {mirrored} the class",
            f"preparation of pictures: {description.preparation}",
            f"source: {description.source}",
            f"sha256 {description.sha256}",
            "",
            text_table(["", *splits], rows, right=set(splits)),
        ]
    )
