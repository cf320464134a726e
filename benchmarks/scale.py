"""The same fits elsewhere: a Ray cluster that loses a node, and one network over two processes.

    python benchmarks/scale.py lost-node --out benchmarks/results/lost-node.json
    python benchmarks/scale.py curve --out benchmarks/results/curve.json
    python benchmarks/scale.py short-curve --out benchmarks/results/short-curve.json
    python benchmarks/scale.py threads --out benchmarks/results/threads.json

`lost-node` compares models on a cluster of two nodes with a processor each, simulated on this
machine, removes one while it fits, and holds every prediction against that of a comparison
without a cluster, with one thread. `curve` trains `cnn-32` in float32, in one process and in two
by torchrun with half the images of each step, and prints the table of docs/scale.md; one process
with two threads shows what another order of summation does by itself. `short-curve` is the same on
few images, where rounding has grown less. `threads` fits models with one thread and with two, on
few images, and counts what differs. A quarter of an hour, five minutes, and two and one on two
cores; all go on where they stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import record

from fittingroom.execution.child import NAME
from fittingroom.files import replace_file
from fittingroom.runs.run import Run
from fittingroom.runs.store import find_store

FITTINGROOM = [sys.executable, "-m", "fittingroom.cli.main"]
MODELS = "logistic,knn,random-forest,mlp-256-256,cnn-32"
COMPARE = [*FITTINGROOM, "compare", "--models", MODELS, "--seeds", "3", "--format", "json"]
SINGLE = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL = record.ROOT / "tests" / "data" / "fashion-mnist-small"
#: Fitted with one thread and with two; the large network for two epochs.
BY_THREADS = {
    **dict.fromkeys(
        (
            *("knn", "random-forest", "hist-gradient-boosting", "mlp-10-10", "mlp-532"),
            *("mlp-256-256", "logistic", "cnn-32", "cnn-32-64", "swift-90", "hog-svm", "svm-rbf"),
        ),
        (),
    ),
    "cnn-64x4": ("--set", "epochs=2"),
}
CLUSTER_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


def lost_node(runs: Path) -> dict[str, Any]:
    """Compare on Ray and lose a node meanwhile; compare without; how equal both are."""
    noted = runs / "lost-node.json"  # once all is saved there is no node left to lose
    if not noted.exists():
        replace_file(noted, json.dumps(compare_and_lose_a_node(runs / "ray")))
    subprocess.run([*COMPARE, "--runs", str(runs / "here")], env=SINGLE, check=True)
    pairs = zip(saved(runs / "ray"), saved(runs / "here"), strict=True)
    rows = [equal(one, other) for one, other in pairs]
    return {
        **json.loads(noted.read_text("utf8")),
        "runs": rows,
        "all_equal": all(row["equal"] for row in rows),
    }


def compare_and_lose_a_node(runs: Path) -> dict[str, Any]:
    """What was lost, and how long it took all the same."""
    with simulated_cluster() as (cluster, nodes):
        started = time.monotonic()
        on_ray = subprocess.Popen(
            [*COMPARE, "--on", "ray", "--runs", str(runs)],
            env={**SINGLE, "RAY_ADDRESS": cluster.address},
        )
        removed_after, under_way = remove_while_it_fits(cluster, nodes[1], on_ray, runs)
        if on_ray.wait() != 0:
            raise SystemExit("the comparison on Ray failed")
    return {
        "nodes": len(nodes),
        "removed_after_runs": removed_after,
        "fits_under_way_there": under_way,
        "seconds_on_ray": time.monotonic() - started,
    }


@contextmanager
def simulated_cluster(**options: Any) -> Iterator[tuple[Any, list[Any]]]:
    """A head, with options of its own, that fits nothing and two nodes with a processor each."""
    os.environ |= CLUSTER_ENVIRONMENT
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, **options}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    finally:
        cluster.shutdown()


def remove_while_it_fits(
    cluster: Any, node: Any, comparison: subprocess.Popen[bytes], runs: Path
) -> tuple[int, int]:
    """Kill a node when some runs are saved and it fits; how many were saved, and were under way."""
    while comparison.poll() is None:
        n_saved, n_fitting = len(list(runs.glob("*/*/*/run.json"))), len(fitting_on(node))
        if n_saved >= 4 and n_fitting:
            cluster.remove_node(node, allow_graceful=False)
            print(f"removed a node of two after {n_saved} runs", file=sys.stderr)
            return n_saved, n_fitting
        time.sleep(0.2)
    raise SystemExit("the comparison ended before there was a node to remove")


def fitting_on(node: Any) -> list[psutil.Process]:
    """The child processes that fit on a node."""
    (raylet,) = node.all_processes["raylet"]
    found = []
    for process in psutil.Process(raylet.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if process.name() == NAME:
                found.append(process)
    return found


def saved(runs: Path) -> list[Run]:
    return sorted(
        find_store(runs).runs(), key=lambda run: (run.record.spec.model, run.record.spec.seed)
    )


def equal(one: Run, other: Run) -> dict[str, Any]:
    assert one.record.spec == other.record.spec
    assert one.test is not None
    assert other.test is not None
    return {
        "model": one.record.spec.model,
        "seed": one.record.spec.seed,
        "test_accuracy": float(one.test.correct.mean()),
        "equal": bool(np.array_equal(one.test.probabilities, other.test.probabilities)),
    }


def short_curve(runs: Path) -> dict[str, Any]:
    """`curve` for three epochs on 1,800 images, in batches of 64."""
    settings = ("--set", "epochs=3", "--set", "batch_size=64")
    return curve(runs / "short", "--dataset", str(SMALL), *settings, digits=7)


def curve(runs: Path, *options: str, digits: int = 6) -> dict[str, Any]:
    """The history of `cnn-32`, epoch by epoch: one process, one with two threads, two processes."""
    fit = ["fit", "cnn-32", "--set", "precision=float32", *options]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--module"]
    how = {
        "one process": (FITTINGROOM, "1"),
        "one process, two threads": (FITTINGROOM, "2"),
        "two processes": ([*torchrun, "fittingroom.cli.main"], "1"),
    }
    found = {}
    for name, (command, threads) in how.items():
        folder = runs / name.replace(", ", "-").replace(" ", "-")
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        subprocess.run([*command, *fit, "--runs", str(folder)], env=environment, check=True)
        (found[name],) = saved(folder)
    losses = {
        name: [[epoch.train_loss, epoch.validation_loss] for epoch in run.history]
        for name, run in found.items()
    }
    for number, row in enumerate(zip(*losses.values(), strict=True), start=1):
        cells = [f"{loss:.{digits}f}" for part in zip(*row, strict=True) for loss in part]
        print(f"| {number} | {' | '.join(cells)} |")
    return {
        "model": "cnn-32",
        "images": found["one process"].record.trained_on,
        "precision": "float32",
        "train_and_validation_loss": losses,
        "test_accuracy": {
            name: float(run.test.correct.mean()) for name, run in found.items() if run.test
        },
    }


def threads(runs: Path) -> dict[str, Any]:
    """By how much the same fits differ with one thread and with two."""
    rows = []
    for model, options in BY_THREADS.items():
        found = []
        for count in ("1", "2"):
            folder = runs / f"threads-{count}"
            command = [*FITTINGROOM, "fit", model, *options, "--dataset", str(SMALL)]
            environment = {**os.environ, "OMP_NUM_THREADS": count}
            subprocess.run([*command, "--runs", str(folder)], env=environment, check=True)
            (run,) = (run for run in saved(folder) if run.record.spec.model == model)
            assert run.test is not None
            assert run.validation is not None
            found.append(np.concatenate([run.validation.probabilities, run.test.probabilities]))
        one, two = found
        rows.append(
            {
                "model": model,
                "settings": list(options),
                "images": len(one),
                "largest_difference": float(np.abs(one - two).max()),
                "labels_otherwise": int((one.argmax(axis=1) != two.argmax(axis=1)).sum()),
            }
        )
        print(rows[-1])
    return {"rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--runs", type=Path, default=Path("runs-scale"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = WHAT[options.what](options.runs)
    record.write(options.out, found, [options.what, "--out", str(options.out)])


WHAT = {"lost-node": lost_node, "curve": curve, "short-curve": short_curve, "threads": threads}

if __name__ == "__main__":
    main()
