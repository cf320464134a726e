"""The leaderboard: a table computed from saved runs, and from nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from fittingroom.bench.cells import COLUMNS, cells
from fittingroom.bench.comparison import FILE, Comparison, Entry, Status
from fittingroom.bench.notes import joined, notes_of
from fittingroom.errors import StoreError
from fittingroom.evaluation.confusion import ConfusionMatrix, confusion_matrix, mean_confusion
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.intervals import accuracy_interval
from fittingroom.evaluation.metrics import METRICS
from fittingroom.evaluation.significance import Ranking, rank_models
from fittingroom.json_text import json_text
from fittingroom.runs.asked import Asked
from fittingroom.runs.run import Part, Run, labels_sha256
from fittingroom.runs.store import DatasetCard, Saved, Store, Unreadable

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Means over seeds; the interval is for the accuracy."""

    accuracy: float
    accuracy_sd: float | None
    ci95: tuple[float, float]
    macro_f1: float
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model. A model that failed is a row that says so; its figures are None."""

    model: str
    rank: int | None = None
    indistinguishable_from: tuple[str, ...] = ()
    seeds: int = 0
    deterministic: bool = False
    trained_on: int | None = None
    test: Scores | None = None
    validation: Scores | None = None
    fit_seconds: float | None = None
    predict_us_per_image: float | None = None
    parameters: int | None = None
    engine: str | None = None
    precision: str | None = None
    status: Status = "ok"
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Accuracy of `a` minus accuracy of `b` on the test images, and what the tests say of it."""

    a: str
    b: str
    difference: float
    ci95: tuple[float, float]
    p: float
    p_holm: float
    only_a_right: float
    only_b_right: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Leaderboard:
    """The answer to "which is better, by how much, and how sure are you?".

    Rows stand by rank, then by mean accuracy; rows without a rank come last.
    """

    dataset_name: str
    dataset_title: str
    dataset_sha256: str
    class_names: tuple[str, ...]
    n_test: int
    test_reads: int
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    command: str | None
    confusions: Mapping[str, ConfusionMatrix]
    environment: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every row has its figures."""
        return all(row.status == "ok" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """`leaderboard.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": {"name": self.dataset_name, "sha256": self.dataset_sha256},
            "test_reads": self.test_reads,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "pairs": [dataclasses.asdict(pair) for pair in self.pairs],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    def to_frame(self) -> DataFrame:
        """A line a model, the scores' figures in columns of their own, such as `test_accuracy`.

        Raises UsageError without pandas.
        """
        return frame((_flat(row) for row in self.rows), index="model")

    @property
    def title(self) -> str:
        """What was compared, on how many images, how often; what was added has no seeds of ours."""
        fitted = [row for row in self.rows if row.test and row.trained_on]
        seeds = sorted({row.seeds for row in fitted if not row.deterministic})
        fits = f", {'/'.join(map(str, seeds))} seed{'s' * (seeds != [1])}" if seeds else ""
        reads = f"saved runs that read the test split: {self.test_reads}"
        images = f"{self.n_test:,} test image{'s' * (self.n_test != 1)}"
        return f"{self.dataset_title}: {images}{fits}; {reads}"

    def __repr__(self) -> str:
        return f"<Leaderboard of {len(self.rows)} models on {self.title}>"

    def _repr_html_(self) -> str:
        lines = [COLUMNS, *(cells(row) for row in self.rows)]
        head, *body = ("".join(f"<td>{escape(cell)}</td>" for cell in line) for line in lines)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        head = head.replace("td>", "th>")
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead>{rows}</table>{notes}"


def _flat(row: Row) -> dict[str, Any]:
    """A row with the figures of its scores beside the others."""
    plain = dataclasses.asdict(row)
    for part in ("test", "validation"):
        for name, value in (plain.pop(part) or {}).items():
            plain[f"{part}_{name}"] = value
    return plain


def leaderboard(store: Store) -> Leaderboard:
    """The table of the store's last comparison and of everything that was added to it.

    Without a comparison it holds every saved run.

    Raises
    ------
    StoreError
        When a file of the store can't be read, unless it belongs to a run: that is a row which says
        so.
    """
    return leaderboard_and_runs(store, store.saved())[0]


def leaderboard_and_runs(store: Store, saved: Saved) -> tuple[Leaderboard, dict[str, list[Run]]]:
    """The table, and by row the runs of those that have all of their own; the same is raised.

    `saved` are the store's runs, read once for all that is computed from them.
    """
    comparison, lost = None, []
    try:
        comparison = Comparison.load(store)
    except StoreError as error:
        lost.append(f"{error} So the table holds every saved run.")
    groups = _groups(comparison, saved, store.card)
    finished = _finished(groups)
    tested = {label: [run.test for run in runs] for label, runs in finished.items()}
    parts = {label: [p for p in found if p is not None] for label, found in tested.items()}
    parts = {label: found for label, found in parts.items() if found}
    ranking = _ranking(groups, parts)

    rows = [_row(entry, finished.get(entry.label), ranking) for entry, _ in groups.values()]
    order = {label: position for position, label in enumerate(ranking.order)}
    rows.sort(key=lambda row: order.get(row.model, len(order)))
    runs = [run for found in finished.values() for run in found]
    board = Leaderboard(
        dataset_name=store.card.name,
        dataset_title=store.card.title,
        dataset_sha256=store.card.sha256,
        class_names=store.card.class_names,
        n_test=store.card.test_images,
        test_reads=sum(run.record.asked.reads_test for run in saved.runs),
        rows=tuple(rows),
        pairs=_pairs(ranking),
        notes=(*lost, *_unread(saved, groups), *notes_of(store.card, rows, finished, parts)),
        command=comparison.command if comparison else None,
        confusions={
            label: mean_confusion(
                [
                    confusion_matrix(p.probabilities, p.labels, len(store.card.class_names))
                    for p in found
                ]
            )
            for label, found in parts.items()
        },
        environment={k: str(v) for k, v in (runs[0].record.environment if runs else {}).items()},
    )
    return board, finished


_Groups = Mapping[str, tuple[Entry, Sequence[Run | None]]]


def _groups(comparison: Comparison | None, saved: Saved, card: DatasetCard) -> _Groups:
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


def _unread(saved: Saved, groups: _Groups) -> Iterator[str]:
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
    model = run.record.asked.model
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


def _finished(groups: _Groups) -> dict[str, list[Run]]:
    return {
        label: [run for run in runs if run is not None]
        for label, (entry, runs) in groups.items()
        if entry.status == "ok" and all(runs)
    }


def _entries_of(runs: Sequence[Run]) -> list[Entry]:
    """One entry for all seeds of what was asked the same, each under a name of its own."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.record.asked.folds:  # says something of the labels, nothing of the test images
            continue
        if run.record.asked.protocol is not None:  # no honest figure
            continue
        groups.setdefault((run.record.asked.model, run.record.asked.key), []).append(run)
    labels = [group[0].record.label for group in groups.values()]
    entries = []
    for (_, key), group in groups.items():
        record = group[0].record
        label = record.label
        if labels.count(label) > 1:
            label = f"{label} ({_kind(record.asked)}, {key[:4]})"
        entry = Entry.of(
            record.asked,
            label=label,
            seeds=tuple(run.record.asked.seed for run in group),
            deterministic=record.deterministic,
            trained_on=record.trained_on,
        )
        entries.append(entry.ended("ok"))
    return entries


def _kind(asked: Asked) -> str:
    return "full" if asked.full else "tested" if asked.reads_test else "no test"


def _ranking(groups: _Groups, parts: Mapping[str, Sequence[Part]]) -> Ranking:
    return rank_models(
        list(parts),
        [np.stack([part.correct for part in found]) for found in parts.values()],
        [groups[label][0].deterministic for label in parts],
    )


def _row(entry: Entry, runs: Sequence[Run] | None, ranking: Ranking) -> Row:
    if runs is None:
        status, reason = entry.status, entry.reason
        if status == "ok":  # its runs were deleted since
            status, reason = "interrupted", "a run of it is missing; compare again to fit it"
        return Row(
            model=entry.label,
            seeds=len(entry.seeds),
            deterministic=entry.deterministic,
            trained_on=entry.trained_on,
            status=status,
            reason=reason,
        )
    records = [run.record for run in runs]
    test = _scores([run.test for run in runs], entry.deterministic)
    return Row(
        model=entry.label,
        rank=ranking.ranks.get(entry.label),
        indistinguishable_from=ranking.indistinguishable_from.get(entry.label, ()),
        seeds=len(entry.seeds),
        deterministic=entry.deterministic,
        trained_on=records[0].trained_on,
        test=test,
        validation=_scores([run.validation for run in runs], entry.deterministic),
        fit_seconds=_mean([r.fit_seconds for r in records]),
        predict_us_per_image=_mean([r.predict_us_per_image for r in records]),
        parameters=records[0].parameters,
        engine=joined([r.engine for r in records]),
        precision=joined([r.precision for r in records]),
        reason=None if test else "the test split was not read",
    )


def _scores(parts: Sequence[Part | None], deterministic: bool) -> Scores | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    estimate = accuracy_interval(np.stack([part.correct for part in known]), deterministic)
    means = {
        name: float(np.mean([metric(part.probabilities, part.labels) for part in known]))
        for name, metric in METRICS.items()
        if name != "accuracy"
    }
    return Scores(
        accuracy=estimate.mean,
        accuracy_sd=estimate.sd,
        ci95=estimate.interval.bounds,
        macro_f1=means["macro_f1"],
        log_loss=means["log_loss"],
    )


def _pairs(ranking: Ranking) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            a=pair.a,
            b=pair.b,
            difference=pair.paired.difference,
            ci95=pair.paired.interval.bounds,
            p=pair.paired.p,
            p_holm=pair.p_holm,
            only_a_right=pair.paired.only_a_right,
            only_b_right=pair.paired.only_b_right,
        )
        for pair in ranking.pairs
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
