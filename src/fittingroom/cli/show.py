"""How all commands show results and write their files."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fittingroom.cli.options import FASHION_MNIST, RUNS
from fittingroom.cli.output import note, say
from fittingroom.errors import UsageError
from fittingroom.formatting import duration, short_path

if TYPE_CHECKING:
    from fittingroom.data.dataset import Dataset
    from fittingroom.errors import FittingroomError
    from fittingroom.reporting.report import Report


def show(report: Report, *, as_json: bool, wide: bool = False) -> None:
    """Print a result; `wide` has all columns of a table."""
    text = (wide and report.wide) or report.text
    say((report.json if as_json else text)().rstrip())


def write(formats: Collection[str], *reports: tuple[Report, Path]) -> list[Path]:
    """Write the files of reports into their folders, list them, and return their paths.

    Raises
    ------
    ReportError, StoreError : the first error, after all files were tried
    """
    from fittingroom.cli.progress import busy

    files: list[Path] = []
    problems: list[FittingroomError] = []
    for report, folder in reports:
        with busy(f"writing to {short_path(folder)}"):
            written = report.write(folder, formats)
        files += written.files
        problems += written.problems
    if files:
        note("\n" + "\n".join(str(short_path(file)) for file in files))
    if problems:
        raise problems[0]
    return files


def check_target(file: Path, option: str, *, is_folder: bool = False) -> None:
    """Refuse what can't be written, before the work starts: a file, or a new folder.

    Raises UsageError.
    """
    folder = file.resolve().parent
    if is_folder and os.path.lexists(file):
        raise UsageError(f"{file} exists already; {option} takes the name of a new folder.")
    if file.is_dir() or not folder.is_dir():
        kind = "a new folder" if is_folder else "a file"
        raise UsageError(f"{file} can't be written; {option} takes {kind} in an existing folder.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{file} can't be written: permission denied; {option} takes another.")


def suggest(*commands: str) -> None:
    """Name the commands that usually come next, to people at a terminal."""
    if sys.stderr.isatty():
        note("\n" + "\n".join(f"next: {command}" for command in commands))


def command_line(*words: str, dataset: str = FASHION_MNIST, runs: Path = RUNS) -> str:
    """A command as it is typed, with the data set and the runs where they aren't the defaults."""
    data = [] if dataset == FASHION_MNIST else ["--dataset", dataset]
    usual = os.environ.get("FITTINGROOM_RUNS") or RUNS
    elsewhere = [] if runs == Path(usual) else ["--runs", str(runs)]
    return shlex.join(["fittingroom", *words, *data, *elsewhere])


def show_plan(
    dataset: Dataset,
    plan: Mapping[str, tuple[int, float | None]],
    limit: float | None,
    too_large: Mapping[str, str],
) -> None:
    """Print the data, the number of runs and the expected time, before anything is fitted.

    Parameters
    ----------
    plan : by a model's label its number of runs and the expected seconds of each
    limit : seconds that a fit may take
    too_large : why a model can't have enough memory, by its label
    """
    from fittingroom.bench.feasibility import LONG

    times = {name: s for name, (_, s) in plan.items() if s is not None and name not in too_large}
    too_long = {name: s for name, s in times.items() if limit is not None and s > limit}
    started = {
        name: runs for name, (runs, _) in plan.items() if name not in {*too_large, *too_long}
    }
    seconds = sum(runs * times.get(name, 0) for name, runs in started.items())
    note(f"{dataset.name} from {dataset.source}")
    note(
        f"models: {len(plan)}; runs: {sum(started.values())}; time: about {duration(seconds)}, "
        "less what is saved"
    )
    long = {name: s for name, s in times.items() if name in started and s >= LONG}
    if long:
        note(f"long fits: {_with_times(long)}")
    if too_long:
        note(f"skipped, over --time-limit {duration(limit)}: {_with_times(too_long)}")
    for name, reason in too_large.items():
        note(f"skipped: {name}: {reason}")


def _with_times(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} (about {duration(s)})" for name, s in seconds.items())
