"""`fittingroom report`: rebuild the table and the page from saved runs."""

from __future__ import annotations

import os
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import RUNS, FormatOption, JsonOption, WideOption
from fittingroom.errors import StoreError, UsageError
from fittingroom.files import writing
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats

_RunsArgument = Annotated[
    Path,
    typer.Argument(
        envvar="FITTINGROOM_RUNS",
        metavar="FOLDER",
        help="The folder of saved runs, or of one data set in it.",
    ),
]
_OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Write the files into this folder instead of the runs, or the page to FILE.html.",
    ),
]
_OpenOption = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]


def command(
    runs: _RunsArgument = RUNS,
    formats: FormatOption = DEFAULT_FORMATS,
    out: _OutOption = None,
    open_page: _OpenOption = False,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the table and the page from saved runs; nothing is fitted."""
    from fittingroom.cli.output import note
    from fittingroom.cli.show import check_target, show, write
    from fittingroom.data.sources import find_again
    from fittingroom.reporting.reports import comparison_report
    from fittingroom.runs.store import find_store

    chosen = parse_formats(formats)
    if "html" not in chosen and (open_page or (out is not None and out.suffix == ".html")):
        raise UsageError("--open and --out FILE.html need the page; add html to --format.")
    if out is not None and out.suffix == ".html":
        check_target(out, "--out")
    store = find_store(runs)
    card = store.card
    dataset = find_again(card.name, card.location, card.sha256)
    if dataset is None and "html" in chosen:
        note(f"{card.title} can't be found any more; the page has no images.")
    _, report = comparison_report(store, dataset)
    show(report, as_json=as_json, wide=wide)
    folder = store.folder
    if out is None and not os.access(folder, os.W_OK):
        raise StoreError(f"{folder} can't be written; --out PATH writes the files elsewhere.")
    if out is not None and out.suffix == ".html":
        report, folder = replace(report, files={out.name: report.html}, always=()), out.parent
    elif out is not None:
        folder = out
        with writing(folder):
            folder.mkdir(exist_ok=True)
    files = write(chosen, (report, folder))
    if open_page:
        (page,) = (file for file in files if file.suffix == ".html")
        if not webbrowser.open(page.resolve().as_uri()):
            note("no browser can be opened here.")
