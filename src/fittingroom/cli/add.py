"""`fittingroom add`: put predictions made elsewhere on the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import (
    FASHION_MNIST,
    RUNS,
    DatasetOption,
    FormatOption,
    JsonOption,
    RunsOption,
    WideOption,
)
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name in the table.")],
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="An .npz file with `probabilities` (images, classes) or `labels` (images,), "
            "in the order of the official test split; `class_names` may give the order of classes. "
            "Several files are fits of one recipe with different seeds.",
        ),
    ],
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Every fit gives the same predictions."),
    ] = False,
    array: Annotated[
        str | None,
        typer.Option("--array", metavar="NAME", help="The array that holds the predictions."),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Accept predictions that equal the test labels, or that seem to be out of order.",
        ),
    ] = False,
    dataset: DatasetOption = FASHION_MNIST,
    runs: RunsOption = RUNS,
    formats: FormatOption = DEFAULT_FORMATS,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add predictions made elsewhere to the leaderboard, with all its tests."""
    from fittingroom.cli.show import command_line, show, suggest, write
    from fittingroom.data.sources import load_dataset
    from fittingroom.reporting.reports import comparison_report
    from fittingroom.runs.external import add_predictions
    from fittingroom.runs.store import open_store

    chosen = parse_formats(formats)
    loaded = load_dataset(dataset)
    store = open_store(runs, loaded)
    add_predictions(
        store, loaded, name, predictions, deterministic=deterministic, array=array, as_is=as_is
    )
    _, report = comparison_report(store, loaded)
    show(report, as_json=as_json, wide=wide)
    write(chosen, (report, store.folder))
    suggest(command_line("report", str(store.folder), "--open"))
