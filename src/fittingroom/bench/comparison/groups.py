"""The runs of each row of a table, and whether they can be believed."""

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
    """The rows of the table with their runs; None for a run that isn't there or can't be read."""
    runs = {run.folder.parts[-2:]: run for run in saved.runs}
    unreadable = {each.folder.parts[-2:]: each.reason for each in saved.unreadable}
    if comparison is None:
        entries = [*_entries_of(saved.runs), *map(_entry_of_unreadable, saved.unreadable)]
    else:
        added = [run for run in saved.runs if run.record.family == "added"]
        entries = [*comparison.entries, *_entries_of(added)]
    groups: dict[str, tuple[Entry, Sequence[Run | None]]] = {}
    for entry in entries:
        places = [(entry.model, f"{entry.key}-s{seed}") for seed in entry.seeds]
        found = [runs.get(place) for place in places]
        reasons = [unreadable[place] for place in places if place in unreadable]
        there = [run for run in found if run is not None]
        reasons += [reason for run in there if (reason := _fault_of(run, card))]
        reasons += _disagreement(entry, there) if not reasons else []
        if there:  # they know it better than a list of what was asked
            record = there[0].record
            entry = dataclasses.replace(
                entry, deterministic=record.deterministic, trained_on=record.trained_on
            )
        if reasons and entry.status == "ok":
            entry = entry.ended("unreadable", reasons[0])
        groups[entry.label] = entry, found
    return groups


def left_out(saved: Saved, groups: Groups) -> Iterator[str]:
    """A note on runs that can't be read, where no row says so."""
    of_rows = {entry.reason for entry, _ in groups.values()}
    others = [each.reason for each in saved.unreadable if each.reason not in of_rows]
    if others:
        more = f" {len(others) - 1} more can't be read either." if len(others) > 1 else ""
        yield f"A saved run is left out: {others[0]}{more}"


def _fault_of(run: Run, card: DatasetCard) -> str | None:
    """Why what a run says can't be believed, if it can't."""
    try:
        parts = [part for part in (run.test, run.validation) if part is not None]
        _ = run.history
    except StoreError as error:
        return str(error)
    test, n_classes = run.test, len(card.class_names)
    if any(part.probabilities.shape[1] != n_classes for part in parts):
        return f"{run.folder} doesn't have probabilities of {n_classes} classes."
    whole = test is None or len(test.index) == card.test_images
    if test is not None and not (whole and np.array_equal(test.index, np.arange(len(test.index)))):
        return f"{run.folder} doesn't have predictions of {card.test_images:,} test images."
    official = card.test_labels_sha256
    if test is not None and official is not None and labels_sha256(test.labels) != official:
        return f"{run.folder} judges its predictions by other labels than the data set's."
    fault = next((part.fault for part in parts if part.fault is not None), None)
    return None if fault is None else f"{run.folder}: {fault}."


def _disagreement(entry: Entry, runs: Sequence[Run]) -> list[str]:
    """Why runs can't be those of one row, if they can't."""
    for run in runs:
        if not _may_be_called(run, entry.label):
            return [f"{run.folder} is called {entry.label} by {FILE}."]
        ours, first = run.validation, runs[0].validation
        if (ours is None) != (first is None) or (
            ours is not None and first is not None and not np.array_equal(ours.index, first.index)
        ):
            return [f"{run.folder} was validated by other images than {runs[0].folder}."]
    return []


def _may_be_called(run: Run, label: str) -> bool:
    """Whether a label is one of a run's model, and says so where it was only added.

    Settings that a label names or leaves out may be the model's own, so that one run has several.
    """
    model = run.record.spec.model
    if run.record.family == "added":
        return label == run.record.label
    return label == model or label.startswith((f"{model}[", f"{model} ("))


def _entry_of_unreadable(run: Unreadable) -> Entry:
    """A row for a run that no comparison asked for and that can't be read."""
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
    """One entry for all seeds of what was asked the same, each under a name of its own."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.record.spec.folds:  # says something of the labels, nothing of the test images
            continue
        if run.record.spec.protocol is not None:  # no honest figure
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
