"""Check published claims: `fittingroom verify`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fittingroom.bench.bench import Bench, open_bench
from fittingroom.bench.claims.arms import Arm
from fittingroom.bench.claims.claim import Claim
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.judging import ClaimRuns, judge_claims
from fittingroom.bench.claims.plan import Plan, fit_limit
from fittingroom.bench.claims.verification import ClaimsReport
from fittingroom.bench.progress import OnProgress, Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.execution.executor import HERE, parse_address
from fittingroom.execution.job import Limits
from fittingroom.formatting import duration
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store, open_store

#: Default limit of one fit, in seconds.
TIME_LIMIT = 1800.0


def verify(
    claims: Sequence[Claim | str],
    *,
    dataset: Dataset | str | Path = "fashion-mnist",
    n_seeds: int = 5,
    runs: Path | str = "runs",
    time_limit: float | None = TIME_LIMIT,
    budget: float | None = None,
    memory_limit: int | None = None,
    on: str = HERE,
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> ClaimsReport:
    """Run each claim's recipe as its source used it and honestly, and judge its figure.

    Saved runs are not fitted again; the others are fitted in child processes.

    Parameters
    ----------
    claims
        Claims, ids of claims that come with the package, or paths of TOML files.
    dataset
        A data set, a name of the catalogue, or a path.
    n_seeds
        Number of fits of each recipe; at most three if one takes more than ten minutes.
    runs
        The folder of saved runs.
    time_limit
        Seconds for one fit with its predictions. A recipe that is expected to take longer is
        replaced by the smaller one that its claim names, or left out.
    budget
        Seconds in total. No fit is started that is expected to end later, and a recipe whose single
        fit takes longer is treated as by `time_limit`.
    memory_limit
        Resident bytes of the fitting process and its children.
    on
        Where fits run: `local:N`, `ray` or `ray://HOST:PORT`, see :func:`.executor.open_executor`.
    command
        Shown as the way to reproduce this.
    on_progress
        Called with each step.

    Raises
    ------
    UnknownNameError, UsageError
        When a claim doesn't exist or isn't valid, or a number is invalid.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    ClusterError
        When no cluster answers at that address.
    """
    parse_address(on)
    if n_seeds < 1:
        raise UsageError(f"n_seeds is {n_seeds}; at least 1 is needed.")
    loaded_claims = [load_claims([c])[0] if isinstance(c, str) else c for c in claims]
    if not loaded_claims:
        raise UsageError("there is no claim to verify; name at least one.")
    loaded = load_dataset(dataset)
    store = open_store(runs, loaded)
    return check(
        plan_claims(
            loaded_claims, ClaimStore(store, loaded), n_seeds, fit_limit(time_limit, budget)
        ),
        loaded,
        store,
        limits=Limits(seconds=time_limit, memory=memory_limit),
        budget=budget,
        on=on,
        command=command,
        on_progress=on_progress,
    )


def plan_claims(
    claims: Sequence[Claim], runs: ClaimStore, n_seeds: int, limit: float | None
) -> list[Plan]:
    """Plan the runs of each claim; `limit` as in :meth:`.Plan.of`."""
    return [Plan.of(claim, runs, n_seeds, limit) for claim in claims]


def check(
    plans: Sequence[Plan],
    dataset: Dataset,
    store: Store,
    *,
    limits: Limits,
    budget: float | None = None,
    on: str = HERE,
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> ClaimsReport:
    """Fit the missing runs of plans, and judge their claims; parameters as for :func:`verify`."""
    with open_bench(dataset, store, on=on, limits=limits, keep_models=False) as bench:
        deadline = None if budget is None else time.monotonic() + budget
        fitting = _ClaimFitting(bench, deadline, sum(plan.n_fits for plan in plans), on_progress)
        fitted = [fitting.fit(plan) for plan in plans]
    alpha, results = judge_claims(fitted, dataset)
    return ClaimsReport(
        dataset_title=store.card.title,
        dataset_sha256=store.card.sha256,
        test_images=store.card.test_images,
        test_reads=sum(run.record.spec.reads_test for run in store.runs()),
        claims=results,
        alpha=alpha,
        command=command,
    )


class _StoppedError(Exception):
    """A fit failed, or wasn't started."""

    def __init__(self, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.failed = failed


def _over_budget(arm: Arm) -> _StoppedError:
    reason = (
        f"the budget leaves no time for a fit of about {duration(arm.seconds)}; the same command "
        "resumes from here"
    )
    return _StoppedError(reason, failed=False)


class _ClaimFitting:
    """Fits missing runs, claim by claim and arm by arm.

    Parameters
    ----------
    bench : fits the runs
    deadline : on the monotonic clock; no fit is started that is expected to end later
    total : number of fits of all claims
    """

    def __init__(
        self, bench: Bench, deadline: float | None, total: int, on_progress: OnProgress | None
    ) -> None:
        self._bench, self._deadline = bench, deadline
        self._runs = ClaimStore(bench.store, bench.dataset)
        self._on_progress = on_progress
        self._reporter = Reporter(on_progress, total=total)

    def fit(self, plan: Plan) -> ClaimRuns:
        """Fit the missing runs of a claim, and read all of them."""
        end = self._reporter.done + plan.n_fits
        try:
            for arm in plan.fitted:
                self._fit_arm(plan.claim.id, arm)
            return ClaimRuns.of(plan, self._runs)
        except (_StoppedError, StoreError) as stopped:  # a saved run may be unreadable
            failed = not isinstance(stopped, _StoppedError) or stopped.failed
            reason = str(stopped)
            if isinstance(stopped, _StoppedError) and failed:
                reason = "given up, since a fit failed"
            self._reporter.skipped(plan.claim.id, end - self._reporter.done, reason=reason)
            unfinished = f"Not finished: {str(stopped).rstrip('.')}."
            return ClaimRuns(plan, problems=(unfinished, self._saved(plan)), failed=failed)

    def _fit_arm(self, claim: str, arm: Arm) -> None:
        """Fit the missing runs of an arm, then the refits that these choose."""
        name, several = f"{claim} {arm.name}", len(arm.candidates) > 1
        done, total = self._reporter.done, self._reporter.total
        self._reporter = Reporter(
            self._on_progress,
            done=done,
            total=total,
            at_once=lambda: self._bench.executor.at_once,
            name=lambda spec: f"{name} {spec.label}" if several else name,
            expected=lambda _: arm.seconds,
        )
        while todo := self._runs.missing(arm):
            self._fit_all(arm, todo)
        if saved := done + arm.n_fits - self._reporter.done:
            self._reporter.skipped(name, saved, seed=arm.seeds[-1])

    def _fit_all(self, arm: Arm, todo: Sequence[RunSpec]) -> None:
        """Fit these runs. After a failure no more are started; running ones finish."""
        stopped: dict[RunSpec, _StoppedError] = {}

        def specs() -> Iterator[RunSpec]:
            for spec in todo:
                if not stopped and self._is_late(arm):
                    stopped[spec] = _over_budget(arm)
                if stopped:
                    return
                yield spec

        for attempt in self._bench.attempts(specs(), self._reporter):
            self._reporter.ended(attempt)
            if attempt.status != "ok":
                spec = attempt.spec
                reason = f"{spec.label}, seed {spec.seed}: {attempt.reason}"
                stopped[spec] = _StoppedError(reason, failed=True)
        if stopped:
            raise next(stopped[spec] for spec in todo if spec in stopped)

    def _saved(self, plan: Plan) -> str:
        """Progress of a claim, in words."""
        counts = [f"{arm.name} {self._runs.saved(arm)} of {arm.n_fits}" for arm in plan.fitted]
        return f"Saved so far: {', '.join(counts)}."

    def _is_late(self, arm: Arm) -> bool:
        return self._deadline is not None and self._deadline - time.monotonic() < arm.seconds
