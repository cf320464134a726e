"""`Executor`: fits jobs in parallel, in other processes.

>>> with open_executor("local:2", Limits(seconds=600)) as executor:  # doctest: +SKIP
...     executor.submit(job)
...     while not isinstance(event := executor.next_event()[1], Attempt):
...         print(event.done, "of", event.total)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from fittingroom.execution.job import Job, Limits
    from fittingroom.runs.attempt import Attempt, FitStep

#: One fit at a time, in a child process with all threads.
HERE = "local:1"


class Executor(Protocol):
    """Fits jobs. Once `next_event` returns an attempt that is `ok`, its run is in the store."""

    @property
    def at_once(self) -> int:
        """How many jobs it can fit in parallel now."""

    def submit(self, job: Job) -> None:
        """Start a fit; call this only while fewer than `at_once` are running."""

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        """Wait for the next step, or the end, of a running fit."""

    def stop(self, job: Job) -> None:
        """Stop a running fit. No step follows; its attempt is `stopped` unless it ended first."""

    def stop_all(self) -> None:
        """Stop all running fits at once; they report nothing more."""


@dataclass(frozen=True, kw_only=True)
class ExecutorAddress:
    """A parsed `--on`: a number of child processes here, or the address of a Ray cluster."""

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
    raise UsageError(f"--on takes local:N (N at least 1), ray or ray://HOST:PORT, not {on!r}.")


def prepare_fits(on: str, models: Iterable[str]) -> None:
    """Let the fits of these models find everything imported, if they follow soon.

    What they need is imported by other processes, while the caller prepares the fits themselves.
    """
    address = parse_address(on)
    if address.kind == "local":
        from fittingroom.execution.children import prepare_children, threads_of

        prepare_children(models, threads=threads_of(address.at_once))


def most_memory(on: str, limits: Limits) -> int | None:
    """Bytes that one fit can have at most: its limit, here also the machine's; None if unknown.

    Parameters as for :func:`open_executor`.
    """
    if parse_address(on).kind != "local":
        return limits.memory
    from fittingroom.execution.local import memory_here

    here = memory_here()
    return here if limits.memory is None else min(limits.memory, here)


def open_executor(on: str, limits: Limits) -> AbstractContextManager[Executor]:
    """The executor that `on` names, ready for jobs inside a `with`.

    Parameters
    ----------
    on
        `local:N` (N child processes here, which share the threads), `ray` (the cluster that
        RAY_ADDRESS names or that runs on this machine, else a new one on this machine), or
        `ray://HOST:PORT` (a cluster's client port).
    limits
        Time and memory of each fit, wherever it runs.

    Raises
    ------
    UsageError
        When `on` is invalid, or Ray isn't installed.
    ClusterError
        When no cluster answers at that address.
    """
    address = parse_address(on)
    if address.kind == "local":
        from fittingroom.execution.local import LocalExecutor

        return LocalExecutor(limits, address.at_once)
    from fittingroom.execution.ray import RayExecutor

    return RayExecutor(limits, address.cluster)
