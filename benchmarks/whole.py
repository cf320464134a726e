"""How long does a person wait for a whole command, from its start to its end?

    python benchmarks/whole.py --rounds 3 --out benchmarks/results/whole.json
    python benchmarks/whole.py cnn-32 knn version --rounds 2 --out /tmp/whole.json
    python benchmarks/whole.py --most 15 --rounds 1 --out /tmp/whole.json

Measured from outside, as a person would with a watch: the process's start, imports, reading the
files, all of the work, printing, and the process's end.

- A published network: ``fittingroom fit NAME`` into an empty folder of runs, its whole recipe,
  until the test accuracy is printed; in turns with a Keras program that reads the same files and
  does the same (``peers/keras_whole.py``), as published and with ``mixed_bfloat16`` (and
  ``jit_compile`` with ``--jit``). Both accuracies are kept. ``cnn-16-32-64-128`` takes hours on
  either side, and is measured only where it is named. With ``--most SECONDS`` both sides take only
  the recipe's first epochs, as many as ours are expected to take so long: what both pay once, the
  imports above all, then weighs more.
- ``knn`` and ``logistic``: the command alone, since ``classical.py`` has their ratios to stock
  scikit-learn, and how much of it is neither the fit nor the predictions.
- ``predict-knn``, ``predict-swift-90``: one photo by a saved model. ``report``: the page of seven
  saved models. ``models``, ``help``, ``version``.
- ``compare``: the quick suite with one seed, once as in a new installation, which has to compile
  its kernels, and once more with them.

Compiled kernels and the system's cache of files are warm everywhere else: each command runs once
before it is timed, a fit on few images. Turns that `--out` holds by this state of the code are kept
and added to, so a long sitting may be held in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import record
from speed import IMAGES, KERAS, PEERS, PEERS_PYTHON, spread

from fittingroom.data.sources import load_dataset
from fittingroom.models.catalog import row_of
from fittingroom.models.rows import NetworkRow
from fittingroom.runs.run import Run
from fittingroom.runs.store import find_store
from fittingroom.training.recipe import Recipe

FITTINGROOM = [sys.executable, "-m", "fittingroom"]
SMALL = record.ROOT / "tests" / "data" / "fashion-mnist-small"
PHOTO = record.ROOT / "tests" / "serving" / "photos" / "pullover.jpg"
#: Training images that a fit holds out for validation, and those that a network watches of them.
HELD_OUT, WATCHED = 6_000, 3_000

#: What took how long in one turn, by who did it: each has ``seconds``.
Turn = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Sitting:
    """Where the measured commands find what they need.

    Attributes
    ----------
    files : the folder of the four IDX files
    prepared : runs that were saved before, for commands that read some
    variants : those of Keras
    most : seconds that our networks may be expected to take; None takes whole recipes
    """

    files: Path
    prepared: Path
    variants: Sequence[str]
    most: float | None = None


def timed(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Seconds from a process's start to its end, and what it printed on standard output."""
    start = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command!r} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout


def fit(name: str, seed: int, *settings: str) -> tuple[dict[str, Any], Run]:
    """Fit a model into an empty folder of runs: the command's seconds, what it printed; its run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*FITTINGROOM, "fit", name, *settings, "--seed", str(seed), "--runs", folder]
        seconds, printed = timed(command)
        (run,) = find_store(folder).runs()
        assert run.test is not None  # it and the history are read while the folder is there
        accuracy = float(run.test.correct.mean())
        assert f"{accuracy:.4f}" in printed, f"not the accuracy that was printed:\n{printed}"
        ours = {"seconds": round(seconds, 3), "test_accuracy": round(accuracy, 4)}
        return {**ours, **({"epochs": len(run.history)} if run.history else {})}, run


def network_turn(name: str, number: int, sitting: Sitting) -> Turn:
    """The recipe of a published network by us and by each variant of Keras."""
    recipe = recipe_of(name)
    epochs = epochs_within(name, sitting.most)
    settings = [] if epochs == recipe.epochs else ["--set", f"epochs={epochs}"]
    ours, run = fit(name, number, *settings)
    ours["recipe_epochs"] = recipe.epochs
    turn = {"ours": {**ours, "parameters": run.record.parameters}}
    for variant in sitting.variants:
        job = json.dumps(keras_job(name, variant, number, epochs))
        script = str(PEERS / "keras_whole.py")
        seconds, printed = timed([str(PEERS_PYTHON), script, str(sitting.files), job])
        turn[variant] = {"seconds": round(seconds, 3), **json.loads(printed.splitlines()[-1])}
    assert len({each["parameters"] for each in turn.values()}) == 1, f"{name}: not the same network"
    return turn


def recipe_of(name: str) -> Recipe:
    """The recipe of the catalogue's row."""
    row = row_of(name)
    assert isinstance(row, NetworkRow)
    return row.recipe


def epochs_within(name: str, most: float | None) -> int:
    """The recipe's epochs, or as many of them as are expected to take so many seconds; not 0."""
    epochs = recipe_of(name).epochs
    if most is None:
        return epochs
    return max(1, min(epochs, int(epochs * most / row_of(name).expected_seconds())))


def keras_job(name: str, variant: str, seed: int, epochs: int) -> dict[str, Any]:
    """What Keras is to do."""
    recipe = recipe_of(name)
    fields = ("batch_size", "keep", "patience", "watch", "restore")
    return {
        "model": name,
        "variant": variant,
        "seed": seed,
        "epochs": epochs,
        "held_out": HELD_OUT,
        "watched": WATCHED,
        **{field: getattr(recipe, field) for field in fields},
    }


def classical_turn(name: str, number: int, sitting: Sitting) -> Turn:
    """A classical model's fit, and what of it is neither the fit nor the predictions."""
    ours, run = fit(name, number)
    assert run.validation is not None
    assert run.test is not None
    assert run.record.fit_seconds is not None
    assert run.record.predict_us_per_image is not None
    images = len(run.validation.index) + len(run.test.index)
    parts = run.record.fit_seconds, 1e-6 * run.record.predict_us_per_image * images
    named = dict(zip(("fit_seconds", "predict_seconds"), parts, strict=True))
    named["other_seconds"] = ours["seconds"] - sum(parts)
    return {"ours": {**ours, **{name: round(seconds, 3) for name, seconds in named.items()}}}


def compare_turn(name: str, number: int, sitting: Sitting) -> Turn:
    """The quick suite with an empty cache of compiled kernels, and again with that cache."""
    turn = {}
    with tempfile.TemporaryDirectory() as cache:
        for state in ("new", "warm"):
            with tempfile.TemporaryDirectory() as runs:
                command = [*FITTINGROOM, *QUICK, "--runs", runs]
                seconds, _ = timed(command, {"NUMBA_CACHE_DIR": cache})
            turn[state] = {"seconds": round(seconds, 3)}
    return turn


def command_turn(name: str, number: int, sitting: Sitting) -> Turn:
    """A command that fits nothing."""
    return {"ours": {"seconds": round(timed(words(name, sitting))[0], 3)}}


def words(name: str, sitting: Sitting) -> list[str]:
    """The command of a row that fits nothing."""
    if name == "report":
        return [*FITTINGROOM, "report", str(sitting.prepared / "quick")]
    if name.startswith("predict-"):
        runs = ("--runs", str(sitting.prepared / "single"))
        return [*FITTINGROOM, "predict", name.removeprefix("predict-"), str(PHOTO), *runs]
    return [*FITTINGROOM, {"models": "models", "help": "--help", "version": "--version"}[name]]


def prepare(name: str, sitting: Sitting) -> None:
    """Save the runs that a command reads, unless they are."""
    if name == "report":
        timed([*FITTINGROOM, *QUICK, "--runs", str(sitting.prepared / "quick")])
    if name.startswith("predict-"):
        runs = ("--runs", str(sitting.prepared / "single"))
        timed([*FITTINGROOM, "fit", name.removeprefix("predict-"), *runs])


QUICK = ("compare", "--suite", "quick", "--seeds", "1")
CLASSICAL = ("knn", "logistic")
COMMANDS = ("predict-knn", "predict-swift-90", "report", "models", "help", "version")
#: Hours on either side: measured only where it is named.
HOURS = ("cnn-16-32-64-128",)
ROWS: dict[str, Callable[[str, int, Sitting], Turn]] = {
    **dict.fromkeys(IMAGES, network_turn),
    **dict.fromkeys(CLASSICAL, classical_turn),
    **dict.fromkeys(COMMANDS, command_turn),
    "compare": compare_turn,
}


def warm_up(name: str, sitting: Sitting) -> None:
    """Compile what a row needs, and bring its files into the system's cache, untimed."""
    if name in COMMANDS:
        prepare(name, sitting)
        timed(words(name, sitting))
    elif name != "compare":
        settings = ["--set", "epochs=1"] if name in IMAGES else []
        with tempfile.TemporaryDirectory() as runs:
            small = ["--dataset", str(SMALL), "--runs", runs]
            timed([*FITTINGROOM, "fit", name, *settings, *small])


def summary(turns: Sequence[Turn]) -> dict[str, Any]:
    """Seconds of each side, and ratios within a turn; of variants that all turns have."""
    variants = [name for name in turns[0] if all(name in turn for turn in turns)]
    seconds = {name: [turn[name]["seconds"] for turn in turns] for name in variants}
    found: dict[str, Any] = {"seconds": {name: spread(seen) for name, seen in seconds.items()}}
    accuracies = {
        name: round(statistics.mean(turn[name]["test_accuracy"] for turn in turns), 4)
        for name in variants
        if "test_accuracy" in turns[0][name]
    }
    if accuracies:
        found["test_accuracy"] = accuracies
    peers = [name for name in KERAS if name in variants]
    if peers:
        best = map(min, zip(*(seconds[name] for name in peers), strict=True))
        found["as_published"] = ratios(seconds["published"], seconds["ours"])
        found["at_its_best"] = ratios([*best], seconds["ours"])
    if "other_seconds" in turns[0].get("ours", {}):
        found["other_seconds"] = spread([turn["ours"]["other_seconds"] for turn in turns])
    if "new" in variants:
        pairs = zip(seconds["new"], seconds["warm"], strict=True)
        found["compiling_seconds"] = spread([new - warm for new, warm in pairs])
    return {**found, "each_turn": list(turns)}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """How many times as long theirs takes, turn by turn."""
    return spread([their / our for their, our in zip(theirs, ours, strict=True)])


def test_reads(rows: Mapping[str, dict[str, Any]]) -> int:
    """Fits whose accuracy on the test images is told; a deterministic model's counts once."""
    return sum(
        sum("test_accuracy" in side for turn in row["each_turn"] for side in turn.values())
        if name in IMAGES
        else int(name in CLASSICAL)
        for name, row in rows.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=float, metavar="SECONDS", help="of a network's epochs")
    parser.add_argument("--jit", action="store_true", help="jit_compile too; minutes of compiling")
    parser.add_argument("--prepared", type=Path, default=Path("runs-whole"), help="saved runs")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    location = load_dataset("fashion-mnist").location
    assert location is not None
    variants = KERAS if options.jit else KERAS[:2]
    sitting = Sitting(location, options.prepared, variants, options.most)
    found: dict[str, Any] = record.kept(options.out).get("rows", {})
    for name in options.rows or [name for name in ROWS if name not in HOURS]:
        turns = list(found[name]["each_turn"]) if name in found else []
        if len(turns) < options.rounds:
            warm_up(name, sitting)
        while len(turns) < options.rounds:
            turns.append(ROWS[name](name, len(turns), sitting))
            found[name] = summary(turns)
            ordered = {row: found[row] for row in ROWS if row in found}
            record.write(options.out, {"rows": ordered}, test_reads=test_reads(ordered))
            print(f"{name:20} {json.dumps(turns[-1])}", flush=True)


if __name__ == "__main__":
    main()
