"""`fittingroom tune`: search for better settings of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import (
    FASHION_MNIST,
    RUNS,
    DatasetOption,
    FormatOption,
    JsonOption,
    MemoryLimitOption,
    ModelArgument,
    OnOption,
    RunsOption,
    parse_duration,
    parse_size,
    split_settings,
    typed_command,
)
from fittingroom.errors import UsageError, install_command
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats

if TYPE_CHECKING:
    from fittingroom.bench.tuning.space import Space
    from fittingroom.bench.tuning.tuning import Tuning


#: The parameters that `--lr-range` uses; all others are for a search.
_USED_BY_LR_RANGE = {
    "model",
    "dataset",
    "settings",
    "seed",
    "lr_range",
    "runs",
    "as_json",
    "quiet",
    "verbose",
}


_TrialsOption = Annotated[int, typer.Option(metavar="N", help="Number of trials in the search.")]
_SearchLimitOption = Annotated[
    str, typer.Option(metavar="TIME", help="Limit for the whole search: 90s, 30m, 1.5h or none.")
]
_SpaceOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A TOML file with the search space, one line per parameter."),
]
_SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=WHAT",
        help="Search LOW..HIGH, LOW..HIGH:log, LOW..HIGH:STEP or A|B|C, or fix a VALUE; "
        "repeatable.",
    ),
]
_PresetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A published search: depth, learning-rate, epochs, size, pooling, augmentation.",
    ),
]
_SamplerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="tpe, random or grid; the default is grid for a preset, else tpe."
    ),
]
_PruneOption = Annotated[
    bool, typer.Option("--prune", help="Prune trials that are worse than the median.")
]
_FoldsOption = Annotated[
    int,
    typer.Option(
        metavar="N", help="Select by cross-validation with this many folds of the training split."
    ),
]
_SeedOption = Annotated[
    int, typer.Option(metavar="N", help="Seed of the search and of every fit.", min=0)
]
_StorageOption = Annotated[
    str | None, typer.Option(metavar="URL", help="URL of a database; the default is a SQLite file.")
]
_NoTestOption = Annotated[
    bool, typer.Option("--no-test", help="Don't read the test split: skip the final fit.")
]
_RateRangeOption = Annotated[
    bool, typer.Option("--lr-range", help="Run a learning rate range test instead of a search.")
]


def command(
    context: typer.Context,
    model: ModelArgument,
    dataset: DatasetOption = FASHION_MNIST,
    trials: _TrialsOption = 50,
    time_limit: _SearchLimitOption = "none",
    space: _SpaceOption = None,
    settings: _SetOption = None,
    preset: _PresetOption = None,
    sampler: _SamplerOption = None,
    prune: _PruneOption = False,
    folds: _FoldsOption = 0,
    seed: _SeedOption = 0,
    storage: _StorageOption = None,
    no_test: _NoTestOption = False,
    memory_limit: MemoryLimitOption = "8G",
    on: OnOption = "local:1",
    lr_range: _RateRangeOption = False,
    runs: RunsOption = RUNS,
    formats: FormatOption = DEFAULT_FORMATS,
    as_json: JsonOption = False,
) -> None:
    """Search for better settings; the test split is read once, after they are selected."""
    from fittingroom.models.catalog import row_of

    name = row_of(model).name  # fails before torch is imported
    seconds, memory = parse_duration(time_limit), parse_size(memory_limit)
    texts, chosen = split_settings(settings or []), parse_formats(formats)
    if lr_range:
        _refuse_search_options(context)
        _show_rate_range(name, dataset, texts, seed, runs, as_json)
        return
    search_space = _space(name, space, texts, preset)
    _require_optuna()

    from fittingroom.bench.tuning.tune import tune
    from fittingroom.cli.progress import ProgressDisplay
    from fittingroom.data.sources import load_dataset

    loaded = load_dataset(dataset)
    with ProgressDisplay({name: (trials, row_of(name).expected_seconds(loaded))}) as progress:
        tuning = tune(
            dataset,
            name,
            space=search_space,
            sampler=sampler or ("tpe" if preset is None else "grid"),
            trials=trials,
            time_limit=seconds,
            memory_limit=memory,
            prune=prune,
            folds=folds,
            seed=seed,
            storage=storage,
            refit=not no_test,
            runs=runs,
            on=on,
            on_progress=progress,
        )
    _show(tuning, typed_command(secret=storage, shown=tuning.storage), chosen, as_json)
    if code := _exit_code(tuning):
        raise typer.Exit(code)


def _show(tuning: Tuning, command: str, formats: frozenset[str], as_json: bool) -> None:
    """Print the result and how the trials ended, then write the files of the search."""
    from fittingroom.cli.output import note
    from fittingroom.cli.show import show, write
    from fittingroom.reporting.reports import tuning_report
    from fittingroom.reporting.tune_words import trial_counts

    report = tuning_report(tuning, command)
    show(report, as_json=as_json)
    note(f"\n{trial_counts(tuning)}")
    write(formats, (report, tuning.folder))


def _exit_code(tuning: Tuning) -> int:
    """130 after an interrupt; 1 if no trial has a result or the final fit failed."""
    if tuning.interrupted:
        return 130
    return int(tuning.best is None or tuning.test_failure is not None)


def _space(model: str, file: Path | None, texts: dict[str, str], preset: str | None) -> Space:
    """The search space: from --set, a file, a preset, or the model's own."""
    from fittingroom.bench.tuning.presets import preset_of
    from fittingroom.bench.tuning.space import Space, parse_dimensions, parse_space, read_space
    from fittingroom.models.catalog import row_of

    dimensions, fixed = parse_dimensions(texts)
    sources = {"--space": file, "--preset": preset, "--set with a range": dimensions or None}
    options = [option for option, value in sources.items() if value is not None]
    if len(options) > 1:
        raise UsageError(f"{' and '.join(options)} each define the search space; give one of them.")
    if dimensions:
        return Space(dimensions=dimensions, fixed=fixed)
    if file is not None:
        return read_space(file).with_fixed(fixed)
    space = preset_of(preset) if preset is not None else parse_space(row_of(model).space)
    return space.with_fixed(fixed)


def _require_optuna() -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise UsageError(
            f"tune needs Optuna, which isn't installed; run {install_command('tune')}."
        )


def _refuse_search_options(context: typer.Context) -> None:
    typed = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in _USED_BY_LR_RANGE
        and (source := context.get_parameter_source(name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if typed:
        raise UsageError(f"--lr-range isn't a search; leave {' and '.join(typed)} out.")


def _show_rate_range(
    model: str, dataset: str, texts: dict[str, str], seed: int, runs: Path, as_json: bool
) -> None:
    """Run a learning rate range test, print the suggestion and write the page."""
    from fittingroom.bench.tuning.rate_range import network_rate_range
    from fittingroom.bench.tuning.space import parse_dimensions
    from fittingroom.bench.tuning.tuning import FOLDER
    from fittingroom.cli.progress import ProgressDisplay
    from fittingroom.cli.show import show, write
    from fittingroom.reporting.reports import rate_range_report
    from fittingroom.runs.store import open_store

    dimensions, fixed = parse_dimensions(texts)
    if dimensions:
        raise UsageError(
            f"--lr-range doesn't search; give {next(iter(dimensions))} a single value."
        )
    with ProgressDisplay() as progress:
        loaded, rates = network_rate_range(
            dataset, model, settings=fixed, seed=seed, on_progress=progress
        )
    store = open_store(runs / FOLDER, loaded)
    report = rate_range_report(model, rates, store.card.title, typed_command())
    show(report, as_json=as_json)
    write((), (report, store.folder))
