"""The child's side of a `FitProcess`: `python -m fittingroom.execution.child PID-OF-PARENT`.

Where a fork server runs, the child is a copy of it instead (`fork_server.py`).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fittingroom.data.dataset import Dataset
    from fittingroom.execution.job import Job
    from fittingroom.runs.attempt import FitStep

#: What `ps` calls a child; Linux keeps 15 characters.
NAME = "fittingroom-fit"


def main() -> None:
    """A child that was started by itself."""
    collect_rarely()
    run_jobs(int(sys.argv[1]))


def run_jobs(parent: int) -> None:
    """Read jobs from standard input, fit each, write events to what was standard output.

    Ends the process at end of file, and as soon as `parent`, a process id, isn't its parent.
    """
    die_with(parent)
    _set_name()
    # Ctrl-C reaches the whole foreground group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf8")
    os.dup2(2, 1)  # whatever a library prints must not look like an event
    events.write("\n")  # what was printed before must not share a line with one
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    datasets: dict[str, Dataset] = {}
    while True:
        _fit(jobs.get(), datasets, events)


def collect_rarely() -> None:
    """Collect garbage every 100,000 new objects instead of Python's 700, and never at the end.

    Importing torch and scikit-learn makes 280,000 that stay: collecting took a fifth of the time,
    and the last collection, before Python ends, 0.2 to 0.35 s.
    """
    gc.set_threshold(100_000, 10, 10)
    atexit.register(gc.freeze)


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies.

    End of file on standard input does the same on every system, but not while a long native call
    holds the GIL.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.name == "posix" and os.getppid() != parent:  # it died before prctl
        os._exit(1)


def _set_name() -> None:
    """Be told from other Python processes by `top` and `ps`, where Linux allows it."""
    if sys.platform == "linux":
        pr_set_name = 15
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_name, NAME.encode())


def _listen(jobs: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)


def _fit(fields: dict[str, Any], datasets: dict[str, Dataset], events: IO[str]) -> None:
    """Fit a job. Errors become events: every model must get its row in the table."""
    from fittingroom.execution.job import Job
    from fittingroom.runs.attempt import failed
    from fittingroom.runs.fit import fit
    from fittingroom.runs.store import find_store

    def on_step(step: FitStep) -> None:
        _write(events, "step", asdict(step))

    job = Job.from_dict(fields)
    try:
        dataset, store = _dataset(job, datasets), find_store(job.store)
        fit(job.spec, dataset, store, keep_model=job.keep_model, on_step=on_step)
    except Exception as error:
        attempt = failed(job.spec, error)
        _write(events, "end", {"status": attempt.status, "reason": attempt.reason})
    else:
        _write(events, "end", {"status": "ok"})


def _write(events: IO[str], kind: str, fields: dict[str, Any]) -> None:
    events.write(json.dumps({"event": kind, **fields}) + "\n")


def _dataset(job: Job, datasets: dict[str, Dataset]) -> Dataset:
    """The job's data set, loaded once for all jobs."""
    from fittingroom.data.sources import load_dataset
    from fittingroom.errors import DataError

    if job.dataset not in datasets:
        datasets[job.dataset] = load_dataset(job.dataset)
    if datasets[job.dataset].sha256 != job.spec.dataset:
        raise DataError(f"{job.dataset} changed while it was in use; start again.")
    return datasets[job.dataset]


if __name__ == "__main__":
    main()
