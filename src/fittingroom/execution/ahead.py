"""Compile ahead: kernels that later fits of a command need, while the first ones run.

Numba compiles a kernel when it is first called and saves it in its cache. In a new installation
that takes eight seconds of a comparison, in which all cores but one wait. So a process of the
lowest priority, which takes only time that no fit wants, fits its models on a few random images:
whatever kernels this processor needs are in the cache afterwards. Numba replaces a file of its
cache as a whole, so a fit that compiles the same kernel meanwhile does no harm.

An empty file per model remembers that its kernels are compiled: a later command starts nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

from fittingroom.execution.child import collect_rarely, die_with

#: Models that fit by kernels, and quickly if images are few.
COMPILED = ("logistic", "knn", "random-forest", "cnn-32", "swift", "swift-90")
#: Random images: more than half as many as pixels, which the logistic regression asks for.
_IMAGES, _SIDE, _CLASSES = 1000, 28, 10
_PACKAGE = Path(__file__).parents[1]
#: Processes, each with the folder that its fits write to.
_started: list[tuple[subprocess.Popen[bytes], str]] = []


def compile_ahead(models: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start compiling what fits of these models need, in this order, unless that is done.

    The first of them fits at once and compiles its own. Where the cache can't be written, or no
    process can be started, each fit compiles its own, too.
    """
    if len(models) < 2 or _is_running():
        return
    missing = [name for name in models if name in COMPILED and not mark(name).exists()]
    if not missing or not _can_remember():
        return
    if missing[0] == models[0]:  # last: its fit has compiled by then
        missing.append(missing.pop(0))
    with contextlib.suppress(OSError), contextlib.ExitStack() as failed:
        folder = tempfile.mkdtemp(prefix="fittingroom-")
        failed.callback(shutil.rmtree, folder, ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(os.getpid()), folder, *missing],
            stdin=subprocess.PIPE,  # its end tells the process to end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        failed.pop_all()
        _started.append((process, folder))


def _is_running() -> bool:
    return any(process.poll() is None for process, _ in _started)


@atexit.register
def _end() -> None:
    for process, folder in _started:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def mark(model: str) -> Path:
    """The file that remembers that a model's kernels are compiled: these, by this Numba."""
    return _marks() / f"fittingroom-{model}-{_state()}"


@functools.cache
def _state() -> str:
    """A hash of what kernels depend on."""
    stamps = [(path.name, path.stat()) for path in sorted(_PACKAGE.rglob("*.py"))]
    sources = [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stamps]
    known = (str(_PACKAGE), sources, sys.version, version("numba"), version("llvmlite"))
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def _marks() -> Path:
    """The folder of marks: that of Numba's cache where one is set, else beside our own modules."""
    folder = os.environ.get("NUMBA_CACHE_DIR") or _PACKAGE / "__pycache__"
    return Path(folder)


def _can_remember() -> bool:
    with contextlib.suppress(OSError):
        _marks().mkdir(parents=True, exist_ok=True)
    return os.access(_marks(), os.W_OK)


def compile_for(model: str, folder: str) -> None:
    """Compile what fits of a model need here, by a fit on random images; its run is left there."""
    import numpy as np

    from fittingroom.data.dataset import Dataset
    from fittingroom.models.catalog import row_of
    from fittingroom.runs.fit import fit
    from fittingroom.runs.spec import spec_of
    from fittingroom.runs.store import open_store

    random = np.random.RandomState(0)
    images = random.randint(0, 256, (_IMAGES, _SIDE, _SIDE)).astype(np.uint8)
    labels = np.arange(_IMAGES) % _CLASSES
    dataset = Dataset.from_arrays(images, labels, images, labels)
    settings = {"epochs": 1} if row_of(model).family == "network" else {}
    spec = spec_of(dataset, model, settings=settings)
    fit(spec, dataset, open_store(folder, dataset), keep_model=False)


def main() -> None:
    """The process: its arguments are the id of its parent, a folder and models."""
    parent, folder, *models = sys.argv[1:]
    die_with(int(parent))
    threading.Thread(target=_await_end, daemon=True).start()
    collect_rarely()
    _yield_to_others()
    for model in models:
        with contextlib.suppress(Exception):  # the fit itself will report it
            compile_for(model, folder)
        with contextlib.suppress(OSError):  # of a failure, too: the next command's fails again
            mark(model).touch()


def _await_end() -> None:
    sys.stdin.read()
    os._exit(0)


def _yield_to_others() -> None:
    """Take only time that no other process wants."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(19)
    with contextlib.suppress(OSError, AttributeError):  # Linux
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    main()
