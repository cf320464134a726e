"""The runs of each row of a table, and whether they can be trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fittingroom.bench.comparison.comparison import FILE, Comparison, Entry
from fittingroom.errors import StoreError
from fittingroom.runs.dataset_card import DatasetCard
from fittingroom.runs.run import Run, labels_sha256
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Saved, Unreadable

Groups = Mapping[str, tuple[Entry, Sequence[Run | None]]]


def groups_of(comparison: Comparison | None, saved: Saved, card: DatasetCard) -> Groups:
    """The rows of the table with their runs; None for a missing or unreadable run."""
    runs = {run.folder.parts[-2:]: run for run in saved.runs}
    unreadable = {run.folder.parts[-2:]: run.reason for run in saved.unreadable}
    if comparison is None:
        entries = [*_entries_of(saved.runs), *map(_entry_of_unreadable, saved.unreadable)]
    else:
        added = [run for run in saved.runs if run.record.family == "added"]
        entries = [*comparison.entries, *_entries_of(added)]
    groups: dict[str, tuple[Entry, Sequence[Run | None]]] = {}
    for entry in entries:
        folders = [(entry.model, f"{entry.key}-s{seed}") for seed in entry.seeds]
        entry_runs = [runs.get(folder) for folder in folders]
        reasons = [unreadable[folder] for folder in folders if folder in unreadable]
        available = [run for run in entry_runs if run is not None]
        reasons += [reason for run in available if (reason := _fault_of(run, card))]
        reasons += _disagreement(entry, available) if not reasons else []
        if available:  # their records are more reliable than the plan
            record = available[0].record
            entry = dataclasses.replace(
                entry, deterministic=record.deterministic, trained_on=record.trained_on
            )
        if reasons and entry.status == "ok":
            entry = entry.ended("unreadable", reasons[0])
        groups[entry.label] = entry, entry_runs
    return groups


def left_out(saved: Saved, groups: Groups) -> Iterator[str]:
    """A note on unreadable runs that no row mentions."""
    row_reasons = {entry.reason for entry, _ in groups.values()}
    reasons = [run.reason for run in saved.unreadable if run.reason not in row_reasons]
    if reasons:
        more = f" {len(reasons) - 1} more can't be read either." if len(reasons) > 1 else ""
        yield f"A saved run is left out: {reasons[0]}{more}"


def _fault_of(run: Run, card: DatasetCard) -> str | None:
    """Why a run can't be trusted, if it can't."""
    try:
        parts = [part for part in (run.test, run.validation) if part is not None]
        _ = run.history
    except StoreError as error:
        return str(error)
    test, n_classes = run.test, len(card.class_names)
    if any(part.probabilities.shape[1] != n_classes for part in parts):
        return f"{run.folder} doesn't have probabilities of {n_classes} classes."
    fits = test is None or len(test.index) == card.test_images
    if test is not None and not (fits and np.array_equal(test.index, np.arange(len(test.index)))):
        return f"{run.folder} doesn't have predictions of {card.test_images:,} test images."
    official = card.test_labels_sha256
    if test is not None and official is not None and labels_sha256(test.labels) != official:
        return f"{run.folder} scores its predictions against other labels than the data set's."
    fault = next((part.fault for part in parts if part.fault is not None), None)
    return None if fault is None else f"{run.folder}: {fault}."


def _disagreement(entry: Entry, runs: Sequence[Run]) -> list[str]:
    """Why runs can't belong to one row, if they can't."""
    for run in runs:
        if not _may_be_called(run, entry.label):
            return [f"{FILE} lists {run.folder} as {entry.label}, which isn't its model."]
        ours, first = run.validation, runs[0].validation
        if (ours is None) != (first is None) or (
            ours is not None and first is not None and not np.array_equal(ours.index, first.index)
        ):
            return [f"{run.folder} was validated on other images than {runs[0].folder}."]
    return []


def _may_be_called(run: Run, label: str) -> bool:
    """Whether a label fits a run: its model's name, perhaps with settings, or that of an added run.

    A label may name settings or leave them out that are the model's defaults.
    """
    model = run.record.spec.model
    if run.record.family == "added":
        return label == run.record.label
    return label == model or label.startswith((f"{model}[", f"{model} ("))


def _entry_of_unreadable(run: Unreadable) -> Entry:
    """An entry for an unreadable run that belongs to no comparison."""
    model, folder = run.folder.parts[-2:]
    key, _, seed = folder.rpartition("-s")
    return Entry(
        label=f"{model}/{folder}",
        model=model,
        key=key,
        seeds=(int(seed),),
        deterministic=False,
        trained_on=None,
        status="unreadable",
        reason=run.reason,
    )


def _entries_of(runs: Sequence[Run]) -> list[Entry]:
    """One entry for all seeds of a recipe, each with a label of its own."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.record.spec.folds:  # says nothing about the test images
            continue
        if run.record.spec.protocol is not None:  # not an honest figure
            continue
        groups.setdefault((run.record.spec.model, run.record.spec.key), []).append(run)
    labels = [group[0].record.label for group in groups.values()]
    entries = []
    for (_, key), group in groups.items():
        record = group[0].record
        label = record.label
        if labels.count(label) > 1:
            label = f"{label} ({_kind(record.spec)}, {key[:4]})"
        entry = Entry.of(
            record.spec,
            label=label,
            seeds=tuple(run.record.spec.seed for run in group),
            deterministic=record.deterministic,
            trained_on=record.trained_on,
        )
        entries.append(entry.ended("ok"))
    return entries


def _kind(spec: RunSpec) -> str:
    return "full" if spec.full else "tested" if spec.reads_test else "no test"
