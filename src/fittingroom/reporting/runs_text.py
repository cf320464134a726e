"""Saved runs as a table for a terminal, and as facts for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from fittingroom.errors import StoreError
from fittingroom.formatting import short_path, shorten
from fittingroom.table import text_table

if TYPE_CHECKING:
    from fittingroom.runs.run import Run

COLUMNS = ("model", "run", "validation", "test", "saved", "size")
NUMBERS = ("validation", "test", "size")
#: Cells of the longest name, so that the table fits 80 columns.
LONGEST = 20


def runs_table(runs: Sequence[Run]) -> str:
    """A table of the runs of each data set; the size is that of the saved model, if any."""
    tables = []
    for folder, group in groupby(runs, key=lambda run: run.folder.parent.parent):
        facts = [run_facts(run) for run in group]
        names = shorten([fact["label"] for fact in facts], LONGEST)
        rows = [_cells(name, fact) for name, fact in zip(names, facts, strict=True)]
        tables.append(f"{short_path(folder)}\n\n{text_table(COLUMNS, rows, NUMBERS)}")
    return "\n\n".join(tables)


def run_facts(run: Run) -> dict[str, Any]:
    """What is known of a run: accuracies, seconds, and the bytes of its model if that was kept."""
    record, spec = run.record, run.record.spec
    kept = (run.folder / "model").is_dir()
    saved = datetime.fromtimestamp((run.folder / "run.json").stat().st_mtime).astimezone()
    return {
        "run": spec.path,
        "label": record.label,
        "seed": spec.seed,
        "dataset_sha256": spec.dataset,
        "trained_on": record.trained_on,
        "validation_accuracy": _accuracy(run, "validation"),
        "test_accuracy": _accuracy(run, "test"),
        "fit_seconds": record.fit_seconds,
        "saved_at": saved.isoformat(timespec="seconds"),
        "model_bytes": record.model_bytes if kept else None,
        "folder": str(run.folder),
    }


def _accuracy(run: Run, name: Literal["validation", "test"]) -> float | None:
    """The accuracy on a part; None if the run has none, or it can't be read."""
    try:
        part = run.test if name == "test" else run.validation
    except StoreError:
        return None
    return None if part is None else float(part.correct.mean())


def _cells(name: str, facts: dict[str, Any]) -> tuple[str, ...]:
    accuracies = (facts["validation_accuracy"], facts["test_accuracy"])
    size = facts["model_bytes"]
    return (
        name,
        facts["run"].partition("/")[2],
        *("" if accuracy is None else f"{accuracy:.4f}" for accuracy in accuracies),
        facts["saved_at"][:10],
        "" if size is None else f"{size / 1e6:.2g} MB" if size < 1e6 else f"{size / 1e6:.1f} MB",
    )
