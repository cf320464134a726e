"""The child's side of the executor: `python -m fittingroom.bench.worker PID-OF-PARENT`."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

#: Called with the figures of an epoch or a fold.
Tell = Callable[[Mapping[str, Any]], None]
#: Fits what a job asks for, given its data set.
FitJob = Callable[[Mapping[str, Any], Any, Tell], None]


def main(fit: FitJob | None = None) -> None:
    """Read jobs from standard input, fit each, write events to what was standard output.

    `fit` fits what a job asks for: :func:`fit_job`, unless a program has more to offer.
    """
    die_with(int(sys.argv[1]))
    collect_rarely()
    # Ctrl-C reaches the whole foreground group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf8")
    os.dup2(2, 1)  # whatever a library prints must not look like an event
    events.write("\n")  # nor share a line with one, if it was printed before
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    datasets: dict[str, Any] = {}
    while True:
        _work(jobs.get(), datasets, events, fit or fit_job)


def collect_rarely() -> None:
    """Look for garbage after 10,000 new objects, not after Python's 700.

    The import of torch and scikit-learn makes 280,000 that stay: a fifth of its time went there.
    """
    gc.set_threshold(10_000, 10, 10)


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies.

    End of file on standard input does the same everywhere, but not while a long native call keeps
    the interpreter's lock.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.name == "posix" and os.getppid() != parent:  # it died before the request
        os._exit(1)


def _listen(jobs: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)


def _work(job: dict[str, Any], datasets: dict[str, Any], events: IO[str], fit: FitJob) -> None:
    from fittingroom.errors import DataError, FittingroomError, NotFiniteError, StoreError

    def tell(told: Mapping[str, Any]) -> None:
        events.write(json.dumps({"event": "epoch", **told}) + "\n")

    try:
        fit(job, _dataset(job, datasets), tell)
        event: dict[str, Any] = {"event": "done"}
    except NotFiniteError as error:
        event = {"event": "failed", "status": "nan", "reason": str(error)}
    except MemoryError as error:
        event = {"event": "failed", "status": "out-of-memory", "reason": f"out of memory: {error}"}
    except (DataError, StoreError) as error:  # the fit itself may be sound, and do another time
        event = {"event": "failed", "status": "interrupted", "reason": str(error)}
    except FittingroomError as error:
        event = {"event": "failed", "status": "failed", "reason": str(error)}
    except Exception as error:  # a row of the table must say what became of every model
        event = {"event": "failed", "status": "failed", "reason": one_line(error)}
    events.write(json.dumps(event) + "\n")


def _dataset(job: Mapping[str, Any], datasets: dict[str, Any]) -> Any:
    """The job's data set, read once for all jobs."""
    from fittingroom.data.sources import load_dataset
    from fittingroom.errors import DataError

    where = job["dataset"]
    if where not in datasets:
        datasets[where] = load_dataset(where)
    if datasets[where].sha256 != job["sha256"]:
        raise DataError(f"{where} changed while it was in use; start again.")
    return datasets[where]


def fit_job(job: Mapping[str, Any], dataset: Any, tell: Tell) -> None:
    """Fit what a job asks for; `tell` is called after an epoch or a fold."""
    from dataclasses import asdict

    from fittingroom.runs.fit import fit_catalogue_model
    from fittingroom.runs.folds import fit_folds
    from fittingroom.runs.store import find_store
    from fittingroom.training.epoch import Epoch

    def on_epoch(epoch: Epoch, epochs: int) -> None:
        tell({"epochs": epochs, **asdict(epoch)})

    def on_fold(done: int, folds: int, accuracy: float) -> None:
        tell({"epoch": done, "epochs": folds, "validation_accuracy": accuracy, "unit": "fold"})

    if job["folds"]:
        fit_folds(
            find_store(job["store"]),
            dataset,
            job["model"],
            job["folds"],
            overrides=job["overrides"],
            seed=job["seed"],
            on_fold=on_fold,
        )
        return
    fit_catalogue_model(
        find_store(job["store"]),
        dataset,
        job["model"],
        overrides=job["overrides"],
        seed=job["seed"],
        full=job["full"],
        reads_test=job["reads_test"],
        keep_model=job["keep_model"],
        on_epoch=on_epoch,
    )


def one_line(error: BaseException) -> str:
    """The kind of an unexpected error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


if __name__ == "__main__":
    main()
