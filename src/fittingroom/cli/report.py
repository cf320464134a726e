"""`fittingroom report`: the table and the page again, from saved runs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import RUNS, JsonOption


def command(
    runs: Annotated[
        Path, typer.Argument(help="The folder of saved runs, or of one data set in it.")
    ] = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write leaderboard.json and report.html again from the saved runs; nothing is fitted."""
    from fittingroom.bench.leaderboard import leaderboard
    from fittingroom.cli.show import show_leaderboard
    from fittingroom.runs.store import find_store

    store = find_store(runs)
    show_leaderboard(leaderboard(store), store, as_json=as_json)
