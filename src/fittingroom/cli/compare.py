"""`fittingroom compare`: fit what is missing, rank, write the table and the report."""

from __future__ import annotations

from typing import Annotated

import typer

from fittingroom.cli.options import (
    FORMATS,
    RUNS,
    DatasetOption,
    FormatOption,
    FullOption,
    JsonOption,
    OnOption,
    RunsOption,
    parse_duration,
    parse_formats,
    parse_size,
    typed_command,
)
from fittingroom.errors import UsageError


def command(
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Names of models, separated by commas.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="quick (the default), published or all.")
    ] = None,
    dataset: DatasetOption = "fashion-mnist",
    seeds: Annotated[
        int, typer.Option(help="Fits of each model; a deterministic one is fitted once.")
    ] = 3,
    full: FullOption = False,
    runs: RunsOption = RUNS,
    time_limit: Annotated[str, typer.Option(help="For one fit: 90s, 10m, 1.5h or none.")] = "10m",
    memory_limit: Annotated[str, typer.Option(help="For one fit: 500M, 8G or none.")] = "8G",
    keep_models: Annotated[
        str,
        typer.Option(help="Saved models that stay: all, none, or the best seed of each model."),
    ] = "best",
    on: OnOption = "local:1",
    formats: FormatOption = FORMATS,
    as_json: JsonOption = False,
) -> None:
    """Compare models: which is better, by how much, and how sure?"""
    from fittingroom.bench.place import Place
    from fittingroom.models.catalog import MODELS, names_of

    names = names_of(_asked(models, suite))
    chosen = parse_formats(formats)
    limit, memory = parse_duration(time_limit), parse_size(memory_limit)
    if keep_models not in ("all", "best", "none"):
        raise UsageError(f"--keep-models is all, best or none, not {keep_models!r}.")
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; at least 1 is needed.")
    Place.of(on)

    from fittingroom.bench.compare import compare
    from fittingroom.cli.progress import ProgressDisplay
    from fittingroom.cli.show import show_comparison, show_plan
    from fittingroom.data.sources import load_dataset
    from fittingroom.runs.store import open_store

    loaded = load_dataset(dataset)
    rows = [MODELS[name] for name in names]
    plan: dict[str, tuple[int, float | None]] = {
        r.name: (1 if r.deterministic else seeds, r.expected_seconds()) for r in rows
    }
    show_plan(loaded, plan, limit)
    with ProgressDisplay(plan) as progress:
        board = compare(
            loaded,
            names,
            seeds=seeds,
            full=full,
            runs=runs,
            time_limit=limit,
            memory_limit=memory,
            keep_models=keep_models,  # type: ignore[arg-type]
            on=on,
            command=typed_command(),
            on_progress=progress,
        )
    store = open_store(runs, loaded)
    show_comparison(store, loaded, formats=chosen, as_json=as_json)
    if not board.complete:
        raise typer.Exit(1)


def _asked(models: str | None, suite: str | None) -> list[str] | str:
    if models is None:
        return suite or "quick"
    if suite is not None:
        raise UsageError("give --models or --suite, not both.")
    return [name.strip() for name in models.split(",") if name.strip()]
