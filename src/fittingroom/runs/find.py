"""Saved runs by the names that people know, in place of keys."""

from __future__ import annotations

import os
from pathlib import Path

from fittingroom.errors import StoreError, UnknownNameError
from fittingroom.runs.run import MODEL, RECORD, Run, read_run
from fittingroom.runs.store import find_stores


def find_runs(name: str, root: Path) -> list[Run]:
    """The saved runs that a name means, ordered by data set, model, key and seed.

    Parameters
    ----------
    name : of a model (`cnn-32`), with the settings that were changed (`cnn-32[epochs=3]`), or of a
        run (`cnn-32/60c007bba51c-s0`); or the path of a run, or of a model's folder of runs
    root : the folder of saved runs, or of one data set in it, in which names are looked up

    Raises
    ------
    UnknownNameError : no run has that name; it suggests others
    StoreError : there are no saved runs, or all that have the name can't be read
    """
    folder = Path(name)
    if folder.is_dir() and (runs := runs_in(folder)):
        return runs
    saved = [store.saved() for store in find_stores(root)]
    runs = [run for each in saved for run in each.runs]
    unreadable = [run for each in saved for run in each.unreadable]
    if named := [run for run in runs if name in _names(run)]:
        return named
    for run in unreadable:
        if name in (run.folder.parent.name, f"{run.folder.parent.name}/{run.folder.name}"):
            raise StoreError(run.reason)
    raise UnknownNameError("saved model", name, {run.record.label for run in runs})


def find_model(name: str, root: Path) -> Run:
    """The run whose saved model a name means: the newest recipe's, of its seeds the best.

    The best has the highest accuracy on the selection half of the validation part.

    Parameters
    ----------
    name, root : see :func:`find_runs`

    Raises
    ------
    UnknownNameError, StoreError : as :func:`find_runs`; also if no run kept its model
    """
    runs = find_runs(name, root)
    kept = [run for run in runs if (run.folder / MODEL).is_dir()]
    if not kept:
        raise StoreError(
            f"no model was kept for {name}; fit or compare it again with another --runs folder; "
            "compare needs --keep-models all or best."
        )
    # `cnn-32` means its default settings, where those are saved.
    kept = [run for run in kept if run.record.label == name] or kept
    newest = max(kept, key=_saved_at)
    recipe = newest.folder.parent, newest.record.spec.key
    seeds = [run for run in kept if (run.folder.parent, run.record.spec.key) == recipe]
    return max(seeds, key=_selection_accuracy)


def find_saved_model(name: str, root: Path) -> tuple[Path, Run | None]:
    """The folder of a saved model that a name or a path means, and its run unless it has none.

    Parameters
    ----------
    name, root : see :func:`find_model`; the path of a saved model's own folder is a name too

    Raises
    ------
    UnknownNameError, StoreError : as :func:`find_model`
    """
    folder = Path(name)
    if folder.exists() and not runs_in(folder):
        return folder, None
    try:
        run = find_model(name, root)
    except UnknownNameError:
        raise
    except StoreError as error:
        raise StoreError(f"{name} doesn't exist, and {error}") from error
    return run.folder / MODEL, run


def runs_in(folder: Path) -> list[Run]:
    """The run in a folder, or the runs of a model's folder; none if it is another folder."""
    if os.path.lexists(folder / RECORD):
        return [read_run(folder)]
    return [read_run(file.parent) for file in sorted(folder.glob(f"[!.]*/{RECORD}"))]


def _names(run: Run) -> tuple[str, ...]:
    spec = run.record.spec
    return run.record.label, spec.model, spec.path


def _saved_at(run: Run) -> float:
    return (run.folder / RECORD).stat().st_mtime


def _selection_accuracy(run: Run) -> float:
    part = run.validation
    if part is None:
        return 0.0
    return float((part if part.selection is None else part[part.selection]).correct.mean())
