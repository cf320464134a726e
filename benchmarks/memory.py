"""How much memory does a fit take, at full size?

    python benchmarks/memory.py --out benchmarks/results/memory.json
    python benchmarks/memory.py knn swift-90 --out /tmp/memory.json

Every row of the catalogue: ``fittingroom fit NAME`` on Fashion-MNIST, 54,000 images trained on and
16,000 predicted, and the largest resident size of the fitting process, as its run records it. A
network that is expected to take longer than ten minutes is fitted for one epoch: its memory doesn't
depend on how many follow. Beside a classical model stands stock scikit-learn's on the same images
(``peers/stock_memory.py``), so that one sees where an algorithm, and not we, takes much. Rows that
`--out` holds by this state of the code are kept, so a long sitting may be held in parts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import record
from speed import PEERS

from fittingroom.models.catalog import MODELS
from fittingroom.runs.store import find_store

#: Expected seconds above which a network is fitted for one epoch.
LONGEST = 600
#: Bytes above which a model has to explain itself.
MUCH = 1.5e9


def measure(name: str) -> dict[str, Any]:
    """Peak memory of a row's fit and, for a classical model, of stock scikit-learn's."""
    row = MODELS[name]
    one_epoch = row.family == "network" and row.expected_seconds() > LONGEST
    settings = ["--set", "epochs=1"] if one_epoch else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fittingroom", "fit", name, *settings, "--runs", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (run,) = find_store(folder).runs()
    found: dict[str, Any] = {
        "peak_memory_bytes": run.record.peak_memory_bytes,
        "fit_seconds": round(run.record.fit_seconds or 0, 1),
        "epochs": 1 if one_epoch else None,
        "engine": run.record.engine,
    }
    if row.family == "classical":
        script = [sys.executable, str(PEERS / "stock_memory.py"), name]
        done = subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True)
        found["scikit_learn"] = json.loads(done.stdout.splitlines()[-1])
    return found


def unexplained(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The models that take much memory, and more than stock scikit-learn does."""
    return [
        name
        for name, row in rows.items()
        if row["peak_memory_bytes"] > MUCH
        and row["peak_memory_bytes"] > row.get("scikit_learn", {}).get("peak_memory_bytes", 0)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="all, if none is named")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if unknown := set(options.models) - MODELS.keys():
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    found: dict[str, Any] = record.kept(options.out).get("rows", {})
    for name in options.models or MODELS:
        if name not in found:
            found[name] = measure(name)
            ordered = {model: found[model] for model in MODELS if model in found}
            record.write(options.out, {"rows": ordered})
        print(f"{name:24} {json.dumps(found[name])}", flush=True)
    if names := unexplained(found):
        print(f"more than {MUCH / 1e9} GB, and more than scikit-learn: {', '.join(names)}")


if __name__ == "__main__":
    main()
