"""`fittingroom data`: describe a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import FASHION_MNIST, JsonOption, parse_image_size, typed_command
from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration
    from fittingroom.data.dataset import Dataset


def command(
    dataset: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A name, a file or a folder.")
    ] = FASHION_MNIST,
    page: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a page: samples, 2D embedding, neighbours, duplicates.",
        ),
    ] = None,
    tsne: Annotated[
        bool, typer.Option("--tsne", help="Use t-SNE instead of PCA for the 2D embedding.")
    ] = False,
    convert: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the data as IDX files into a new folder."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Scale and pad pictures to 28, or WIDTHxHEIGHT such as 64x48."
        ),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out pictures that can't be read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a data set: shape, class counts, pixel statistics, hash, location."""
    from fittingroom.cli.show import check_target, command_line, show, suggest, write
    from fittingroom.data.describe import describe
    from fittingroom.data.sources import load_dataset
    from fittingroom.reporting.reports import data_report, description_report

    if tsne and page is None:
        raise UsageError(
            "--tsne changes the 2D embedding on the page; give --report FILE.html too."
        )
    if page is not None:
        check_target(page, "--report")
    if convert is not None:
        check_target(convert, "--convert", is_folder=True)
    loaded = load_dataset(
        dataset, size=parse_image_size(size) if size else None, skip_damaged=skip_damaged
    )
    if convert is not None:
        loaded = _write_idx(loaded, convert)
    if page is None:
        show(description_report(describe(loaded)), as_json=as_json)
        written = dataset if convert is None else str(convert)
        suggest(
            command_line("data", written, "--report", "data.html"),
            command_line("compare", dataset=written),
        )
        return
    report = data_report(_explore(loaded, tsne), loaded, page.name, typed_command())
    show(report, as_json=as_json)
    write((), (report, page.parent))


def _write_idx(dataset: Dataset, folder: Path) -> Dataset:
    """Write the data set as IDX files, whole or not at all; returns it as it is called then.

    Data of one's own are called after the new folder: the source's may be "train" or "test".
    """
    from fittingroom.cli.output import note
    from fittingroom.data.catalog import row_of_content
    from fittingroom.errors import DataError
    from fittingroom.files import folder_aside

    if row_of_content(dataset.sha256) is None:
        dataset = dataclasses.replace(dataset, name=folder.resolve().name)
    with folder_aside(folder.resolve().parent, DataError) as aside:
        dataset.write_idx(aside)
        aside.rename(folder)
    note(f"{folder}: the four IDX files, {len(dataset.train):,} and {len(dataset.test):,} images")
    return dataset


def _explore(dataset: Dataset, tsne: bool) -> Exploration:
    """Explore the data, with a note that this takes a while."""
    from fittingroom.bench.explore import explore
    from fittingroom.cli.output import note
    from fittingroom.cli.progress import busy

    note(f"analysing {dataset.name}: neighbours and duplicates take a few seconds")
    with busy("analysing"):
        return explore(dataset, tsne=tsne)
