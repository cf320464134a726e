"""Check published claims: the whole of `fittingroom verify`.

Run as a program it is the child process that fits, see :mod:`fittingroom.bench.worker`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fittingroom.bench import worker
from fittingroom.bench.arms import Arm, Setting
from fittingroom.bench.cells import duration
from fittingroom.bench.claim import Claim
from fittingroom.bench.claim_file import load_claims
from fittingroom.bench.claim_plan import Plan, fit_limit
from fittingroom.bench.compare import located
from fittingroom.bench.evidence import Runs
from fittingroom.bench.executor import Job, Limits
from fittingroom.bench.judging import Fitted, judge_claims
from fittingroom.bench.place import HERE, Place
from fittingroom.bench.placement import Placement, placed
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.bench.verification import Verification
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.runs.store import find_store, open_store

#: The module that the child runs, and this one.
PROGRAM = "fittingroom.bench.verify"
#: One fit of a claim may take so long unless told otherwise: the searches and the slow networks.
TIME_LIMIT = 1800.0


def verify(
    claims: Sequence[Claim | str],
    *,
    dataset: Dataset | str | Path = "fashion-mnist",
    seeds: int = 5,
    runs: Path | str = "runs",
    time_limit: float | None = TIME_LIMIT,
    budget: float | None = None,
    memory_limit: int | None = None,
    on: str = HERE,
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> Verification:
    """Run each claim's recipe as it was really used and honestly, and judge its figure.

    Runs that the store holds already are not fitted again; the others are fitted in child
    processes.

    Parameters
    ----------
    claims
        Claims, ids of claims that come with the package, or paths of TOML files.
    dataset
        A data set, a name of the catalogue, or a folder.
    seeds
        Fits of each recipe; where one takes more than ten minutes, three at most.
    runs
        The folder of saved runs.
    time_limit
        Seconds for one fit with its predictions. A recipe that is expected to take longer is
        replaced by the smaller one that its claim names, or left out.
    budget
        Seconds for everything. No fit is started that is expected to end later, and a recipe of
        which one fit takes longer is treated as by `time_limit`.
    memory_limit
        Bytes resident in the fitting process and its children.
    on
        Where fits run: `local:N`, `ray` or `ray://HOST:PORT`, see :func:`.placement.placed`.
    command
        The command to quote as the way to do this again.
    on_progress
        Called as the work goes on.

    Raises
    ------
    UnknownNameError, UsageError
        When a claim doesn't exist or is none, or a number makes no sense.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    ClusterError
        When there is no such cluster.
    """
    Place.of(on)
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}; at least 1 is needed.")
    found = [load_claims([each])[0] if isinstance(each, str) else each for each in claims]
    if not found:
        raise UsageError("there is no claim to verify; name at least one.")
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    store = open_store(runs, loaded)
    reader, longest = Runs(store, loaded), fit_limit(time_limit, budget)
    plans = [Plan.of(claim, reader, seeds, longest) for claim in found]
    limits = Limits(seconds=time_limit, memory=memory_limit)
    with located(loaded) as location, placed(on, limits, program=PROGRAM) as placement:
        work = _Work(
            runs=reader,
            location=location,
            placement=placement,
            deadline=None if budget is None else time.monotonic() + budget,
            total=sum(plan.n_fits for plan in plans),
            tell=on_progress or (lambda _: None),
        )
        fitted = [work.fit(plan) for plan in plans]
    alpha, checked = judge_claims(fitted, loaded)
    return Verification(
        dataset_title=store.card.title,
        dataset_sha256=store.card.sha256,
        test_images=store.card.test_images,
        test_reads=sum(run.record.asked.reads_test for run in store.runs()),
        claims=checked,
        alpha=alpha,
        command=command,
    )


class _StoppedError(Exception):
    """A fit didn't end well, or wasn't started."""

    def __init__(self, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.failed = failed


def _late(arm: Arm) -> _StoppedError:
    reason = (
        f"the budget leaves no time for a fit of about {duration(arm.seconds)}; the same command "
        "resumes from here"
    )
    return _StoppedError(reason, failed=False)


class _Work:
    """Fits what is missing, claim by claim, and judges."""

    def __init__(
        self,
        *,
        runs: Runs,
        location: Path,
        placement: Placement,
        deadline: float | None,
        total: int,
        tell: OnProgress,
    ) -> None:
        self._runs, self._location, self._placement = runs, location, placement
        self._deadline, self._tell = deadline, tell
        self._done, self._total = 0, total

    def fit(self, plan: Plan) -> Fitted:
        """Fit what a claim's verdict takes and is not saved."""
        end = self._done + plan.n_fits
        try:
            for arm in plan.fitted:
                self._fit(plan.claim.id, arm)
            return Fitted.of(plan, self._runs)
        except (_StoppedError, StoreError) as stopped:  # a saved run may be unreadable
            failed = not isinstance(stopped, _StoppedError) or stopped.failed
            rest, self._done = end - self._done, end
            why = str(stopped)
            if isinstance(stopped, _StoppedError) and failed:
                why = "given up, since a fit failed"
            self._report("failed", plan.claim.id, 0, None, runs=rest, reason=why)
            unfinished = f"Not finished: {str(stopped).rstrip('.')}."
            return Fitted(plan, trouble=(unfinished, self._saved(plan)), failed=failed)

    def _fit(self, claim: str, arm: Arm) -> None:
        """Fit what an arm lacks; what its runs choose is known, and fitted, only after them."""
        end = self._done + arm.n_fits
        while todo := self._runs.missing(arm):
            self._fit_all(claim, arm, todo, end)
        if saved := end - self._done:
            self._done = end
            self._report("saved", f"{claim} {arm.name}", arm.seeds[-1], arm.seconds, runs=saved)

    def _fit_all(self, claim: str, arm: Arm, todo: Sequence[tuple[Setting, int]], end: int) -> None:
        """Make these runs. After one that fails those under way end, and no other is begun."""
        stopped: dict[int, _StoppedError] = {}  # by their places in what is to be done
        places: dict[int, int] = {}

        def jobs() -> Iterator[Job]:
            for place, (setting, seed) in enumerate(todo):
                if not stopped and self._is_late(arm):
                    stopped[place] = _late(arm)
                if stopped:
                    return
                job = job_of(setting, seed, self._runs, self._location)
                places[id(job)] = place
                yield job

        def tell(kind: Any, job: Job, **detail: Any) -> None:
            name = f"{claim} {arm.name}"
            if len(arm.candidates) > 1:
                name += f" {todo[places[id(job)]][0].label}"
            self._report(kind, name, job.seed, arm.seconds, **detail)

        def on_event(job: Job, event: Mapping[str, Any]) -> None:
            tell(event["event"], job, **event)

        for job, outcome in self._placement.run(jobs(), on_event):
            if outcome.status == "ok":
                self._done = min(self._done + 1, end)
                tell("saved", job)
            else:
                place = places[id(job)]
                reason = f"{todo[place][0].label}, seed {job.seed}: {outcome.reason}"
                stopped[place] = _StoppedError(reason, failed=True)
                self._done = min(self._done + 1, end)
                tell("failed", job, reason=outcome.reason)
        if stopped:
            raise stopped[min(stopped)]

    def _saved(self, plan: Plan) -> str:
        """How far a claim got, in words."""
        counts = [f"{arm.name} {self._runs.saved(arm)} of {arm.n_fits}" for arm in plan.fitted]
        return f"Saved so far: {', '.join(counts)}."

    def _is_late(self, arm: Arm) -> bool:
        return self._deadline is not None and self._deadline - time.monotonic() < arm.seconds

    def _report(
        self,
        kind: Any,
        name: str,
        seed: int,
        expected: float | None,
        runs: int = 1,
        **detail: Any,
    ) -> None:
        self._tell(
            Progress(
                kind=kind,
                model=name,
                seed=seed,
                done=self._done,
                total=self._total,
                runs=runs,
                at_once=self._placement.at_once,
                expected=expected,
                detail=detail,
            )
        )


def job_of(setting: Setting, seed: int, runs: Runs, location: Path) -> Job:
    """A fit in words that another process can read."""
    _, asked = setting.asked(runs.dataset, seed)
    return Job(
        dataset=str(location.resolve()),
        sha256=runs.dataset.sha256,
        store=str(runs.store.folder.resolve()),
        model=asked.model,
        seed=asked.seed,
        full=asked.full,
        reads_test=asked.reads_test,
        overrides=dict(setting.parameters),
        keep_model=False,
        protocol=dict(setting.protocol) if setting.protocol is not None else None,
    )


def fit_job(job: Mapping[str, Any], dataset: Any, tell: worker.Tell) -> None:
    """Fit what a job asks for, in a child process: honestly, or by the protocol that it names."""
    from fittingroom.bench.protocols import fit_as_used

    if job["protocol"] is None:
        worker.fit_job(job, dataset, tell)
        return
    setting = Setting(
        model=job["model"],
        parameters=job["overrides"],
        full=job["full"],
        reads_test=job["reads_test"],
        protocol=job["protocol"],
    )
    classifier, asked = setting.asked(dataset, job["seed"])
    store = find_store(job["store"])
    if store.find(asked) is None:
        fit_as_used(
            store,
            dataset,
            classifier,
            asked,
            overrides=setting.parameters,
            on_epoch=lambda epoch, epochs: tell({"epochs": epochs, **asdict(epoch)}),
        )


if __name__ == "__main__":
    worker.main(fit_job)
