"""`fittingroom compare`: fit missing runs, rank the models, write the table and the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fittingroom.cli.options import (
    FASHION_MNIST,
    RUNS,
    FormatOption,
    FullOption,
    JsonOption,
    MemoryLimitOption,
    OnOption,
    RunsOption,
    TimeLimitOption,
    WideOption,
    parse_duration,
    parse_size,
    read_settings,
    typed_command,
)
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats

if TYPE_CHECKING:
    from fittingroom.bench.comparison.entrant import Entrant
    from fittingroom.data.dataset import Dataset
    from fittingroom.execution.job import Limits
    from fittingroom.runs.store import Store

#: The suite of grids; only the selected points are compared.
ZALANDO = "zalando"


_ModelsOption = Annotated[
    str | None, typer.Option("--models", "-m", metavar="NAMES", help="Comma-separated model names.")
]
_SuiteOption = Annotated[
    str | None,
    typer.Option(
        metavar="SUITE", help="A set of models: quick (the default), published, all or zalando."
    ),
]
_SettingsOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A JSON file written by tune: also compare these settings of its model; repeatable.",
    ),
]
_DatasetsOption = Annotated[
    list[str],
    typer.Option(
        "--dataset",
        "-d",
        metavar="NAME|PATH",
        help="A name (fashion-mnist, mnist), a file or a folder; repeatable.",
    ),
]
_SeedsOption = Annotated[
    int, typer.Option(metavar="N", help="Seeds per model; a deterministic model is fitted once.")
]
_KeepOption = Annotated[
    str,
    typer.Option(
        metavar="WHICH", help="Fitted models to keep: all, none, or best (one seed per model)."
    ),
]


def command(
    models: _ModelsOption = None,
    suite: _SuiteOption = None,
    settings: _SettingsOption = None,
    datasets: _DatasetsOption = [FASHION_MNIST],  # noqa: B006 (typer only reads it)
    seeds: _SeedsOption = 3,
    full: FullOption = False,
    runs: RunsOption = RUNS,
    time_limit: TimeLimitOption = "15m",
    memory_limit: MemoryLimitOption = "8G",
    keep_models: _KeepOption = "best",
    on: OnOption = "local:1",
    formats: FormatOption = DEFAULT_FORMATS,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare models: which is better, by how much, and how sure?"""
    from fittingroom.execution.executor import parse_address

    names = _names(models, suite)
    chosen = parse_formats(formats)
    limit, memory = parse_duration(time_limit), parse_size(memory_limit)
    if keep_models not in ("all", "best", "none"):
        raise UsageError(f"--keep-models takes all, best or none, not {keep_models!r}.")
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; at least 1 is needed.")
    parse_address(on)

    from fittingroom.execution.job import Limits
    from fittingroom.runs.store import open_store

    loaded = _load_datasets(datasets)
    if suite == ZALANDO:
        _refuse_for_zalando(settings, keep_models)
        options = {"n_seeds": seeds, "full": full, "runs": runs, "on": on}
        limits = {"time_limit": limit, "memory_limit": memory}
        return _zalando(loaded, names, chosen, as_json, **options, **limits)
    entrants = _entrants(names, settings or [])
    stores = [open_store(runs, data, search_near=True) for data in loaded]
    for data, store in zip(loaded, stores, strict=True):
        _fit(
            *(data, store, entrants),
            n_seeds=seeds,
            full=full,
            limits=Limits(seconds=limit, memory=memory),
            keep_models=keep_models,
            on=on,
        )
    if not _show(runs, stores, loaded, chosen, as_json=as_json, wide=wide):
        raise typer.Exit(1)
    return None


def _show(
    runs: Path,
    stores: list[Store],
    datasets: list[Dataset],
    formats: frozenset[str],
    *,
    as_json: bool,
    wide: bool,
) -> bool:
    """Show and write the comparisons, several side by side; True if no fit is missing."""
    from fittingroom.bench.comparison.side_by_side import side_by_side
    from fittingroom.cli.show import command_line, show, suggest, write
    from fittingroom.reporting.reports import comparison_report, side_by_side_report

    compared = [comparison_report(*pair) for pair in zip(stores, datasets, strict=True)]
    boards = [board for board, _ in compared]
    reports = [(report, store.folder) for (_, report), store in zip(compared, stores, strict=True)]
    if len(boards) > 1:
        reports.insert(0, (side_by_side_report(side_by_side(boards)), runs))
    show(reports[0][0], as_json=as_json, wide=wide)
    write(formats, *reports)
    kept = [row.model for row in boards[0].rows if _kept_model(stores[0], row.model)]
    suggest(
        command_line("report", str(stores[0].folder), "--open"),
        *(command_line("predict", name, "photo.jpg", runs=runs) for name in kept[:1]),
    )
    return all(board.complete for board in boards)


def _kept_model(store: Store, label: str) -> bool:
    """Whether some run of a row kept its model."""
    return any(store.folder.glob(f"{label.partition('[')[0]}/*/model"))


def _refuse_for_zalando(settings: list[Path] | None, keep_models: str) -> None:
    """Refuse options that don't apply to the suite zalando."""
    if settings:
        raise UsageError(f"--suite {ZALANDO} has settings of its own; leave --settings out.")
    if keep_models != "best":
        raise UsageError(f"--suite {ZALANDO} keeps no models; leave --keep-models out.")


def _names(models: str | None, suite: str | None) -> tuple[str, ...]:
    """The names of the models to compare; for the suite zalando, those of its classifiers."""
    from fittingroom.models.catalog import SUITES, baselines_of, names_of

    names = None if models is None else [n for n in map(str.strip, models.split(",")) if n]
    if suite == ZALANDO:
        return baselines_of(names)
    if suite is not None and suite not in SUITES:
        raise UnknownNameError("suite", suite, [*SUITES, ZALANDO])
    if suite is not None and names is not None:
        raise UsageError("give --models or --suite, not both.")
    return names_of(names if names is not None else suite or "quick")


def _entrants(names: tuple[str, ...], files: list[Path]) -> list[Entrant]:
    """The models with their defaults, then those with settings from a file."""
    from fittingroom.bench.comparison.entrant import Entrant, entrants_of
    from fittingroom.models.catalog import row_of

    tuned = [
        Entrant(name=row_of(model).name, settings=settings)
        for model, settings in map(read_settings, files)
    ]
    return entrants_of([*names, *tuned])


def _load_datasets(names: list[str]) -> list[Dataset]:
    """The data sets, all loaded before anything is fitted."""
    from fittingroom.data.sources import load_dataset

    loaded = [load_dataset(name) for name in names]
    for position, data in enumerate(loaded):
        if data.sha256 in {other.sha256 for other in loaded[:position]}:
            raise UsageError(
                f"{names[position]!r} holds the same data as another --dataset; name it once."
            )
    return loaded


def _fit(
    dataset: Dataset,
    store: Store,
    entrants: list[Entrant],
    *,
    n_seeds: int,
    full: bool,
    limits: Limits,
    on: str,
    **options: Any,
) -> None:
    """Fit the missing runs on one data set, and show progress."""
    from fittingroom.bench.comparison.compare import fit_entrants
    from fittingroom.bench.feasibility import why_too_large
    from fittingroom.cli.progress import ProgressDisplay
    from fittingroom.cli.show import show_plan
    from fittingroom.execution.executor import most_memory
    from fittingroom.runs.spec import expected_seconds

    specs = {entrant.label: entrant.spec(dataset, full=full) for entrant in entrants}
    plan = {
        entrant.label: (
            1 if entrant.deterministic else n_seeds,
            expected_seconds(specs[entrant.label], dataset),
        )
        for entrant in entrants
    }
    memory = most_memory(on, limits)
    too_large = {
        label: reason
        for label, spec in specs.items()
        if (reason := why_too_large(spec, dataset, memory)) is not None
    }
    show_plan(dataset, plan, limits.seconds, too_large)
    with ProgressDisplay(plan) as progress:
        fit_entrants(
            *(dataset, store, entrants),
            n_seeds=n_seeds,
            full=full,
            limits=limits,
            command=typed_command(),
            on=on,
            on_progress=progress,
            **options,
        )


def _zalando(
    loaded: list[Dataset],
    names: tuple[str, ...],
    formats: frozenset[str],
    as_json: bool,
    **options: Any,
) -> None:
    """Search the grids of the makers' benchmark and compare the selected points."""
    from fittingroom.bench.zalando.zalando import planned_runs, zalando
    from fittingroom.cli.output import note
    from fittingroom.cli.progress import ProgressDisplay
    from fittingroom.cli.show import show, write
    from fittingroom.reporting.reports import benchmark_report, comparison_report
    from fittingroom.runs.store import open_store

    if len(loaded) > 1:
        raise UsageError(
            f"--suite {ZALANDO} takes only one --dataset, since each has its own best points."
        )
    dataset, plan = loaded[0], planned_runs(names, options["n_seeds"])
    note(f"{dataset.name} from {dataset.source}")
    note(f"grid points: {plan['points'][0]}; fits of the selected ones: up to {plan['chosen'][0]}")
    with ProgressDisplay(plan) as progress:
        benchmark = zalando(
            dataset, names, command=typed_command(), on_progress=progress, **options
        )
    store = open_store(options["runs"], dataset, search_near=True)
    (_, comparison), report = comparison_report(store, dataset), benchmark_report(benchmark)
    show(report, as_json=as_json)
    write(formats, (comparison, store.folder), (report, store.folder))
    if not benchmark.complete:
        raise typer.Exit(1)
