"""`Executor`: fits jobs, several at the same time, in processes of their own.

>>> with open_executor("local:2", Limits(seconds=600)) as executor:  # doctest: +SKIP
...     executor.submit(job)
...     while not isinstance(event := executor.next_event()[1], Attempt):
...         print(event.done, "of", event.total)
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from fittingroom.errors import UsageError
from fittingroom.execution.job import Job, Limits
from fittingroom.runs.attempt import Attempt, FitStep

#: One fit at a time, in a child process that has all threads.
HERE = "local:1"


class Executor(Protocol):
    """Fits jobs. When the attempt of one comes that ended well, its run is in the job's store."""

    @property
    def at_once(self) -> int:
        """How many jobs it fits at the same time, as far as is known now."""

    def submit(self, job: Job) -> None:
        """Begin a fit; only while fewer than `at_once` are under way."""

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        """Wait for the next step, or the end, of a fit under way."""

    def stop(self, job: Job) -> None:
        """End a fit under way. No step of it comes any more; its attempt is `stopped`."""

    def stop_all(self) -> None:
        """End whatever is under way at once; nothing more comes of it."""


@dataclass(frozen=True, kw_only=True)
class ExecutorAddress:
    """What `--on` says: so many child processes here, or Ray and the address of a cluster."""

    kind: Literal["local", "ray"]
    at_once: int = 1
    cluster: str | None = None


def parse_address(on: str) -> ExecutorAddress:
    """Read `local:N`, `ray` or `ray://HOST:PORT`.

    Raises
    ------
    UsageError
        When it is none of these.
    """
    if match := re.fullmatch(r"local:([1-9]\d{0,3})", on):
        return ExecutorAddress(kind="local", at_once=int(match[1]))
    if on == "ray":
        return ExecutorAddress(kind="ray")
    if re.fullmatch(r"ray://[\w.:\[\]-]+:\d+", on):
        return ExecutorAddress(kind="ray", cluster=on)
    raise UsageError(f"--on takes local:N with N from 1, ray, or ray://HOST:PORT, not {on!r}.")


def open_executor(on: str, limits: Limits) -> AbstractContextManager[Executor]:
    """The executor that `on` names, ready for jobs inside a `with`.

    Parameters
    ----------
    on
        `local:N` (N child processes here, which share the threads), `ray` (the cluster that
        RAY_ADDRESS names or that runs on this machine, else one that is started here), or
        `ray://HOST:PORT` (a cluster's client port).
    limits
        Of each fit, wherever it runs.

    Raises
    ------
    UsageError
        When `on` makes no sense, or Ray isn't installed.
    ClusterError
        When there is no cluster at that address.
    """
    address = parse_address(on)
    if address.kind == "local":
        from fittingroom.execution.local import LocalExecutor

        return LocalExecutor(limits, address.at_once)
    from fittingroom.execution.ray import RayExecutor

    return RayExecutor(limits, address.cluster)
