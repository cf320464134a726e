"""`fittingroom report`: rebuild the table and the page from saved runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import RUNS, FormatOption, JsonOption
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats


def command(
    runs: Annotated[
        Path,
        typer.Argument(
            envvar="FITTINGROOM_RUNS",
            metavar="FOLDER",
            help="The folder of saved runs, or of one data set in it.",
        ),
    ] = RUNS,
    formats: FormatOption = DEFAULT_FORMATS,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the table and the page from saved runs; nothing is fitted."""
    from fittingroom.cli.output import note
    from fittingroom.cli.show import show, write
    from fittingroom.data.sources import find_again
    from fittingroom.reporting.reports import comparison_report
    from fittingroom.runs.store import find_store

    chosen = parse_formats(formats)
    store = find_store(runs)
    card = store.card
    dataset = find_again(card.name, card.location, card.sha256)
    if dataset is None and "html" in chosen:
        note(f"{card.title} can't be found any more; the page has no images.")
    _, report = comparison_report(store, dataset)
    show(report, as_json=as_json)
    write(chosen, (report, store.folder))
