"""`fittingroom report`: the table and the page again, from saved runs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import FORMATS, RUNS, FormatOption, JsonOption, parse_formats


def command(
    runs: Annotated[
        Path, typer.Argument(help="The folder of saved runs, or of one data set in it.")
    ] = RUNS,
    formats: FormatOption = FORMATS,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the table and the page from saved runs; nothing is fitted."""
    from fittingroom.cli.output import note
    from fittingroom.cli.show import show_comparison
    from fittingroom.data.sources import find_again
    from fittingroom.runs.store import find_store

    chosen = parse_formats(formats)
    store = find_store(runs)
    card = store.card
    dataset = find_again(card.name, card.location, card.sha256)
    if dataset is None and "html" in chosen:
        note(f"{card.title} isn't found any more; the page doesn't show its images.")
    show_comparison(store, dataset, formats=chosen, as_json=as_json)
