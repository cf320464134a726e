"""Where jobs are fitted: in child processes on this machine, or on the nodes of a Ray cluster.

Whoever has jobs to be fitted takes a placement and nothing else:

    with placed("local:2", Limits(seconds=600)) as placement:
        for job, outcome in placement.run(jobs, on_event):
            ...

A job is plain data, its run is in the store that the job names when its outcome comes, and outcomes
come in the order in which jobs end. Jobs are drawn from the iterable only when there is room for
one, so that what is drawn next may depend on the outcomes before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fittingroom.bench.executor import PROGRAM, Job, Limits, Outcome
from fittingroom.bench.place import Place

#: Gets a job's events: `{"event": "started"}`, then one for each epoch. Where it returns True for
#: an epoch the job is ended, nothing more is heard of it, and its outcome is `ENDED`.
OnEvent = Callable[[Job, Mapping[str, Any]], bool | None]

#: The outcome of a job that `OnEvent` ended.
ENDED = Outcome(status="interrupted", reason="was ended before its last epoch")


class Placement(Protocol):
    """Fits jobs."""

    @property
    def at_once(self) -> int:
        """How many jobs it fits at the same time, as far as is known now."""

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Outcome]]:
        """Fit all jobs; give each with its outcome when it ends.

        What is under way when the iterator is closed, by an exception or Ctrl-C, is ended at once.
        """


def placed(on: str, limits: Limits, *, program: str = PROGRAM) -> AbstractContextManager[Placement]:
    """The placement that `on` names, ready for jobs inside a `with`.

    Parameters
    ----------
    on
        `local:N` (N child processes here, which share the threads), `ray` (the cluster that
        RAY_ADDRESS names or that runs on this machine, else one that is started here), or
        `ray://HOST:PORT` (a cluster's client port).
    limits
        Of each fit, wherever that is.
    program
        The module that fits, see `Worker`.

    Raises
    ------
    UsageError
        When `on` makes no sense, or Ray isn't installed.
    ClusterError
        When there is no cluster at that address.
    """
    place = Place.of(on)
    if place.kind == "local":
        from fittingroom.bench.local import Local

        return Local(limits, place.at_once, program)
    from fittingroom.bench.ray_cluster import RayCluster

    return RayCluster(limits, place.address, program)
