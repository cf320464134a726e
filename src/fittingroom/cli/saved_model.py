"""The saved model that an argument names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fittingroom.runs.run import Run

SavedModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A saved model: a model name, such as swift, or the saved model's folder.",
    ),
]


def find_saved_model(name: str, runs: Path) -> tuple[Path, Run | None]:
    """The folder of a saved model, and its run unless that is a mere bundle.

    Of several runs, the newest recipe's best seed is meant, which is reported on stderr.

    Raises
    ------
    UnknownNameError, StoreError : no saved run has that name, or none kept its model
    """
    from fittingroom.cli.output import note
    from fittingroom.formatting import short_path
    from fittingroom.runs import find

    folder, run = find.find_saved_model(name, runs)
    if run is not None and Path(name).resolve() != run.folder.resolve():
        note(f"{run.record.label}, seed {run.record.spec.seed}: {short_path(run.folder)}")
    return folder, run
