"""How do the time and the memory of a fit grow with the number of images?

    python benchmarks/growth.py --limit 1200 --out benchmarks/results/growth.json
    python benchmarks/growth.py knn svm-rbf --sizes 6000,60000 --out /tmp/growth.json

6,000, 60,000, 600,000 and 6,000,000 training images: those of Fashion-MNIST, and shifted copies of
them (``large.py``), in IDX files of which the largest is memory-mapped. Copies of one image are on
both sides of the validation split, so accuracies mean nothing here and aren't told. A fit as
``fittingroom fit --no-test`` does it: nine tenths are trained on, a tenth is predicted; networks
for one epoch. Told are its seconds (the fit and the predictions, without the start of its process)
and the largest resident size of its process. A fit may take `--limit` seconds and `--memory` GiB; a
model that was stopped at one size isn't tried with more images, and one that can't have enough
memory isn't started.

The exponent is the slope of a line through the logarithms. A small fit's time and memory are mostly
what any fit takes, so the slope between the two largest sizes says better how it goes on.

Rows and sizes that `--out` holds by this state of the code are kept, so a long sitting may be held
in parts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
from large import make_set

from fittingroom.bench.bench import open_bench
from fittingroom.bench.feasibility import why_too_large
from fittingroom.bench.progress import Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.execution.executor import HERE, most_memory
from fittingroom.execution.job import Limits
from fittingroom.models.catalog import row_of
from fittingroom.runs.attempt import Attempt
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

MODELS = ("logistic", "knn", "random-forest", "svm-rbf", "mlp-256-256", "swift-90")
SIZES = (6_000, 60_000, 600_000, 6_000_000)
PIXELS = 28 * 28


def measure(model: str, dataset: Dataset, limits: Limits) -> dict[str, Any]:
    """How the fit of a model on a data set ended, and what it took."""
    settings = {"epochs": 1} if row_of(model).family == "network" else {}
    spec = spec_of(dataset, model, settings=settings, reads_test=False)
    reason = why_too_large(spec, dataset, most_memory(HERE, limits))
    if reason is not None:
        return {"status": "not started", "reason": reason}
    with tempfile.TemporaryDirectory() as runs:
        store = open_store(runs, dataset)
        with open_bench(dataset, store, limits=limits, keep_models=False) as bench:
            (attempt,) = bench.attempts([spec], Reporter(None, total=1))
        return figures(attempt)


def figures(attempt: Attempt) -> dict[str, Any]:
    """Seconds of the fit and the predictions, and bytes; of one that failed the reason."""
    if attempt.run is None:
        return {"status": attempt.status, "reason": attempt.reason}
    run = attempt.run
    assert run.validation is not None
    assert run.record.fit_seconds is not None
    predicted = 1e-6 * (run.record.predict_us_per_image or 0) * len(run.validation.index)
    return {
        "status": "ok",
        "seconds": round(run.record.fit_seconds + predicted, 3),
        "fit_seconds": round(run.record.fit_seconds, 3),
        "peak_memory_bytes": run.record.peak_memory_bytes,
        "engine": run.record.engine,
    }


def summary(sizes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The exponents of a model's time and memory, with what it took by the number of images."""
    sizes = dict(sorted(sizes.items(), key=lambda item: int(item[0])))
    done = {int(n): found for n, found in sizes.items() if found["status"] == "ok"}
    found: dict[str, Any] = {}
    if len(done) > 1:
        for name, key in (("time", "seconds"), ("memory", "peak_memory_bytes")):
            values = [each[key] for each in done.values()]
            found[f"{name}_exponent"] = slope([*done], values)
            found[f"{name}_exponent_of_the_two_largest"] = slope([*done][-2:], values[-2:])
        (n, less), (m, more) = [*done.items()][-2:]
        added = more["peak_memory_bytes"] - less["peak_memory_bytes"]
        found["bytes_per_added_pixel"] = round(added / (PIXELS * (m - n)), 2)
    return {**found, "sizes": sizes}


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The exponent of a power law through the values: least squares of their logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 2)


def data_of(n: int, folder: Path) -> Dataset:
    """The data set of n training images, written into a folder unless it is there."""
    place = folder / f"shifted-{n}"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_set(load_dataset("fashion-mnist"), place, n)
    return load_dataset(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=f"by default {', '.join(MODELS)}"
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="separated by commas")
    parser.add_argument("--limit", type=float, default=1200, help="seconds of one fit")
    parser.add_argument("--memory", type=float, default=16, help="GiB of one fit")
    parser.add_argument("--folder", type=Path, help="of the data sets, made and left there")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    limits = Limits(seconds=options.limit, memory=round(options.memory * 2**30))
    rows: dict[str, Any] = record.kept(options.out).get("rows", {})
    models = [row_of(name).name for name in options.models or MODELS]
    with tempfile.TemporaryDirectory() as temporary:
        for n in sorted(map(int, options.sizes.split(","))):
            dataset = data_of(n, options.folder or Path(temporary))
            for model in models:
                sizes = rows[model]["sizes"] if model in rows else {}
                ended = [found["status"] for found in sizes.values()]
                if str(n) in sizes or {"timeout", "out-of-memory"} & {*ended}:
                    continue
                rows[model] = summary({**sizes, str(n): measure(model, dataset, limits)})
                figures = {"seconds": options.limit, "memory_bytes": limits.memory}
                record.write(options.out, {"limits": figures, "rows": rows})
                print(f"{model:16} {n:>9,} {json.dumps(rows[model]['sizes'][str(n)])}", flush=True)


if __name__ == "__main__":
    main()
