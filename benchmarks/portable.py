"""Does an exported model give what ours gives, and how fast is it beside ours?

    python benchmarks/portable.py RUNS... --out benchmarks/results/portable.json --no-speed
    python benchmarks/portable.py RUNS... --out benchmarks/results/portable.json --no-parity

`RUNS` are folders of runs, single runs or bundles; of each model the first that is found counts.
All test images are predicted by the bundle and by onnxruntime, their labels left alone. For the
speed both take turns, a batch of one image and one of 256, on as many threads as `--threads` says;
what is told is microseconds an image, medians of the turns, and their ratio within a turn. What
`--out` holds of other models, and of the part that is left out, stays if this state of the code
made it. Where it is the file above, the tables of docs/export.md are filled in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from numpy.typing import NDArray
from speed import range_of, spread
from speed_page import columns, put
from threadpoolctl import threadpool_limits

from fittingroom.bundles.bundle import Bundle, load
from fittingroom.bundles.onnx import write_onnx
from fittingroom.bundles.parity import onnx_predictor, parity
from fittingroom.data.sources import load_dataset
from fittingroom.files import replace_file
from fittingroom.models.catalog import MODELS
from fittingroom.runs.run import environment

KEPT = record.ROOT / "benchmarks" / "results" / "portable.json"
PAGE = record.ROOT / "docs" / "export.md"
BATCHES = (1, 256)
#: Of one turn of one of the two; short beside what the machine's other work changes.
SECONDS = 0.5

Images = NDArray[np.uint8]


def bundles_in(folders: list[Path]) -> dict[str, Path]:
    """Where the bundle of each model lies, in the catalogue's order."""
    found: dict[str, Path] = {}
    for folder in folders:
        for manifest in sorted(folder.rglob("manifest.json")):
            model = json.loads(manifest.read_text(encoding="utf-8"))["facts"]["model"]
            found.setdefault(model, manifest.parent)
    return {model: found[model] for model in MODELS if model in found}


def compared(bundle: Bundle, images: Images, file: Path) -> dict[str, Any]:
    began = time.perf_counter()
    write_onnx(bundle, file)
    seconds = time.perf_counter() - began
    found = parity(file, bundle, images)
    return {
        "fitted_on": bundle.facts.data.images,
        "parameters": bundle.facts.parameters,
        "onnx_bytes": file.stat().st_size,
        "export_seconds": round(seconds, 2),
        "images": found.images,
        "labels_equal": found.labels_equal,
        "largest_difference": found.largest_difference,
    }


def timed(
    bundle: Bundle, images: Images, file: Path, rounds: int, threads: int
) -> dict[str, dict[str, Any]]:
    """Microseconds an image of both, by the size of a batch."""
    write_onnx(bundle, file)
    estimator = getattr(bundle.classifier, "estimator_", None)
    if estimator is not None and "n_jobs" in getattr(estimator, "get_params", dict)():
        estimator.set_params(n_jobs=threads)  # a forest would take all cores
    rivals = {"ours": bundle.predict_proba, "onnxruntime": onnx_predictor(file, threads=threads)}
    found = {}
    for size in BATCHES:
        for predict in rivals.values():
            predict(images[:size])  # kernels are loaded at their first call
        turns = [
            {name: turn(predict, images, size) for name, predict in rivals.items()}
            for _ in range(rounds)
        ]
        found[str(size)] = {
            **{name: round(statistics.median(t[name] for t in turns), 1) for name in rivals},
            "times_as_fast": spread([t["ours"] / t["onnxruntime"] for t in turns]),
        }
    return found


def turn(predict: Callable[[Images], Any], images: Images, size: int) -> float:
    """Microseconds an image, over batches of so many."""
    done, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < SECONDS:
        start = done % (len(images) - size)
        predict(images[start : start + size])
        done += size
    return 1e6 * seconds / done


def parity_table(rows: dict[str, Any]) -> list[str]:
    lines = [
        columns(["model", "fitted on", "set", "MB", "labels equal", "largest difference"]),
        columns(["---"] * 6),
    ]
    for model, row in rows.items():
        asked = ", ".join(f"{key}={value}" for key, value in row["parameters"].items())
        equal = f"{row['labels_equal']:,} of {row['images']:,}"
        cells = [f"{row['fitted_on']:,}", asked, f"{row['onnx_bytes'] / 1e6:.2f}", equal]
        difference = row["largest_difference"]
        cells.append(f"{difference:.1e}" if difference else "0")
        lines.append(columns([f"`{model}`", *cells]))
    return lines


def speed_table(rows: dict[str, Any]) -> list[str]:
    heads = [f"{who}, {n}" for n in BATCHES for who in ("ours", "onnxruntime", "times as fast")]
    lines = [columns(["model", *heads]), columns(["---"] * (len(heads) + 1))]
    for model, row in rows.items():
        cells = [f"`{model}`"]
        for size in map(str, BATCHES):
            ratio = row[size]["times_as_fast"]
            cells += [f"{row[size][name]:,.0f}" for name in ("ours", "onnxruntime")]
            cells += [range_of(ratio)]
        lines.append(columns(cells))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the speed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-parity", action="store_true")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    images = np.array(load_dataset("fashion-mnist").test.images)
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {"parity": {}, "speed": {}}
    before = record.kept(options.out)
    found = {name: before.get(name, {}) for name in found}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(options.threads):
        for model, place in bundles_in(options.runs).items():
            file, bundle = Path(folder) / "model.onnx", load(place)
            if not options.no_parity:
                found["parity"][model] = compared(bundle, images, file)
                print(model, found["parity"][model], flush=True)
            if not options.no_speed:
                row = timed(bundle, images, file, options.rounds, options.threads)
                at = {"processor": environment()["processor"], "threads": options.threads}
                found["speed"][model] = {**at, **row}
                print(model, found["speed"][model], flush=True)
    found = {
        name: {model: rows[model] for model in MODELS if model in rows}
        for name, rows in found.items()
    }
    asked = ["RUNS...", f"--threads={options.threads}", f"--rounds={options.rounds}"]
    record.write(options.out, {"versions": versions(), **found}, asked)
    if options.out.resolve() == KEPT:
        fill_page(found)


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("onnx", "onnxruntime", "onnxscript")}


def fill_page(found: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    page = put(page, "parity", parity_table(found["parity"]))
    replace_file(PAGE, put(page, "speed", speed_table(found["speed"])))


if __name__ == "__main__":
    main()
