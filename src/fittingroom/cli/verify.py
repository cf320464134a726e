"""`fittingroom verify`: are published figures what their sources say they are?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import (
    FASHION_MNIST,
    RUNS,
    DatasetOption,
    FormatOption,
    JsonOption,
    MemoryLimitOption,
    OnOption,
    RunsOption,
    TimeLimitOption,
    parse_duration,
    parse_size,
    typed_command,
)
from fittingroom.errors import UsageError
from fittingroom.reporting.report import DEFAULT_FORMATS, parse_formats

if TYPE_CHECKING:
    from fittingroom.bench.claims.plan import Plan
    from fittingroom.bench.claims.verification import ClaimsReport
    from fittingroom.data.dataset import Dataset
    from fittingroom.execution.job import Limits
    from fittingroom.runs.store import Store


_ClaimsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="CLAIM", help="Names of built-in claims, or your own TOML files."),
]
_AllOption = Annotated[bool, typer.Option("--all", help="Check all built-in claims.")]
_SeedsOption = Annotated[
    int,
    typer.Option(metavar="N", help="Seeds per recipe; at most 3 if a fit takes over ten minutes."),
]
_BudgetOption = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Limit for the whole command: no fit is started that would exceed it."
    ),
]


def command(
    claims: _ClaimsArgument = None,
    all_claims: _AllOption = False,
    dataset: DatasetOption = FASHION_MNIST,
    seeds: _SeedsOption = 5,
    runs: RunsOption = RUNS,
    time_limit: TimeLimitOption = "30m",
    budget: _BudgetOption = "none",
    memory_limit: MemoryLimitOption = "8G",
    on: OnOption = "local:1",
    formats: FormatOption = DEFAULT_FORMATS,
    as_json: JsonOption = False,
) -> None:
    """Check published claims: re-run each recipe as claimed and with an honest protocol."""
    limit, total = parse_duration(time_limit), parse_duration(budget)
    memory, chosen_formats = parse_size(memory_limit), parse_formats(formats)
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; at least 1 is needed.")
    if bool(claims) == all_claims:
        raise UsageError("give claims or --all, not both." if claims else "give a claim or --all.")

    from fittingroom.bench.claims.claim_file import claim_names, load_claims
    from fittingroom.execution.executor import parse_address

    parse_address(on)

    # A wrong name is refused before torch is imported.
    chosen = load_claims(claims or claim_names())

    from fittingroom.bench.claims.evidence import ClaimStore
    from fittingroom.bench.claims.plan import fit_limit
    from fittingroom.bench.claims.verify import plan_claims
    from fittingroom.cli.output import note
    from fittingroom.cli.show import show, write
    from fittingroom.data.sources import load_dataset
    from fittingroom.execution.job import Limits
    from fittingroom.reporting.reports import claims_report
    from fittingroom.runs.store import open_store

    loaded = load_dataset(dataset)
    store = open_store(runs, loaded)
    plans = plan_claims(chosen, ClaimStore(store, loaded), seeds, fit_limit(limit, total))
    if loaded.name != FASHION_MNIST:
        note(f"the built-in claims are about fashion-mnist, not {loaded.name}")
    _show_plan(plans)
    results = _check(plans, loaded, store, Limits(seconds=limit, memory=memory), total, on)
    report = claims_report(results)
    show(report, as_json=as_json)
    write(chosen_formats, (report, store.folder))
    if not results.complete:
        raise typer.Exit(1)


def _check(
    plans: list[Plan],
    dataset: Dataset,
    store: Store,
    limits: Limits,
    budget: float | None,
    on: str,
) -> ClaimsReport:
    """Fit missing runs and judge the claims, and show progress."""
    from fittingroom.bench.claims.verify import check
    from fittingroom.cli.progress import ProgressDisplay

    times: dict[str, tuple[int, float | None]] = {
        f"{plan.claim.id}, arm {number}": (arm.n_fits, arm.seconds)
        for plan in plans
        for number, arm in enumerate(plan.fitted)
    }
    with ProgressDisplay(times) as progress:
        return check(
            plans,
            dataset,
            store,
            limits=limits,
            budget=budget,
            on=on,
            command=typed_command(),
            on_progress=progress,
        )


def _show_plan(plans: list[Plan]) -> None:
    from fittingroom.cli.output import note
    from fittingroom.formatting import duration

    # A claim about an order uses the runs of other claims; shared runs are fitted once.
    arms = {arm.candidates: arm for plan in plans for arm in plan.fitted}.values()
    runs, fits = sum(plan.n_fits for plan in plans), sum(arm.n_fits for arm in arms)
    shared = f" ({runs - fits} shared)" if runs > fits else ""
    seconds = sum(arm.n_fits * arm.seconds for arm in arms)
    note(
        f"claims: {len(plans)}; runs: {runs}{shared}; time: about {duration(seconds)} in sequence, "
        "less what is saved"
    )
