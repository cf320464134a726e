"""`fittingroom runs`: list saved runs, show some, or remove them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fittingroom.cli.options import RUNS, JsonOption, RunsOption
from fittingroom.errors import UsageError

_NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="A model (cnn-32), one with settings (cnn-32[epochs=3]), or one run "
        "(cnn-32/60c007bba51c-s0). Without any, all runs are listed.",
    ),
]
_RemoveOption = Annotated[bool, typer.Option("--remove", help="Remove the named runs.")]
_YesOption = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]


def command(
    names: _NamesArgument = None,
    remove: _RemoveOption = False,
    yes: _YesOption = False,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """List saved runs, show some, or remove them."""
    from fittingroom.cli.output import note
    from fittingroom.cli.show import command_line, show, suggest
    from fittingroom.reporting.reports import runs_report
    from fittingroom.runs.find import find_runs
    from fittingroom.runs.store import find_stores, remove_run

    if remove and not names:
        raise UsageError("name the runs to remove; fittingroom runs lists them.")
    if yes and not remove:
        raise UsageError("--yes is only for --remove.")
    if remove and not yes and not sys.stdin.isatty():
        raise UsageError("can't ask for confirmation here; add --yes to remove the runs anyway.")
    if names:
        named = {run.folder: run for name in names for run in find_runs(name, runs)}
        chosen, unreadable = list(named.values()), []
    else:
        saved = [store.saved() for store in find_stores(runs)]
        chosen = [run for each in saved for run in each.runs]
        unreadable = [run for each in saved for run in each.unreadable]
    show(runs_report(chosen, details=bool(names)), as_json=as_json)
    for damaged in unreadable:
        note(f"unreadable: {damaged.reason}")
    if remove and (yes or _confirmed(len(chosen))):
        for run in chosen:
            remove_run(run)
        note(f"removed {len(chosen)}; `fittingroom report` makes the table without them")
    elif chosen and not names:
        suggest(command_line("runs", chosen[0].record.label, runs=runs))


def _confirmed(n: int) -> bool:
    """Ask on the terminal whether to remove runs."""
    return typer.confirm(f"Remove {n} run{'s' * (n > 1)} for good?", err=True)
