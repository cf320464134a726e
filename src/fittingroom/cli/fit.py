"""`fittingroom fit`: one model, one seed, one saved run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fittingroom.cli.options import (
    FASHION_MNIST,
    RUNS,
    DatasetOption,
    FullOption,
    JsonOption,
    ModelArgument,
    OnOption,
    RunsOption,
    parse_settings,
    read_settings,
)
from fittingroom.errors import UsageError

#: The variables that torchrun sets; some clusters set some of them for other reasons.
TORCHRUN = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


_SeedOption = Annotated[int, typer.Option(metavar="N", help="Seed of the fit.", min=0)]
_SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter; repeatable."),
]
_SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="A JSON file of settings, as tune writes it."),
]
_NoTestOption = Annotated[bool, typer.Option("--no-test", help="Don't read the test split.")]
_FoldsOption = Annotated[
    int,
    typer.Option(
        metavar="N", help="Cross-validate with this many folds instead, to find label errors."
    ),
]


def command(
    model: ModelArgument,
    dataset: DatasetOption = FASHION_MNIST,
    seed: _SeedOption = 0,
    settings: _SetOption = None,
    file: _SettingsOption = None,
    full: FullOption = False,
    no_test: _NoTestOption = False,
    folds: _FoldsOption = 0,
    runs: RunsOption = RUNS,
    on: OnOption = "local:1",
    as_json: JsonOption = False,
) -> None:
    """Fit one model once and save the run."""
    from fittingroom.execution.executor import HERE, prepare_fits
    from fittingroom.models.catalog import row_of

    name = row_of(model).name
    if not _has_peers():
        prepare_fits(on, [name])  # first of all: its imports are what takes longest
    elif on != HERE:
        raise UsageError("--on and torchrun can't be combined; leave --on out.")
    with _join_peers() as is_first:
        all_settings = _settings_of(file, name) | parse_settings(settings or [])
        if folds and full:
            raise UsageError("--folds already uses all training images; leave --full out.")

        # What shows the run, too: there is time now, while the child imports what it needs.
        import fittingroom.evaluation.intervals  # noqa: F401
        from fittingroom.bench.fit_one import fit
        from fittingroom.cli.progress import ProgressDisplay
        from fittingroom.cli.show import command_line, show, suggest
        from fittingroom.reporting.reports import run_report

        with ProgressDisplay() as progress:
            run = fit(
                dataset,
                model,
                settings=all_settings,
                seed=seed,
                full=full,
                reads_test=not no_test,
                folds=folds,
                runs=runs,
                on=on,
                on_progress=progress,
            )
    if is_first:
        show(run_report(run), as_json=as_json)
        suggest(
            command_line("compare", "--models", f"{name},logistic", dataset=dataset, runs=runs),
            command_line("predict", name, "photo.jpg", runs=runs),
        )


def _settings_of(file: Path | None, name: str) -> dict[str, Any]:
    if file is None:
        return {}
    model, settings = read_settings(file)
    if model != name:
        raise UsageError(f"{file} has settings for {model}, not for {name}.")
    return settings


def _has_peers() -> bool:
    """Whether torchrun started this process and others."""
    return os.environ.keys() >= TORCHRUN and os.environ["WORLD_SIZE"] != "1"


@contextmanager
def _join_peers() -> Iterator[bool]:
    """Join the other processes of torchrun, if any; yields whether this process prints the result.

    An error that ends all processes is reported by the one in which it occurred.
    """
    if not _has_peers():
        yield True
        return
    from fittingroom.training.distributed import PeerError, process_group

    try:
        with process_group() as group:
            yield group.first
    except PeerError:
        raise typer.Exit(1) from None
